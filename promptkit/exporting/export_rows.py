"""Rows that training data is made of: the pool of a task, or stored predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from promptkit.errors import DataError, Problem, TaskError
from promptkit.lookup.lookup_rows import PredictedRows
from promptkit.tasks.examples import Example, texts_of
from promptkit.tasks.near_duplicates import near_groups, normal_form
from promptkit.tasks.splitting import tests_of
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import mark, tr

NO_ANSWER = mark("without an answer")
UNSURE = mark("below the least confidence")
UNCOVERED = mark("below the least coverage")
IN_TESTS = mark("in the tests, or near-duplicates of one")
"""Reasons for which rows are left out."""


class ExportRow(NamedTuple):
    """A row with its answer."""

    example: Example[Any, Any]
    probs: Mapping[str, float] | None = None
    """Probability of each label; None for gold answers."""


class ExportRows(NamedTuple):
    """Rows, and those that were left out."""

    rows: list[ExportRow]
    left_out: Counter[str]
    """Number of rows by the reason."""


def pool_rows_of(task: Task[Any, Any]) -> ExportRows:
    """Return the labelled rows of a task's pool. Raises `TaskError` where they are all tests."""
    if task.folds:
        raise TaskError(
            tr(
                "task {name!r} has folds, so that every row of its pool is a test; give "
                "predictions of other rows, or split the data (files.split)",
                name=task.name,
            )
        )
    rows = [ExportRow(demo) for demo in task.demos if demo.labelled]
    return ExportRows(rows, Counter({NO_ANSWER: len(task.demos) - len(rows)}))


def predicted_rows(
    task: Task[Any, Any],
    file: str | Path,
    least_confidence: float | None,
    least_coverage: float | None,
) -> ExportRows:
    """Return the rows of stored predictions.

    Args:
        task: The task that they are of.
        file: The predictions, in JSONL or Parquet.
        least_confidence: The least probability of an answer; None for any.
        least_coverage: The least probability of all labels together; None for any.

    Raises:
        TaskError: The file is of another kind, or has no probabilities to filter by.
        DataError: Rows do not fit the task.
    """
    problems: list[Problem] = []
    parser = ExampleParser(*task.types(), problems)
    read, rows, left_out = PredictedRows(file), list[ExportRow](), Counter[str]()
    for line, fields, answer in read:
        sure = None if answer.probs is None else max(answer.probs.values())
        if answer.abstained or answer.label is None:
            left_out[NO_ANSWER] += 1
        elif _below(sure, least_confidence, file, line, mark("probabilities")):
            left_out[UNSURE] += 1
        elif _below(answer.coverage, least_coverage, file, line, mark("coverage")):
            left_out[UNCOVERED] += 1
        else:
            given = {"input": fields, "output": answer.label}
            example = parser.parse(given, place=(str(file), line), column="label")
            if example is not None:
                rows.append(ExportRow(example, answer.probs))
    if problems:
        raise DataError(problems)
    left_out[NO_ANSWER] += read.unanswered
    return ExportRows(rows, left_out)


def _below(
    value: float | None, least: float | None, file: str | Path, line: int, what: str
) -> bool:
    if least is None:
        return False
    if value is None:
        raise TaskError(
            tr(
                "{file}:{line}: no {what} to filter by; leave the filter out",
                file=file,
                line=line,
                what=tr(what),
            )
        )
    return value < least


def apart_from_tests(task: Task[Any, Any], found: ExportRows) -> ExportRows:
    """Return the rows that are no test, and no near-duplicate of one."""
    tests = [normal_form(texts_of(test.input)) for test in task.tests]
    own = [normal_form(texts_of(row.example.input)) for row in found.rows]
    groups = near_groups([*tests, *own])
    taken = {*groups[: len(tests)]}
    kept = [
        row
        for row, group in zip(found.rows, groups[len(tests) :], strict=True)
        if group not in taken
    ]
    left_out = found.left_out + Counter({IN_TESTS: len(found.rows) - len(kept)})
    return ExportRows(kept, left_out)


def split(
    rows: Sequence[ExportRow], share: float, seed: int
) -> tuple[list[ExportRow], list[ExportRow]]:
    """Return the rows to train with and those to validate with; near-duplicates stay together.

    Args:
        rows: All rows.
        share: The share to validate with, from 0; below 1.
        seed: Number of the draw.
    """
    if not 0 <= share < 1:
        raise TaskError(
            tr(
                "validation {share}: a share of the rows, from 0 to below 1, such as 0.1",
                share=share,
            )
        )
    chosen = tests_of([row.example for row in rows], share, seed) if share else set()
    return (
        [row for place, row in enumerate(rows) if place not in chosen],
        [row for place, row in enumerate(rows) if place in chosen],
    )
