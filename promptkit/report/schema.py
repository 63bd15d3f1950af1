"""What saved JSON must be like for a page to be made of it; more than this is nobody's concern."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from promptkit.errors import DataError, Problem

Interval = Annotated[list[float], Field(min_length=2, max_length=2)]

_AGAIN = "run promptkit compare again: what is stored is not asked again"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())


class _Cell(_Part):
    model: str
    template: str
    selection: str
    order: str = ""
    verbalizer: str = ""
    calibration: str = ""
    shots: int


class _Row(_Cell):
    seed: int | None
    n: Annotated[int, Field(ge=1)]
    accuracy: float
    accuracy_ci: Interval | None
    accuracy_ci_fixed: Interval
    failures: int
    tokens: int
    seconds: float
    macro_f1: float | None
    log_loss: float | None
    brier: float | None = None
    ece: float | None
    coverage: float | None


class _Pair(_Part):
    a: _Cell
    b: _Cell
    delta: float
    ci: Interval | None
    ci_fixed: Interval
    p: float | None
    p_holm: float = 1.0
    verdict: str = ""


class _Bin(_Part):
    confidence: float
    accuracy: float
    n: int


class _Reliability(_Cell):
    bins: list[_Bin]


_Count = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


class _Confusion(_Cell):
    labels: Annotated[list[str], Field(min_length=1)]
    counts: list[list[int] | list[_Count]]
    """A row per gold label: pairs of an answer and its count, or the counts of all answers."""

    @model_validator(mode="after")
    def _square(self) -> _Confusion:
        size = len(self.labels)
        if len(self.counts) != size or not all(_is_row(row, size) for row in self.counts):
            raise ValueError("counts need a row and a column per label")
        return self


def _is_row(row: list[int] | list[list[int]], size: int) -> bool:
    pairs = [one for one in row if isinstance(one, list)]
    return all(said < size for said, _ in pairs) if len(pairs) == len(row) else len(row) == size


class _Several(_Part):
    model: str
    template: str | None
    selection: str
    order: str | None
    verbalizer: str | None
    calibration: str
    shots: int


class _Source(_Part):
    factor: str
    sd: float
    ci: Interval
    sentence: str


class _Variance(_Several):
    sources: list[_Source]


class _Spread(_Several):
    factor: str
    accuracies: Annotated[list[float], Field(min_length=1)]
    estimate: float
    ci: Interval
    sentence: str


class _Learnt(_Part):
    calibration: str
    inputs: int
    saw: str
    prompts: int


class _Model(_Part):
    name: str
    sha256: str
    architecture: str
    weights: str
    runtime: str
    context: int


class _Usage(_Part):
    prompts: int
    cached: int
    naive_tokens: int
    unique_tokens: int
    decoded_tokens: int
    decode_seconds: float
    wall_seconds: float


class _Task(_Part):
    name: str


class _Comparison(_Part):
    task: _Task
    models: list[_Model]
    rows: Annotated[list[_Row], Field(min_length=1)]
    pairs: list[_Pair]
    usage: _Usage
    verdicts: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
    reliability: list[_Reliability] = []
    confusion: list[_Confusion] = []
    calibrations: list[_Learnt] = []
    variance: list[_Variance] = []
    spreads: list[_Spread] = []

    @model_validator(mode="after")
    def _wholes(self) -> _Comparison:
        if all(row.seed is not None for row in self.rows):
            raise ValueError("no row is over all seeds")
        return self


class _Prompts(BaseModel):
    blocks: list[tuple[str | None, list[tuple[str, str]]]]
    prompts: dict[str, list[Annotated[int, Field(ge=0)]]]

    @model_validator(mode="after")
    def _all_there(self) -> _Prompts:
        size = len(self.blocks)
        if any(place >= size for places in self.prompts.values() for place in places):
            raise ValueError(f"a prompt names a block beyond the last one, {size - 1}")
        return self


def check_comparison(data: Mapping[str, Any], file: Path) -> None:
    """Whether a page can be made of `comparison.json`. Raises `DataError` that says why not."""
    _check(_Comparison, data, file)


def check_prompts(data: Mapping[str, Any], file: Path) -> None:
    """The same of `prompts.json`."""
    _check(_Prompts, data, file)


def _check(kind: type[BaseModel], data: Mapping[str, Any], file: Path) -> None:
    try:
        kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or None
        missing = first["type"] == "missing"
        reason = "is not there" if missing else first["msg"].removeprefix("Value error, ")
        value = None if missing or isinstance(first["input"], dict | list) else first["input"]
        problem = Problem(f"{reason}; {_AGAIN}", file=str(file), field=field, value=value)
        raise DataError([problem]) from None
