"""Gold outputs of a pool, where its rows have some."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from promptkit.bulk.bulk_inputs import input_stream
from promptkit.errors import Problem
from promptkit.students.number_tasks import scale_of
from promptkit.students.pool_labels import PoolLabels, PoolSource
from promptkit.students.teacher import Teacher
from promptkit.students.training_set import UNKNOWN, Table
from promptkit.tasks.measures import number_of
from promptkit.tasks.reading import Columns, RowReader
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser


def gold_of(
    teacher: Teacher,
    pool: PoolSource,
    labels: PoolLabels,
    *,
    columns: Columns | None = None,
    codes: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> Table:
    """Return the gold labels of rows by their place, or gold numbers, (rows,).

    `UNKNOWN` or NaN stands for a row that has none, or one that does not fit the task.

    Args:
        teacher: The teacher.
        pool: The rows.
        labels: Those of them that count.
        columns: Columns of the input fields and of `output`, where they have other names.
        codes: Labels by the codes that stand for them in the pool.
        limit: Number of rows to read at the most.
    """
    stream, task = input_stream(pool.rows), teacher.task
    parser = ExampleParser(*task.types(), [])
    reader = RowReader(parser, columns or {}, codes or {}, stream.textual, stream.sparse)
    place = {line: number for number, line in enumerate(labels.lines.tolist())}
    found = np.full(len(place), float(UNKNOWN) if task.labels else np.nan)
    with closing(stream.rows(reader.required)) as rows:
        for line, row in islice(rows, limit):
            if line not in place or isinstance(row, Problem):
                continue
            parser.problems.clear()
            example = reader.example(reader.known(row))
            if example is not None and example.labelled:
                found[place[line]] = _value(task, example.output)
    if not teacher.expects:
        return found
    known = found.astype(np.intp)
    return np.where(known == UNKNOWN, np.nan, scale_of(task)[known])


def _value(task: Task[Any, Any], output: Any) -> float:
    if task.labels:
        return task.labels.index(task.output_type.text(output))
    number = number_of(output)
    return float("nan") if number is None else number
