"""Seeded draws that divide the rows of one file: into pool and tests, or into folds.

Rows of each label are spread evenly, and near-duplicates stay together.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from promptkit.tasks.examples import Example, canonical, output_key, texts_of
from promptkit.tasks.near_duplicates import near_groups, normal_form

Indices = list[int]


def tests_of(examples: Sequence[Example[Any, Any]], share: float, seed: int) -> set[int]:
    """Return the indices of the examples that become tests.

    Args:
        examples: All examples.
        share: The share of tests, between 0 and 1.
        seed: Number of the draw.
    """
    tests: set[int] = set()
    owed = 0.0
    for _, group in _drawn(examples, seed):
        owed += share * len(group)
        if owed >= len(group) / 2:
            owed -= len(group)
            tests.update(group)
    return tests


def folds_of(examples: Sequence[Example[Any, Any]], count: int, seed: int) -> list[int]:
    """Return the fold of each example, from 0.

    Args:
        examples: All examples.
        count: Number of folds.
        seed: Number of the draw.
    """
    folds = [0] * len(examples)
    sizes, by_label = Counter[int](), Counter[tuple[int, str]]()
    for label, group in _drawn(examples, seed):
        fold = min(range(count), key=lambda fold: (by_label[fold, label], sizes[fold], fold))
        by_label[fold, label] += len(group)
        sizes[fold] += len(group)
        for index in group:
            folds[index] = fold
    return folds


def _drawn(examples: Sequence[Example[Any, Any]], seed: int) -> Iterator[tuple[str, Indices]]:
    """Yield groups of near-duplicates with their labels: label by label, in a drawn order.

    Generated outputs, of which most stand once, are not told apart.
    """
    keys = [output_key(example.output) for example in examples]
    if len(set(keys)) > len(keys) / 2:
        keys = [""] * len(keys)
    groups: dict[int, Indices] = {}
    normal = [normal_form(texts_of(example.input)) for example in examples]
    for index, first in enumerate(near_groups(normal)):
        groups.setdefault(first, []).append(index)
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}

    def rank(group: Indices) -> tuple[int, str]:
        drawn = canonical(["split", seed, examples[group[0]].id])
        return places[keys[group[0]]], hashlib.sha256(drawn).hexdigest()

    for group in sorted(groups.values(), key=rank):
        yield keys[group[0]], group
