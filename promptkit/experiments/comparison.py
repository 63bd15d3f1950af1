"""What a comparison comes to: rows, paired differences, cost, and the predictions behind them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptkit.calibration.apply import CalibrationNote
from promptkit.errors import MissingExtraError
from promptkit.evaluation.results import (
    Best,
    Confusion,
    FreeAnswers,
    Pair,
    Reliability,
    Row,
    Spread,
    Variance,
)
from promptkit.files import saving
from promptkit.inference.batch import Cost
from promptkit.inference.cell import FIELDS, Cell
from promptkit.inference.prediction import Prediction
from promptkit.models.base import ModelIdentity
from promptkit.prompts.prompt import Prompt
from promptkit.templating.template import Template

FILES = ("comparison.json", "predictions.jsonl", "prompts.json", "report.html")
"""What `Comparison.save` always writes."""

if TYPE_CHECKING:
    import altair
    import pandas


@dataclass(frozen=True)
class Comparison:
    """A grid of cells over the same queries; `print` it, or save it."""

    task: str
    fingerprint: str
    models: tuple[ModelIdentity, ...]
    templates: tuple[Template, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    best: Best
    """The cell that scored highest, tested against all others."""
    verdicts: tuple[str, ...]
    """What it comes to, in plain language, the most important first."""
    warnings: tuple[str, ...]
    """What a careful reader must know."""
    notes: tuple[str, ...]
    """How to read the figures, such as what counts as right."""
    variance: tuple[Variance, ...]
    spreads: tuple[Spread, ...]
    reliability: tuple[Reliability, ...]
    confusion: tuple[Confusion, ...]
    calibrations: tuple[CalibrationNote, ...]
    free_answers: tuple[FreeAnswers, ...]
    usage: Cost
    predictions: tuple[Prediction, ...]
    prompts: Mapping[str, Prompt]
    """The prompts by their `prompt_sha256`."""
    pool: Mapping[str, str]
    """A short digest of each demonstration of the pool, by its id."""

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON can hold it; the predictions are `to_records()`."""
        data: dict[str, Any] = {
            "task": {"name": self.task, "fingerprint": self.fingerprint},
            "models": [asdict(identity) for identity in self.models],
            "templates": [{"name": one.name, "source": one.source} for one in self.templates],
            "rows": [asdict(row) for row in self.rows],
            "pairs": [asdict(pair) for pair in self.pairs],
            "best": asdict(self.best),
            "verdicts": list(self.verdicts),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "variance": [_of_seeds(one) for one in self.variance],
            "spreads": [_of_seeds(one) for one in self.spreads],
            "reliability": [_of_seeds(curve) for curve in self.reliability],
            "confusion": [_matrix(matrix) for matrix in self.confusion],
            "calibrations": [asdict(note) for note in self.calibrations],
            "free_answers": [asdict(free) for free in self.free_answers],
            "usage": asdict(self.usage),
            "pool": dict(self.pool),
            "files": self._digests,
        }
        return {name: finite(value) for name, value in data.items()}

    @cached_property
    def _digests(self) -> dict[str, str]:
        """The digests of the files that `save` writes beside `comparison.json`."""
        from promptkit.report.packed_prompts import packed

        return _digests_of(_data_files(self.to_records(), packed(self.prompts)))

    def to_records(self) -> list[dict[str, Any]]:
        """The predictions as JSON can hold them."""
        return records(self.predictions)

    def to_pandas(self) -> pandas.DataFrame:
        """One line per cell. Raises `MissingExtraError` without pandas."""
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("a data frame", "pandas") from None
        return pandas.DataFrame([asdict(row) for row in self.rows])

    def plot(self, what: str = "accuracy") -> altair.TopLevelMixin:
        """A chart, to look at in a notebook or to go on with.

        `what` is accuracy, differences, reliability, confusion, variance, spread or cost. Raises
        `TaskError` for another and for what there is none of, and `MissingExtraError` without the
        extra report.
        """
        try:
            from promptkit.report.charts import plot as charts
        except ImportError:
            raise MissingExtraError("a plot", "report") from None
        chart: altair.TopLevelMixin = charts.plot(self.to_dict(), what)
        return chart

    def save(self, folder: str | Path) -> Path:
        """Writes all that `promptkit report` and people need; returns the folder.

        That is `comparison.json`, `predictions.jsonl`, `prompts.json` with the exact prompts, and
        `report.html`. Templates that stand in no file, such as the variants of `formats`, go to
        `formats/`. Raises OSError where it cannot be written; a run that was saved there before is
        then unchanged.
        """
        from promptkit.report import page
        from promptkit.report.packed_prompts import packed

        folder = Path(folder)
        records, prompts = self.to_records(), packed(self.prompts)
        files = _data_files(records, prompts)
        self.__dict__["_digests"] = _digests_of(files)  # lest to_dict makes the texts once more
        data = self.to_dict()
        files["report.html"] = page.html(data, records, prompts)
        for number, template in enumerate(self.templates, 1):
            if template.file is None:
                files[f"formats/{_file_name(template, number)}"] = _said(template)
        files["comparison.json"] = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        saving.write_all({folder / name: text for name, text in files.items()})
        return folder

    def __str__(self) -> str:
        from promptkit.report import terminal

        return terminal.text(self.to_dict(), self.to_records())

    __repr__ = __str__


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _data_files(records: Iterable[dict[str, Any]], prompts: Any) -> dict[str, str]:
    """The files of a run whose digests stand in `comparison.json`."""
    return {
        "predictions.jsonl": "".join([f"{_encode(record)}\n" for record in records]),
        "prompts.json": _encode(prompts) + "\n",
    }


def _digests_of(files: Mapping[str, str]) -> dict[str, str]:
    return {name: saving.digest(text) for name, text in files.items()}


def records(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Predictions as JSON can hold them."""
    return [_record(prediction) for prediction in predictions]


def _file_name(template: Template, number: int) -> str:
    stem = re.sub(r"[^\w.-]+", "-", template.name.partition(" [")[0].removesuffix(".j2"))
    return f"{stem}-{number}.j2"


def _said(template: Template) -> str:
    """A template's source under a comment with its name, which renders the same."""
    return f"{{# {template.name.replace('#}', '# }')} #}}\n{template.source}"


def _of_seeds(one: Cell) -> dict[str, Any]:
    """Return what is said of all seeds of a cell, as JSON can hold it: without a seed."""
    return {name: value for name, value in asdict(one).items() if name != "seed"}


def _matrix(matrix: Confusion) -> dict[str, Any]:
    """A matrix without its zeros: with 2,000 labels it has four million of them."""
    data = _of_seeds(matrix)
    data["counts"] = data.pop("answers")
    return data


def _record(prediction: Prediction) -> dict[str, Any]:
    record = {name: getattr(prediction, name) for name in _RECORD}
    for name, value in record.items():
        if type(value) not in _SIMPLE:
            record[name] = finite(value)
    return record


_RECORD = [name for name in (*Prediction.__slots__, *FIELDS) if name != "calibration"]
"""Fields of a record: `calibrated` has the answers under every calibration."""

_SIMPLE = frozenset((str, int, bool, type(None)))


def finite(value: Any) -> Any:
    """A value as JSON can hold it: it has no infinities, so the logarithm of nothing is null."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
