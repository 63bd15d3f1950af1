"""Students that learn growing numbers of gold outputs: the points of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.students.distillation import Notify, distill
from promptkit.students.student import Student
from promptkit.tasks.ranked_pool import sized
from promptkit.translation import tr

LABELS = "labels"
"""Folder of the teacher's answers, which all students of a folder share."""


def distill_sizes(
    teacher: Any,
    pool: Any,
    folder: str | Path,
    counts: Sequence[int],
    *,
    seed: int = 0,
    seeds: int = 1,
    notify: Notify = lambda _: None,
    **how: Any,
) -> list[Student]:
    """Train a student for each number of gold outputs, and return them, the smallest first.

    The outputs of one are among those of the next. With a teacher, each learns its answers to the
    whole pool besides, which are asked once. Students that are in the folder already are kept.

    Args:
        teacher: The teacher, or several; None for students of gold outputs alone.
        pool: Rows of the pool; None without a teacher.
        folder: The folder of the students; that of one is `FOLDER-COUNT`.
        counts: Numbers of gold outputs.
        seed: Seed of the first ranking.
        seeds: Number of rankings.
        notify: A function that is called with what is done next.
        how: Further arguments of `distill`.

    Raises:
        TaskError: The pool has too few outputs, or a folder is of something else.
    """
    place = Path(folder)
    if reason := saving.unwritable(place):
        raise TaskError(f"{place}: {reason}")
    every = [*sized(counts, range(seed, seed + seeds))]
    made = []
    for number, one in enumerate(every, 1):

        def told(said: str, number: int = number, count: int = one.rows) -> None:
            notify(
                tr(
                    "{number} of {total}, {labels:,} gold labels: {said}",
                    number=number,
                    total=len(every),
                    labels=count,
                    said=said,
                )
            )

        made.append(
            distill(
                teacher,
                pool,
                out=place / one.name(place),
                examples=one.rows,
                seed=one.seed,
                labels=place / LABELS,
                keep=True,
                notify=told,
                **how,
            )
        )
    return made
