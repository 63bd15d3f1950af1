"""Confusion matrices as a page shows them: dense, and with a readable number of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from promptkit.report.cell_names import Data
from promptkit.text import counted

MOST = 100
"""Largest number of labels of a matrix that is shown."""


def entries(matrix: Data) -> Iterator[tuple[int, int, int]]:
    """Yield gold label, answer and count where it is not zero; labels by their number."""
    for gold, row in enumerate(matrix["counts"]):
        yield from ((gold, answer, count) for answer, count in row)


def golds(matrix: Data) -> list[int]:
    """Return the number of queries, over all seeds, of each gold label."""
    return [sum(count for _, count in row) for row in matrix["counts"]]


def dense(matrix: Data) -> list[list[int]]:
    """Return the counts with a row per gold label and a column per answer."""
    size = len(matrix["labels"])
    rows = [[0] * size for _ in range(size)]
    for gold, answer, count in entries(matrix):
        rows[gold][answer] += count
    return rows


def per_class(matrix: Data, drawn: Data) -> list[tuple[str, float, float, float, int]]:
    """Return label, precision, recall, F1 and support of each label that is drawn.

    Args:
        matrix: The matrix with all labels.
        drawn: The same one, cut to the labels that are shown.
    """
    found = matrix["per_class"]
    columns = [found[name] for name in ("precision", "recall", "f1", "support")]
    kept = set(drawn["labels"])
    every = zip(matrix["labels"], *columns, strict=True)
    return [one for one in every if one[0] in kept]


def cut(matrix: Data, most: int = MOST) -> dict[str, Any]:
    """Return a matrix of at most `most` labels, the last of them all others together.

    Labels that are confused most often are kept, then those that are most often right.
    """
    labels = matrix["labels"]
    if len(labels) <= most:
        return dict(matrix)
    wrong, right = Counter[int](), Counter[int]()
    for gold, answer, count in entries(matrix):
        tally = right if gold == answer else wrong
        tally[gold] += count
        tally[answer] += count
    ranked = sorted(range(len(labels)), key=lambda i: (-wrong[i], -right[i], i))
    kept = sorted(ranked[: most - 1])
    place = {label: index for index, label in enumerate(kept)}
    rows: list[Counter[int]] = [Counter() for _ in range(most)]
    for gold, answer, count in entries(matrix):
        rows[place.get(gold, most - 1)][place.get(answer, most - 1)] += count
    others = counted(len(labels) - len(kept), "other label", "other labels")
    return {
        **matrix,
        "labels": [*(labels[i] for i in kept), others],
        "counts": [sorted(row.items()) for row in rows],
    }
