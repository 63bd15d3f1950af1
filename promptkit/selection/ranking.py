"""Ranks over similarities: nearest, diverse, balanced by label, far apart.

`row` is a query's similarity to every example of the pool, (examples,). `barred` says which
examples the query must not see. Among equals, the first in the pool comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from promptkit.selection.similarity import Vectors

Similarities = NDArray[np.float64]
Barred = Callable[[int], bool]

CANDIDATES = 128
"""Number of nearest examples that `diverse` chooses from."""


def nearest(row: Similarities, count: int) -> NDArray[np.intp]:
    """The indices of the `count` largest similarities, the largest first."""
    if count <= 0:
        return np.empty(0, np.intp)
    if count >= len(row):
        return np.argsort(-row, kind="stable")
    least = np.partition(row, len(row) - count)[len(row) - count]
    above = np.flatnonzero(row > least)
    above = above[np.argsort(-row[above], kind="stable")]
    return np.concatenate([above, np.flatnonzero(row == least)[: count - len(above)]])


def allowed(row: Similarities, barred: Barred, at_first: int = 8) -> Iterator[int]:
    """The examples that are not barred, the nearest first; `at_first` are ranked at once."""
    done, ranked = 0, at_first
    while done < len(row):
        found = nearest(row, ranked)
        yield from (index for index in found[done:].tolist() if not barred(index))
        done, ranked = len(found), 4 * ranked


def similar(row: Similarities, count: int, barred: Barred) -> list[int]:
    """The `count` nearest examples (Liu et al. 2022, arXiv 2101.06804)."""
    return list(islice(allowed(row, barred, count + 4), count))


def diverse(
    row: Similarities, count: int, barred: Barred, vectors: Vectors, relevance: float = 0.5
) -> list[int]:
    """Return examples near the query and unlike each other: maximal marginal relevance.

    Each next one has the largest `relevance` x its similarity less (1 - `relevance`) x its largest
    similarity to one before it (Carbonell and Goldstein 1998). It chooses among the `CANDIDATES`
    nearest; what is asked for beyond them follows by similarity.
    """
    candidates = similar(row, CANDIDATES, barred)
    between = vectors.among(candidates)
    gain = relevance * row[candidates]
    closest = np.full(len(candidates), -1.0)  # as unlike as can be, before there is a first
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        best = int(np.argmax(gain - (1 - relevance) * closest))
        gain[best] = -np.inf
        chosen.append(candidates[best])
        closest = np.maximum(closest, between[best])
    if count > len(chosen):
        seen = set(chosen)
        chosen += [index for index in similar(row, count, barred) if index not in seen]
    return chosen[:count]


def balanced(
    row: Similarities, count: int, barred: Barred, members: Sequence[NDArray[np.intp]]
) -> list[int]:
    """The nearest of every label, then the second of every label, and so on.

    `members` are the indices of each label's examples. Within a round the nearest comes first.
    """
    found: list[int] = []
    by_label = [_of_label(row, barred, indices) for indices in members]
    while len(found) < count:
        turn = [index for label in by_label if (index := next(label, None)) is not None]
        if not turn:
            break
        found += sorted(turn, key=lambda index: (-row[index], index))
    return found[:count]


def _of_label(row: Similarities, barred: Barred, indices: NDArray[np.intp]) -> Iterator[int]:
    places = allowed(row[indices], lambda place: barred(int(indices[place])))
    return (int(indices[place]) for place in places)


def far_apart(vectors: Vectors, first: int, count: int) -> list[int]:
    """`first`, then always the example that is least like all before it (Gonzalez 1985)."""
    closest = vectors.to(first)
    chosen = [first]
    closest[first] = np.inf
    while len(chosen) < min(count, len(closest)):
        best = int(np.argmin(closest))
        chosen.append(best)
        closest = np.maximum(closest, vectors.to(best))
        closest[best] = np.inf
    return chosen
