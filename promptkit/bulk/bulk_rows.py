"""Rows of bulk prediction: examples in, predictions and rejects out, and which rows are equal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from unicodedata import normalize

from promptkit.bulk.bulk_inputs import InputStream, NumberedRow, Rows
from promptkit.errors import Problem
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.reading import Columns, RowReader, misnamed
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser

ANSWER = ("label", "probs", "margin", "coverage", "abstained", "text", "failure")
"""Fields of a predicted row that are the answer, beside `line`, `id` and `input`."""

_text = json.JSONEncoder(ensure_ascii=False, default=str).encode
_READS_METADATA = re.compile(r"metadata|\{%-?\+?\s*(include|import|from|extends)\b")


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that fits the task's input type."""

    line: int
    """Line on which the row begins, or its number from 1."""
    example: Example[Any, Any]
    key: bytes
    """Digest that rows share which are asked once."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be asked."""

    line: int
    reason: str
    field: str | None
    """Field or column that does not fit; None for the row as a whole."""
    value: Any
    """The row as it was read."""

    @property
    def text(self) -> str:
        """Return the row as a line of JSON."""
        parts = {"line": self.line, "field": self.field, "reason": self.reason}
        raw = {**parts, "value": _finite(self.value)}
        return _text(raw)

    def problem(self, name: str) -> Problem:
        """Return the row as a problem of its file."""
        return Problem(self.reason, name, self.line, None, self.field, self.value)


class RowParser:
    """Makes examples of the rows of a stream, for one task."""

    def __init__(
        self,
        task: Task[Any, Any],
        stream: InputStream,
        columns: Columns | None,
        keys: RowKeys,
    ) -> None:
        """Make a parser.

        Raises `TaskError` for `columns` that name no part of an input.
        """
        self._problems: list[Problem] = []
        parser = ExampleParser(*task.types(), self._problems)
        self._reader = RowReader(parser, columns or {}, {}, stream.textual, stream.sparse)
        self._stream, self._keys = stream, keys

    def rows(self) -> Rows:
        """Yield the rows of the stream as they are read."""
        return self._stream.rows(self._reader.required)

    def parse(self, line: int, row: Mapping[str, Any] | Problem) -> GoodRow | BadRow:
        """Return the example of a row, or why there is none."""
        if isinstance(row, Problem):
            return BadRow(line, row.reason, row.field, row.value)
        known = {k: v for k, v in self._reader.known(row).items() if k != "output"}
        problems = self._problems
        problems.clear()
        missing = [column for column in self._reader.required if column not in known]
        if missing:
            problems += misnamed(missing, self._reader.required, row, ("", line))
        elif (example := self._reader.example(known)) is not None:
            return GoodRow(line, example, self._keys.of(example))
        found = [self._reader.as_named(problem) for problem in problems]
        reasons = [
            one.reason if one.field is None or len(found) == 1 else f"{one.field}: {one.reason}"
            for one in found
        ]
        field = found[0].field if len(found) == 1 else None
        return BadRow(line, "; ".join(reasons), field, row)


@dataclass(frozen=True)
class RowKeys:
    """Digests that are equal for rows which are asked once."""

    task: Task[Any, Any]
    normalise: bool
    """Whether texts count as equal that differ in Unicode's composition or in white space only."""
    metadata: bool
    """Whether the other columns of a row count."""

    @classmethod
    def for_predictor(
        cls, predictor: AnyPredictor, task: Task[Any, Any], *, normalise: bool
    ) -> RowKeys:
        """Return the keys for a predictor: other columns count where its template may print them.

        Args:
            predictor: The predictor that is asked.
            task: Its task.
            normalise: Whether texts are compared after normalisation.
        """
        source = predictor.template.source if isinstance(predictor, Predictor) else ""
        return cls(task, normalise, _READS_METADATA.search(source) is not None)

    def of(self, example: Example[Any, Any]) -> bytes:
        """Return the key of an example."""
        parts: list[Any] = [self.task.fields_of(example)]
        if self.metadata:
            parts.append(example.metadata)
        return sha256(canonical(normalised(parts) if self.normalise else parts)).digest()[:16]


def normalised(value: Any) -> Any:
    """Return a value whose texts are in Unicode's NFC, with one space for each run of white space.

    White space is what `str.split` takes for it; there is none at the ends.
    """
    if isinstance(value, str):
        text = value if value.isascii() else normalize("NFC", value)
        return " ".join(text.split())
    if isinstance(value, Mapping):
        return {key: normalised(item) for key, item in value.items()}
    return [normalised(item) for item in value] if isinstance(value, list | tuple) else value


def answer_text(prediction: Prediction) -> str:
    """Return the answer of a prediction as JSON: what equal rows share."""
    answer = {name: getattr(prediction, name) for name in ANSWER}
    if prediction.margin is not None and not math.isfinite(prediction.margin):
        answer["margin"] = None  # over labels without any probability, which JSON cannot hold
    for name in ("rationale", "thought"):
        if (text := getattr(prediction, name)) is not None:
            answer[name] = text
    return _text(answer)


def row_text(task: Task[Any, Any], row: GoodRow, answer: str) -> str:
    """Return a predicted row as a line of JSON, given its answer in JSON."""
    fields = dict(task.fields_of(row.example))
    own = _text({"line": row.line, "id": row.example.id, "input": fields})
    return f"{own[:-1]}, {answer[1:]}"


def digest_of(rows: Sequence[NumberedRow]) -> str:
    """Return a digest of rows as they were read."""
    digest = sha256()
    for line, row in rows:
        parts = [line, [row.reason, row.value] if isinstance(row, Problem) else row]
        digest.update(canonical(parts) + b"\n")
    return digest.hexdigest()


def rejected(row: GoodRow, error: Exception) -> BadRow:
    """Return a row whose prompt cannot be made as one that is rejected."""
    fields = {"id": row.example.id, **row.example.metadata}
    return BadRow(row.line, str(error), None, fields | dict(row.example.input.__dict__))


def _finite(value: Any) -> Any:
    """Return a value with texts for the numbers that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
