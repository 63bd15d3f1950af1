"""Students of parts of a pool: a learning curve, of soft and of hard labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promptkit.students.student_figures import Figures, beside, figures_of
from promptkit.students.taught import Taught
from promptkit.students.training import kind_named, train

SMALLEST, POINTS = 50, 6
"""Fewest rows of a point of a curve, and number of points."""

LABELS = ("soft", "hard")
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
    labels one of hard ones, of the same rows.

    Args:
        taught: What students learn from, with tests.
    """
    rows, lesson, task = taught.rows, taught.lesson, taught.teacher.taught_task
    kind, seed = kind_named(lesson.student), lesson.seed
    order = np.random.default_rng(seed).permutation(len(rows))
    for size in sizes_of(len(rows)):
        part = rows.at(np.sort(order[:size]))
        for name in LABELS[:1] if rows.numeric else LABELS:
            learnt = part if name == "soft" else part.hardened()
            student, _ = train(task, learnt, kind, seed=seed)
            made = student.predict(taught.tests)
            figures = figures_of(task, made) | beside(task, taught.said, made)
            yield {"rows": size, "labels": name, **figures}
