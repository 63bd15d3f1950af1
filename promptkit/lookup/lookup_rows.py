"""Predictions as they are read for a lookup table: inputs with their answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from promptkit.errors import (
    MAX_SHOWN,
    DataError,
    MissingExtraError,
    Problem,
    TaskError,
    shorten,
)
from promptkit.lookup.lookup_entries import StoredAnswer
from promptkit.tasks.languages import OWN
from promptkit.text import listed
from promptkit.translation import tr

OTHERS = (
    *("line", "id", "gold", "label", "correct", "logprobs", "probs", "margin", "near_tie"),
    *("coverage", "text", "failure", "abstained", "rationale", "shot_ids", "prompt_sha256"),
    *("tokens", "seconds", "calibrated", "measures"),
)
"""Columns of predictions that are no input fields, beside those of `CELL`."""

CELL = ("model", "template", "selection", "order", "verbalizer", "calibration", "shots", "seed")
"""Columns of the cell that a prediction is of."""


SUFFIXES = (".jsonl", ".ndjson", ".parquet")
"""Ends of the names of files that predictions are read from."""


class AnsweredRow(NamedTuple):
    """An input with its answer."""

    line: int
    """Line of the file, or number of the row, from 1."""
    fields: Mapping[str, Any]
    """The input."""
    answer: StoredAnswer


class PredictedBy(NamedTuple):
    """What predictions were made by, as far as it is known."""

    model: str | None = None
    template: str | None = None
    predictor: str | None = None
    """Digest of everything that decides the predictions."""


class PredictedRows:
    """Rows of predictions, read once; `origin` is complete when all are."""

    def __init__(self, predictions: str | Path | Iterable[Any]) -> None:
        self.name = "predictions"
        self.origin = PredictedBy()
        self.unanswered = 0
        """Number of rows without an answer."""
        self.took: dict[str, float] | None = {"tokens": 0, "seconds": 0.0}
        """Tokens and seconds that the predictions took; None where a row does not say it."""
        self._problems: list[Problem] = []
        self._cell: Mapping[str, Any] | None = None
        self._fields: tuple[str, ...] | None = None
        if isinstance(predictions, str | Path):
            path = Path(predictions)
            self.name, self._rows = path.name, _read(path)
            self._file: str | None = str(path)
            self.origin = _manifest(path)
        else:
            self._file, self._rows = None, enumerate(predictions, 1)

    def __iter__(self) -> Iterator[AnsweredRow]:
        """Yield the rows that have an answer.

        Raises:
            DataError: Rows are no predictions, or not of one cell.
        """
        for line, given in self._rows:
            row = given if isinstance(given, Mapping) else _plain(given)
            reason = row if isinstance(row, str) else self._flaw(row)
            if isinstance(row, str) or reason is not None:
                self.refuse(line, reason or "")
                continue
            answer = _answer(row)
            self._count(row)
            if answer is None:
                self.unanswered += 1
            else:
                yield AnsweredRow(line, _input(row), answer)
        self.check()

    def refuse(self, line: int, reason: str) -> None:
        """Note a row that cannot be used. Raises `DataError` once there are many."""
        self._problems.append(Problem(reason, self._file or self.name, line))
        if len(self._problems) > MAX_SHOWN:
            self.check()

    def check(self) -> None:
        """Raise `DataError` where rows cannot be used."""
        if self._problems:
            raise DataError(self._problems)

    def _count(self, row: Mapping[str, Any]) -> None:
        """Add the tokens and seconds of a row."""
        for name in self.took or ():
            value = row.get(name)
            if self.took is not None and isinstance(value, int | float):
                self.took[name] += value
            else:
                self.took = None

    def _flaw(self, row: Mapping[str, Any]) -> str | None:
        """Return why a row cannot be used; None for one that can."""
        if "label" not in row:
            return tr(
                "no prediction: it has no label, but {names}",
                names=listed([*map(repr, row)][:8]) or tr("nothing"),
            )
        fields = tuple(_input(row))
        if not fields:
            return tr("no input fields")
        if self._fields is None:
            self._fields = fields
        if {*fields} != {*self._fields}:
            return tr(
                "input fields {fields}, where those before have {before}",
                fields=listed(fields),
                before=listed(self._fields),
            )
        cell = _cell(row)
        if self._cell is None:
            self._cell = cell
            model, template = row.get("model"), row.get("template")
            self.origin = PredictedBy(
                self.origin.model or model,
                self.origin.template or template,
                self.origin.predictor,
            )
        if cell != self._cell:
            changed = [name for name, level in cell.items() if level != self._cell[name]]
            return tr(
                "of another {changed} than those before; choose one cell's predictions",
                changed=listed(changed),
            )
        return None


def _cell(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the cell of a row; the language of one with flat fields may be one of these."""
    found = {name: row.get(name) for name in CELL}
    return found | {"language": row.get("language", OWN) if "input" in row else OWN}


def _input(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = row.get("input")
    if isinstance(found, Mapping):
        return found
    return {name: value for name, value in row.items() if name not in OTHERS and name not in CELL}


def _answer(row: Mapping[str, Any]) -> StoredAnswer | None:
    abstained = bool(row.get("abstained"))
    if row.get("failure") is not None and not abstained:
        return None
    probs = row.get("probs")
    if probs is not None:  # Parquet has pairs, or a column for each label of any row
        probs = {str(name): float(p) for name, p in dict(probs).items() if p is not None}
    return StoredAnswer(
        row["label"],
        probs or None,
        row.get("margin"),
        row.get("coverage"),
        abstained,
        row.get("text"),
    )


def _plain(row: Any) -> Mapping[str, Any] | str:
    """Return a prediction as a mapping, or why it is none."""
    names = ("input", "label", "probs", "margin", "coverage", "text", "failure", *CELL)
    try:
        found = {name: getattr(row, name) for name in names}
    except AttributeError:
        return tr("neither a prediction nor a mapping: {row}", row=shorten(row))
    others = {name: getattr(row, name, None) for name in ("tokens", "seconds")}
    others["language"] = getattr(row, "language", OWN)
    return {**found, **others, "abstained": getattr(row, "abstained", False)}


def _read(path: Path) -> Iterator[tuple[int, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(path)
    raise TaskError(
        tr(
            "{path}: predictions are read from files that end in {SUFFIXES}",
            path=path,
            SUFFIXES=", ".join(SUFFIXES),
        )
    )


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the lines with their values; a text says why there is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, tr("no JSON: {error}", error=error)
                continue
            is_row = isinstance(value, Mapping)
            yield (
                number,
                value if is_row else tr("no JSON object, but {value}", value=shorten(value)),
            )


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(tr("a Parquet file"), "data") from None
    number = 0
    try:
        with path.open("rb") as opened, parquet.ParquetFile(opened) as file:
            for batch in file.iter_batches(10_000):
                for row in batch.to_pylist():
                    number += 1
                    if isinstance(row.get("input"), str):  # of values without a common type
                        row["input"] = json.loads(row["input"])
                    yield number, row
    except (pyarrow.ArrowException, ValueError) as error:
        raise TaskError(tr("{path}: not Parquet: {error}", path=path, error=error)) from None


def _manifest(path: Path) -> PredictedBy:
    """Return what the manifest beside predictions says."""
    try:
        text = path.with_name(f"{path.name}.manifest.json").read_text("utf-8")
        made_of = json.loads(text)["made_of"]
        found = (made_of.get(name) for name in ("predictor", "template", "predictor_key"))
        return PredictedBy(*(one if isinstance(one, str) else None for one in found))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return PredictedBy()
