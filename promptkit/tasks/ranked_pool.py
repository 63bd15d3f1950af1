"""Labelled rows of a pool that models are trained on: the first ones of one ranking.

So the rows of a small model are among those of a larger one, and models of any kind that are
trained on as many rows with one seed are trained on the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from promptkit.errors import TaskError
from promptkit.tasks.examples import Example, texts_of
from promptkit.tasks.near_duplicates import near_pairs, normal_form
from promptkit.tasks.task import Task
from promptkit.translation import tr

LEAST = 4
"""Fewest rows that a model is trained on."""

Examples = Sequence[Example[Any, Any]]


def ranked_pool(
    task: Task[Any, Any], seed: int, count: int | None = None
) -> list[Example[Any, Any]]:
    """Return labelled rows of a task's pool to train on, in the order of a draw.

    Near-duplicates of the tests are left out.

    Args:
        task: The task.
        seed: Number of the draw.
        count: Number of rows, the first of the ranking; None for all.

    Raises:
        TaskError: The task has folds, or too few such rows.
    """
    if task.folds:
        raise TaskError(
            tr(
                "{name}: with folds every demonstration is also a test, and a model that "
                "saw them all cannot be tested; give tests of their own",
                name=task.name,
            )
        )
    pool = apart_from_tests([demo for demo in task.demos if demo.labelled], [*task.tests])
    order = np.random.default_rng([seed, 1]).permutation(len(pool))
    drawn = [pool[place] for place in order[:count]]
    if len(drawn) < LEAST:
        raise TaskError(
            tr(
                "{name}: {count} labelled examples in the pool to train on; at least "
                "{LEAST} are needed, and a few hundred are better",
                name=task.name,
                count=len(drawn),
                LEAST=LEAST,
            )
        )
    if count is not None and len(drawn) < count:
        raise TaskError(
            tr(
                "{name}: {count} examples are asked for, and the pool has {most} that "
                "are no near-duplicates of tests",
                name=task.name,
                count=count,
                most=len(drawn),
            )
        )
    return drawn


def apart_from_tests(pool: Examples, tests: Examples) -> list[Example[Any, Any]]:
    """Return the examples of a pool that are no near-duplicates of tests."""
    texts = [normal_form(texts_of(example.input)) for example in (*tests, *pool)]
    near = {b - len(tests) for a, b in near_pairs(texts) if a < len(tests) <= b}
    return [example for place, example in enumerate(pool) if place not in near]


class Sized(NamedTuple):
    """A model of a learning curve: a number of labelled rows, and one of the rankings of them."""

    rows: int
    seed: int

    def name(self, folder: Path) -> str:
        """Return its name in a folder, which no model of another folder has."""
        name = f"{folder.resolve().name}-{self.rows}"
        return f"{name}-seed{self.seed}" if self.seed else name


def sized(counts: Sequence[int], seeds: Sequence[int]) -> Iterator[Sized]:
    """Yield the models of a learning curve, the smallest first.

    Args:
        counts: Numbers of labelled rows.
        seeds: Seeds of the rankings.
    """
    for count in sorted(set(counts)):
        for seed in dict.fromkeys(seeds):
            yield Sized(count, seed)
