"""Rows of a task's pool that a model may be trained on for a query: never what it is asked.

Near-duplicates of a query are left out of its shots. A model is trained for many queries together,
so its rows are without the near-duplicates of all tests, with folds of the tests in that fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

from promptkit.tasks.examples import Example, text_key, texts_of
from promptkit.tasks.near_duplicates import alike, band_keys, normal_form
from promptkit.tasks.task import Task

Examples = Sequence[Example[Any, Any]]


class Training(NamedTuple):
    """Queries of one training: equal values have the same rows."""

    fold: int | None
    """Fold that is left out; None where the whole pool is there."""
    besides: frozenset[int] = frozenset()
    """Rows that are left out for one query alone, which is no test."""


class TrainingRows:
    """Labelled rows of a task's pool, by their numbers."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self.task = task
        self.examples = tuple([demo for demo in task.demos if demo.labelled])
        self._left_out = cache(self._near_tests)

    def training(self, query: Example[Any, Any]) -> Training:
        """Return the training for a query."""
        task = self.task
        if task.pool_of(query) is not task.demos:
            return Training(task.folds[query.id])
        if not task.folds and task.is_test(query):
            return Training(None)
        return Training(None, self._same_as([query]))

    def numbers(self, training: Training) -> list[int]:
        """Return the numbers of the rows of a training."""
        fold, besides = training
        out = self._left_out(fold) | besides
        folds = self.task.folds
        return [
            number
            for number, row in enumerate(self.examples)
            if number not in out and (fold is None or folds[row.id] != fold)
        ]

    def number_of(self, row: Example[Any, Any]) -> int:
        """Return the number of an example of the pool."""
        return self._numbers[row.id]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {row.id: number for number, row in enumerate(self.examples)}

    def _near_tests(self, fold: int | None) -> frozenset[int]:
        """Return the rows that no test of a fold, or of the task, may be answered from."""
        folds = self.task.folds
        if fold is None:
            return frozenset() if folds else self._same_as(self.task.tests.root)
        return self._same_as([test for test in self.task.tests if folds[test.id] == fold])

    def _same_as(self, queries: Examples) -> frozenset[int]:
        """Return the rows that are one of the queries, or a near-duplicate of one."""
        texts = {text_key(query.input) for query in queries}
        equal = {number for number, key in enumerate(self._keys) if key in texts}
        if self.task.near_duplicates == "allow":
            return frozenset(equal)
        return frozenset(equal | self._near(queries))

    def _near(self, queries: Examples) -> set[int]:
        asked = _normal(queries)
        found: set[int] = set()
        for known, bands in zip(self._by_band, band_keys(asked).T, strict=True):
            for text, key in zip(asked, bands.tolist(), strict=True):
                near = [number for number in known.get(key, ()) if number not in found]
                found.update(number for number in near if alike(text, self._texts[number]))
        return found

    @cached_property
    def _keys(self) -> list[str]:
        return [text_key(row.input) for row in self.examples]

    @cached_property
    def _texts(self) -> list[str]:
        return _normal(self.examples)

    @cached_property
    def _by_band(self) -> list[dict[int, list[int]]]:
        """Rows by each of their band keys: near-duplicates nearly always share one."""
        bands = []
        for keys in band_keys(self._texts).T:
            known: dict[int, list[int]] = {}
            for number, key in enumerate(keys.tolist()):
                known.setdefault(key, []).append(number)
            bands.append(known)
        return bands


def _normal(examples: Examples) -> list[str]:
    return [normal_form(texts_of(one.input)) for one in examples]
