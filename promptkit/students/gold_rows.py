"""Rows with gold outputs: those of a task's pool that a student learns without a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promptkit.errors import TaskError
from promptkit.students.input_texts import input_texts
from promptkit.students.lesson import Lesson
from promptkit.students.number_tasks import number_task, scale_of
from promptkit.students.pool_labels import PoolSource
from promptkit.students.student import check_teachable
from promptkit.students.taught import Taught
from promptkit.students.training_set import UNKNOWN, Table, TrainingSet
from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.measures import number_of
from promptkit.tasks.ranked_pool import ranked_pool
from promptkit.tasks.task import Task
from promptkit.translation import tr


def taught_by_gold(
    task: Task[Any, Any], lesson: Lesson, *, expects: bool = False, examples: int | None = None
) -> Taught:
    """Return the labelled rows of a task's pool as what a student learns.

    Args:
        task: The task; near-duplicates of its tests are left out.
        lesson: Kind of student, and seed of the ranking of rows.
        expects: Whether the student of a scale answers with a number.
        examples: Number of rows, the first of the ranking; None for all.

    Raises:
        TaskError: The outputs cannot be learnt, or there are too few rows.
    """
    own = number_task(task) if expects else task
    check_teachable(own)
    if not any(demo.labelled for demo in task.demos):
        raise TaskError(tr("{name}: no row of the pool has an output to learn", name=task.name))
    rows = ranked_pool(task, lesson.seed, examples)
    gold = _gold(task, rows)
    if task.labels:
        targets = np.eye(len(task.labels))[gold.astype(np.intp)]
        targets = targets @ scale_of(task)[:, np.newaxis] if expects else targets
    else:
        targets = gold[:, np.newaxis]
    known = targets[:, 0] if expects else gold
    texts = tuple(input_texts(task, rows))
    digest = hashlib.sha256(canonical([texts, gold.tolist()]))
    source = PoolSource([], task.name, digest.hexdigest())
    learnt = TrainingSet(texts, targets, known)
    tests = tuple([test for test in own.tests if test.labelled])
    return Taught(own, None, source, None, replace(lesson, gold_weight=1.0), learnt, {}, tests, ())


def _gold(task: Task[Any, Any], rows: Sequence[Example[Any, Any]]) -> Table:
    """Return the gold labels by their place, or gold numbers, (rows,)."""
    output = task.output_type
    if task.labels:
        return np.array([task.labels.index(output.text(row.output)) for row in rows], np.float64)
    return np.array([number_of(output.plain(row.output)) for row in rows], np.float64)


def first_gold(gold: Table, count: int | None, seed: int) -> Table:
    """Return gold outputs of which only some count, the first ones of a ranking.

    Args:
        gold: Gold labels by their place, or gold numbers; `UNKNOWN` or NaN where not known.
        count: Number of those that count; None for all.
        seed: Number of the draw of the ranking.

    Raises:
        TaskError: Fewer are known.
    """
    if count is None:
        return gold
    known = np.flatnonzero(np.isfinite(gold) & (gold != UNKNOWN))
    if len(known) < count:
        raise TaskError(
            tr(
                "{count:,} outputs of the pool are asked for, and {known:,} of its rows "
                "that count have one",
                count=count,
                known=len(known),
            )
        )
    ranked = known[np.random.default_rng([seed, 1]).permutation(len(known))]
    left = ranked[count:]
    found = gold.copy()
    found[left] = np.nan
    return found
