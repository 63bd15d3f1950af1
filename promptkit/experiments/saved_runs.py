"""Saved comparisons: read again, and checked against the types of the results.

A file that a comparison was not saved in, or that was damaged since, raises a `DataError` with the
file, the line or the field, and the value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from promptkit.calibration.calibration_note import CalibrationNote
from promptkit.errors import DataError, Problem
from promptkit.evaluation.learning_curve import LearningCurve
from promptkit.evaluation.results import (
    Best,
    Confusion,
    FieldConfusion,
    FreeAnswers,
    Pair,
    Reliability,
    Row,
    Selective,
    Slicing,
    Spread,
    Variance,
)
from promptkit.experiments.comparison import encoded
from promptkit.experiments.earlier_runs import upgraded
from promptkit.experiments.setup import Setup
from promptkit.files import saving
from promptkit.files.paths import read_bytes
from promptkit.inference.batch import Cost
from promptkit.inference.cell import FACTORS, FIELDS, RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.inference.threshold_stage import Thresholds
from promptkit.models.base import ModelIdentity
from promptkit.report.packed_prompts import Block
from promptkit.tasks.pydantic_messages import said_of
from promptkit.translation import mark, tr

MOST_BYTES = 8 << 30
"""Largest file of a run that is read."""

_AGAIN = mark("run promptkit compare again, or restore the file")

_adapter = cache(TypeAdapter)


@dataclass(frozen=True)
class Run:
    """A saved comparison.

    Example:
        >>> from promptkit import FakeModel, Store, compare, load_task
        >>> task = load_task("examples/fruit")
        >>> made = compare(task, models=[FakeModel()], shots=[0], limit=3, store=Store())
        >>> len(read_run(made.save("runs/fruit")).predictions)
        24
    """

    folder: Path
    data: Mapping[str, Any]
    """`comparison.json`, as `Comparison.to_dict()` returns it."""
    predictions: tuple[Prediction, ...]

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.data["task"]["name"])

    @property
    def pool(self) -> Mapping[str, str] | None:
        """Digest of each demonstration by its id (`Comparison.pool`); None if not saved."""
        return cast("Mapping[str, str] | None", self.data["pool"])

    @property
    def most_shots(self) -> int:
        """Largest number of shots that was asked."""
        return max(prediction.shots for prediction in self.predictions)


@dataclass(frozen=True)
class _SavedTask:
    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class _SavedResults:
    """`comparison.json`; fields with a default are missing from runs of earlier versions."""

    task: _SavedTask
    models: tuple[ModelIdentity, ...]
    templates: tuple[Mapping[str, str], ...] = ()
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    best: Best | None = None
    verdicts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variance: tuple[Variance, ...] = ()
    spreads: tuple[Spread, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    confusion: tuple[Confusion, ...] = ()
    calibrations: tuple[CalibrationNote, ...] = ()
    free_answers: tuple[FreeAnswers, ...] = ()
    usage: Cost
    pool: Mapping[str, str] | None = None
    slices: tuple[Slicing, ...] = ()
    selective: Selective | None = None
    thresholds: tuple[Thresholds, ...] = ()
    field_confusion: tuple[FieldConfusion, ...] = ()
    metric: str = "accuracy"
    learning_curve: LearningCurve | None = None
    setup: Setup | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _SavedPrompts:
    blocks: tuple[Block, ...]
    prompts: Mapping[str, tuple[int, ...]]


def read_run(folder: str | Path) -> Run:
    """Return the comparison that `Comparison.save` wrote to a folder, by this version or earlier.

    Args:
        folder: The folder with `comparison.json` and `predictions.jsonl`.

    Raises:
        DataError: A file is missing, damaged, cut short or of another kind; with its place.
    """
    folder = Path(folder)
    file = folder / "comparison.json"
    results: _SavedResults = _parsed(_SavedResults, upgraded(_json(_bytes(file), file)), file)
    for place, reason in chain(_unfit_rows(results), _unfit_cells(results)):
        raise _bad(file, f"{reason}; {tr(_AGAIN)}", field=place)
    file = folder / "predictions.jsonl"
    raw = _bytes(file)
    predictions = tuple(_predictions(file, raw))
    rows = sum(row.n for row in results.rows if row.seed is not None and row.calibration == RAW)
    if rows != len(predictions):
        raise _bad(
            file,
            tr(
                "{count:,} predictions, where comparison.json has {rows:,}; one of the two "
                "is cut short or of another run: {AGAIN}",
                count=len(predictions),
                rows=rows,
                AGAIN=tr(_AGAIN),
            ),
        )
    _check_digest(results.files, file, raw)
    data = {one.name: encoded(getattr(results, one.name)) for one in fields(results)}
    return Run(folder, data, predictions)


def read_prompts(run: Run) -> dict[str, Any] | None:
    """Return the prompts of a run, as `packed` returns them; None if it has no `prompts.json`.

    Args:
        run: The run, as `read_run` returns it.

    Raises:
        DataError: The file is damaged, or of another run; with its place.
    """
    file = run.folder / "prompts.json"
    if not file.exists():
        return None
    raw = _bytes(file)
    saved: _SavedPrompts = _parsed(_SavedPrompts, _json(raw, file), file)
    last = len(saved.blocks) - 1
    if any(not 0 <= place <= last for place in chain.from_iterable(saved.prompts.values())):
        raise _bad(
            file,
            tr(
                "a prompt names a block beyond the last one, {last}; {AGAIN}",
                last=last,
                AGAIN=tr(_AGAIN),
            ),
        )
    _check_digest(run.data["files"], file, raw)
    return {"blocks": saved.blocks, "prompts": saved.prompts}


def _check_digest(digests: Mapping[str, str], file: Path, raw: bytes) -> None:
    """Raise `DataError` for a file that was not saved with `comparison.json`, if digests were."""
    if file.name in digests and saving.digest(raw) != digests[file.name]:
        raise _bad(
            file,
            tr(
                "not the file that was saved with comparison.json: it was changed, or "
                "saving a later run was interrupted; {AGAIN}",
                AGAIN=tr(_AGAIN),
            ),
        )


def _unfit_rows(results: _SavedResults) -> Iterator[tuple[str, str]]:
    """Yield the places of rows that are not those of one comparison, and the reasons."""
    rows = results.rows
    whole = {row.cell for row in rows if row.seed is None}
    drawn = {row.at(seed=None) for row in rows if row.seed is not None}
    if not whole:
        yield "rows", tr("no row is over all seeds")
    if any(getattr(row, name) is None for row in rows for name in FACTORS):
        yield "rows", tr("a row has no level of a factor")
    if whole != drawn or len({row.cell for row in rows}) < len(rows):
        yield "rows", tr("a cell needs one row over all seeds and one of each seed")
    if not {row.model for row in rows} <= {model.name for model in results.models}:
        yield "models", tr("the model of a row is missing")
    for at, row in enumerate(rows):
        if row.n < 1 or not 0 <= row.accuracy <= 1:
            yield f"rows.{at}", tr("no accuracy of 1 query or more")


def _unfit_cells(results: _SavedResults) -> Iterator[tuple[str, str]]:
    """Yield the places of what is not about the cells of the rows, and the reasons."""
    levels = {name: {getattr(row, name) for row in results.rows} for name in FACTORS}
    several = ("variance", "spreads")  # about several levels of a factor that is None
    names = (*several, "reliability", "confusion", "field_confusion", "thresholds")
    cells: list[tuple[str, Sequence[Cell]]] = [(name, getattr(results, name)) for name in names]
    cells += [("pairs", [getattr(pair, side) for pair in results.pairs]) for side in "ab"]
    for name, every in cells:
        for at, cell in enumerate(every):
            own = [(getattr(cell, factor), known) for factor, known in levels.items()]
            if any(not (one in known or (one is None and name in several)) for one, known in own):
                yield f"{name}.{at}", tr("no row has the levels of this cell")
    matrices = [("confusion", *one) for one in enumerate(results.confusion)]
    matrices += [("field_confusion", *one) for one in enumerate(results.field_confusion)]
    for name, at, matrix in matrices:
        size = len(matrix.labels)
        pairs = [*chain.from_iterable(matrix.answers)]
        fit = all(0 <= answer < size and count >= 0 for answer, count in pairs)
        if not fit or not 0 < size == len(matrix.answers):
            yield f"{name}.{at}", tr("counts need a row and a column per label")
    for at, chosen in enumerate(results.thresholds):
        if not 0 < len(chosen.labels) == len(chosen.values):
            yield f"thresholds.{at}", tr("a label needs a threshold")
    for at, spread in enumerate(results.spreads):
        if not spread.accuracies:
            yield f"spreads.{at}.accuracies", tr("no accuracy")


def _predictions(file: Path, raw: bytes) -> Iterator[Prediction]:
    seen: dict[tuple[Cell, str], int] = {}
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        last = number == len(lines)  # a whole file ends in a newline
        record = _json(line, file, number, cut=last)
        if isinstance(record.get("logprobs"), dict):  # JSON has no infinities
            logprobs = record["logprobs"]
            record["logprobs"] = {k: -math.inf if v is None else v for k, v in logprobs.items()}
        prediction: Prediction = _parsed(Prediction, record, file, number)
        for name in FIELDS:
            if getattr(prediction, name) is None:
                raise _bad(
                    file, tr("no field {name!r}; {AGAIN}", name=name, AGAIN=tr(_AGAIN)), number
                )
        first = seen.setdefault((prediction.cell, prediction.id), number)
        if first != number:
            reason = tr(
                "the same cell and example as line {first}; {AGAIN}", first=first, AGAIN=tr(_AGAIN)
            )
            raise _bad(file, reason, number, example=prediction.id)
        yield prediction
    if not seen:
        raise _bad(file, tr("no predictions; {AGAIN}", AGAIN=tr(_AGAIN)))


def _parsed(kind: Any, data: Mapping[str, Any], file: Path, line: int | None = None) -> Any:
    """Return JSON as a dataclass. Raises `DataError` with the first field that does not fit."""
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # The counts of a confusion matrix are the field `answers` of its type.
        place = ".".join("counts" if part == "answers" else str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise _bad(
                file, tr("no field {place!r}; {AGAIN}", place=place, AGAIN=tr(_AGAIN)), line
            ) from None
        value = None if isinstance(first["input"], dict) else first["input"]
        reason = f"{said_of(first)}; {tr(_AGAIN)}"
        raise _bad(file, reason, line, field=place, value=value) from None


def _bytes(file: Path) -> bytes:
    try:
        return read_bytes(file, MOST_BYTES)
    except OSError as error:
        raise _bad(
            file,
            tr(
                "{strerror}; a saved comparison is a folder with comparison.json and "
                "predictions.jsonl, as promptkit compare --out writes it",
                strerror=error.strerror or error,
            ),
        ) from None


def _json(text: bytes, file: Path, line: int | None = None, *, cut: bool = False) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        place = getattr(error, "lineno", None) if line is None else line
        why = tr("the file is cut short") if cut else tr("not JSON ({error})", error=error)
        raise _bad(file, f"{why}; {tr(_AGAIN)}", place) from None
    if not isinstance(value, dict):
        raise _bad(file, tr("not a JSON object; {AGAIN}", AGAIN=tr(_AGAIN)), line)
    return value


def _no_number(name: str) -> float:
    raise ValueError(tr("{name} is no number in JSON", name=name))


def _finite(digits: str) -> float:
    """Return a number; JSON may hold one that is read as infinity, such as 1e999."""
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits)


def _bad(file: Path, reason: str, line: int | None = None, **where: Any) -> DataError:
    return DataError([Problem(reason, file=str(file), line=line, **where)])
