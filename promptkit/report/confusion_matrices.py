"""Confusion matrices as a page draws them: read from either form, and cut to what can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from promptkit.text import counted

Data = Mapping[str, Any]

MOST = 100
"""Up to how many labels a matrix is drawn with."""


def entries(matrix: Data) -> Iterator[tuple[int, int, int]]:
    """Gold label, answer and count of what is not zero; labels by their number.

    A row is a list of pairs of an answer and its count; in runs of earlier versions, a list of the
    counts of all answers.
    """
    for gold, row in enumerate(matrix["counts"]):
        dense = row and isinstance(row[0], int)
        for said, count in enumerate(row) if dense else row:
            if count:
                yield gold, said, count


def golds(matrix: Data) -> list[int]:
    """How often each label is right."""
    totals = [0] * len(matrix["labels"])
    for gold, _, count in entries(matrix):
        totals[gold] += count
    return totals


def dense(matrix: Data) -> list[list[int]]:
    """A row per gold label, a column per answer."""
    size = len(matrix["labels"])
    rows = [[0] * size for _ in range(size)]
    for gold, said, count in entries(matrix):
        rows[gold][said] += count
    return rows


def cut(matrix: Data, most: int = MOST) -> dict[str, Any]:
    """A matrix of at most `most` labels, and of all others together.

    Those that are confused most often are kept, then those that are most often right.
    """
    labels = matrix["labels"]
    if len(labels) <= most:
        return dict(matrix)
    wrong, right = Counter[int](), Counter[int]()
    for gold, said, count in entries(matrix):
        tally = right if gold == said else wrong
        tally[gold] += count
        tally[said] += count
    ranked = sorted(range(len(labels)), key=lambda i: (-wrong[i], -right[i], i))
    kept = sorted(ranked[: most - 1])
    place = {label: index for index, label in enumerate(kept)}
    rows: list[Counter[int]] = [Counter() for _ in range(most)]
    for gold, said, count in entries(matrix):
        rows[place.get(gold, most - 1)][place.get(said, most - 1)] += count
    others = counted(len(labels) - len(kept), "other label")
    return {
        **matrix,
        "labels": [*(labels[i] for i in kept), others],
        "counts": [sorted(row.items()) for row in rows],
    }
