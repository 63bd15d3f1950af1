"""Checks of a task's rows against each other: repeats, contradictions, tests in the pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

from promptkit.errors import Problem
from promptkit.files.json_values import plain
from promptkit.tasks.examples import Example, canonical, text_key
from promptkit.tasks.languages import example_in
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.tables import DataFile
from promptkit.translation import tr

Part = Literal["demos", "tests"]
PARTS: tuple[Part, ...] = get_args(Part)

Defect = Literal["missing output", "repeated row", "contradiction", "repeated id", "leak"]
"""`leak`: a test whose input is also in the pool."""


class PlacedExample(NamedTuple):
    """An example and its place in a file, or in a sequence."""

    part: Part
    number: int
    """Position in the part, counted from 0."""
    example: Example[Any, Any]
    file: DataFile | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.part}[{self.number}]" if self.file is None else f"{self.file}:{self.line}"


class RowProblem(NamedTuple):
    """A defect of a row; `other` is the earlier row that it repeats, or itself."""

    defect: Defect
    row: PlacedExample
    other: PlacedExample
    language: str = ""
    """The language in which they are alike, where it is not the task's own."""

    def as_problem(self, column: str) -> Problem:
        """Return the problem in words; `column` is the name of the outputs' column."""
        (part, _, example, file, line), other = self.row, self.other
        field, value = "input", _short(example)
        drop = "" if file is None else tr(', or write repeats = "drop" in [files] of task.toml')
        match self.defect:
            case "missing output":
                reason, field, value = "missing", column, None
            case "repeated row":
                reason = tr("the same row as {other}; delete one{drop}", other=other, drop=drop)
            case "contradiction":
                gold = other.example.output
                reason = tr(
                    "the same input as {other}, which has the output {gold!r}; keep one",
                    other=other,
                    gold=gold,
                )
                field, value = column, example.output
            case "repeated id":
                field, value = "id", None
                reason = tr(
                    "the same id as {other}, whose input is another; an id is unique among the "
                    "{part}: rename the column id, or leave it out{drop}",
                    other=other,
                    part=part,
                    drop=drop,
                )
            case "leak":
                reason = tr(
                    "this test is also in the pool, as {other}; a test that can be its own "
                    "demonstration measures nothing{drop}",
                    other=other,
                    drop=drop,
                )
        reason = (
            tr("in {language}: {reason}", language=self.language, reason=reason)
            if self.language
            else reason
        )
        return Problem(reason, None if file is None else str(file), line, example.id, field, value)


def placed(part: Part, examples: Iterable[Example[Any, Any]]) -> list[PlacedExample]:
    """Return examples that come from no file with their positions."""
    return [PlacedExample(part, number, example) for number, example in enumerate(examples)]


def check_rows(
    demos: Sequence[PlacedExample],
    tests: Sequence[PlacedExample],
    output: OutputType,
    languages: Sequence[str] = (),
) -> Iterator[RowProblem]:
    """Yield what is wrong between rows: within the pool, within the tests, then between them.

    Two rows whose translations are the same are one row in that of the `languages`.
    """
    yield from _check_inputs(demos, tests, output)
    for language in languages[1:]:
        pool, asked = (_in_language(rows, language, languages) for rows in (demos, tests))
        for found in _check_inputs(pool, asked, output):
            if found.defect in ("repeated row", "contradiction", "leak"):
                yield found._replace(language=language)


def _in_language(
    rows: Sequence[PlacedExample], language: str, known: Sequence[str]
) -> list[PlacedExample]:
    return [row._replace(example=example_in(row.example, language, known)) for row in rows]


def _check_inputs(
    demos: Sequence[PlacedExample], tests: Sequence[PlacedExample], output: OutputType
) -> Iterator[RowProblem]:
    for rows in (demos, tests):
        yield from _check_part(rows, output)
    pool = {text_key(row.example.input): row for row in reversed(demos)} if tests else {}
    for row in tests if pool else ():
        demo = pool.get(text_key(row.example.input))
        if demo is not None:
            yield RowProblem("leak", row, demo)


def _check_part(rows: Sequence[PlacedExample], output: OutputType) -> Iterator[RowProblem]:
    inputs: dict[bytes, PlacedExample] = {}
    ids: dict[str, PlacedExample] = {}
    for row in rows:
        example = row.example
        if not example.labelled:
            yield RowProblem("missing output", row, row)
        first = inputs.setdefault(canonical(plain(example.input)), row)
        same_id = ids.setdefault(example.id, row)
        if first is not row:
            same = output.same(first.example.output, example.output)
            yield RowProblem("repeated row" if same else "contradiction", row, first)
        elif same_id is not row:
            yield RowProblem("repeated id", row, same_id)


def _short(example: Example[Any, Any]) -> Any:
    fields = plain(example.input)
    return next(iter(fields.values())) if len(fields) == 1 else fields
