"""Calibration of a teacher on rows of the pool that it labels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from random import Random
from typing import Any

from promptkit.bulk.bulk_inputs import Inputs, input_stream
from promptkit.bulk.bulk_rows import GoodRow, RowKeys, RowParser
from promptkit.calibration.calibrated_predictors import calibrated_predictor
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import apart
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Predictor
from promptkit.inference.store import Store
from promptkit.tasks.examples import Example
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task
from promptkit.translation import tr

ROWS = 512
"""Number of rows that a calibration learns from."""


def calibrated(
    members: Sequence[Predictor],
    method: str,
    pool: Inputs,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> list[Predictor]:
    """Return predictors with a calibration that has learnt from rows of a pool.

    Args:
        members: Prompts of one task.
        method: Method of calibration; `none` for none.
        pool: The pool; a file, or what can be read several times.
        columns: Columns of input fields, where they have other names.
        limit: Number of rows to read at the most.
        seed: Number of the draw of rows.
        store: The prediction store.

    Raises:
        TaskError: There is no such method for the task, or no row fits it.
    """
    if method == RAW:
        return [*members]
    first = members[0]
    rows = sample(first.task, pool, columns=columns, limit=limit, seed=seed)
    asked = [apart(first.task, row) for row in rows]
    how: Any = {"most_shots": first.shots, "store": store}
    return [calibrated_predictor(one, method, asked, **how)[0] for one in members]


def sample(
    task: Task[Any, Any],
    pool: Inputs,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Example[Any, Any]]:
    """Return some rows of a pool, drawn without their outputs. Raises `TaskError` for none."""
    named = {name: one for name, one in (columns or {}).items() if name != "output"}
    keys = RowKeys(task, normalise=False, metadata=False)
    parser = RowParser(task, input_stream(pool), named, keys)
    kept, draw, seen = list[GoodRow](), Random(seed), 0
    with closing(parser.rows()) as rows:
        for line, row in islice(rows, limit):
            parsed = parser.parse(line, row)
            if not isinstance(parsed, GoodRow):
                continue
            seen += 1
            if len(kept) < ROWS:
                kept.append(parsed)
            elif (place := draw.randrange(seen)) < ROWS:
                kept[place] = parsed
    if not kept:
        raise TaskError(tr("no row of the pool fits the task's input"))
    by_id = {one.example.id: one.example for one in kept}
    return [*by_id.values()]
