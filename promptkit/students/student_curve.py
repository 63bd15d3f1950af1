"""Students of parts of a pool: a learning curve, of soft and of hard labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promptkit.students.student_figures import Figures, judged
from promptkit.students.taught import Taught
from promptkit.students.training import kind_named, train
from promptkit.translation import mark

SMALLEST, POINTS = 50, 6
"""Fewest rows of a point of a curve, and number of points."""

LABELS = (mark("soft"), mark("hard"))
"""Kinds of labels: the teacher's probabilities, or the most probable label alone."""


def sizes_of(rows: int) -> list[int]:
    """Return the numbers of rows of a learning curve: each twice the one before, up to all."""
    sizes = [rows]
    while len(sizes) < POINTS and sizes[-1] // 2 >= SMALLEST:
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]


def student_curve(taught: Taught) -> Iterator[Figures]:
    """Yield the figures on the tests of students that learnt parts of a pool, the smallest first.

    A part is drawn once, and every smaller one is in it. Each has a student of soft labels, and for
    labels one of hard ones, of the same rows; without a teacher labels are gold.

    Args:
        taught: What students learn from, with tests.
    """
    rows, lesson, task = taught.rows, taught.lesson, taught.task
    kind, seed = kind_named(lesson.student), lesson.seed
    names = LABELS[:1] if rows.numeric else LABELS
    names = names if taught.teacher is not None else (mark("gold"),)
    order = np.random.default_rng(seed).permutation(len(rows))
    for size in sizes_of(len(rows)):
        part = rows.at(np.sort(order[:size]))
        for name in names:
            learnt = part.hardened() if name == "hard" else part
            student, _ = train(task, learnt, kind, seed=seed)
            figures = judged(task, taught.said, student.predict(taught.tests))
            yield {"rows": size, "labels": name, **figures}
