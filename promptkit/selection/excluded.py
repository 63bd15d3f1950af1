"""Exclusion of demonstrations that are the query or its near-duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from promptkit.selection.pool import Pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]


class KnownQuery(NamedTuple):
    """A query that is drawn for."""

    number: int
    id: str | None
    """None for a query whose id is not comparable with those of the pool."""
    key: str
    """Its `text_key`."""
    text: str
    normal: tuple[str, ...]
    """Its `normal_forms`."""


class Head:
    """The beginning of a fixed ranking, and which queries must not see some of it."""

    def __init__(self, size: int, indices: Sequence[int], keys: Keys | None) -> None:
        """`size` indices, or all; `keys` are their `band_keys`, None where near ones may be."""
        self.size, self.indices, self.keys = size, tuple(indices), keys
        self.barred: dict[int, frozenset[int]] = {}
        """By the query's number, where there are any."""
        self.near: dict[int, set[int]] = {}
        """Those of them that are near-duplicates, not the query itself."""
        self.checked = 0
        """Number of queries checked."""
        self.nearness: dict[int, Sequence[float]] = {}
        """Similarities of the examples to a query, by its number, where an order needs them."""

    def check(self, pool: Pool, queries: Sequence[KnownQuery], keys: Keys | None) -> None:
        """Find which queries, of those not yet looked at, must not see which of the head.

        `keys` are the `band_keys` of these, where near-duplicates are barred.
        """
        coming = queries[self.checked :]
        found = self._own(pool, coming)
        if keys is not None and self.keys is not None:
            for index, theirs in zip(self.indices, self.keys, strict=True):
                for suspect in (keys == theirs).any(axis=1).nonzero()[0]:
                    asked = coming[suspect]
                    known = found.get(asked.number, ())
                    if index not in known and alike_in_any(asked.normal, pool.normal(index)):
                        found.setdefault(asked.number, set()).add(index)
                        self.near.setdefault(asked.number, set()).add(index)
        self.barred |= {number: frozenset(indices) for number, indices in found.items()}
        self.checked = len(queries)

    def _own(self, pool: Pool, queries: Sequence[KnownQuery]) -> dict[int, set[int]]:
        """The examples of the head that are the query, by the query's number."""
        ids: dict[str | None, set[int]] = {pool[index].id: {index} for index in self.indices}
        texts: dict[str, set[int]] = {}
        for index in self.indices:
            for key in pool.keys(index):
                texts.setdefault(key, set()).add(index)
        none: set[int] = set()
        found = {q.number: texts.get(q.key, none) | ids.get(q.id, none) for q in queries}
        return {number: own for number, own in found.items() if own}

    def left_out(self, asked: KnownQuery, shots: int) -> list[int]:
        """Return the near-duplicates in front of a query's last shot."""
        near = self.near.get(asked.number)
        if near is None:
            return []
        barred = self.barred[asked.number]
        kept = [place for place, index in enumerate(self.indices) if index not in barred]
        before = self.indices[: kept[shots - 1]] if len(kept) >= shots else self.indices
        return [index for index in before if index in near]


def alike_in_any(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether two examples are near-duplicates in any of their languages."""
    from promptkit.tasks.near_duplicates import alike

    return any(map(alike, one, other))


def form_keys(forms: Sequence[Sequence[str]], languages: int) -> Keys:
    """Return the `band_keys` of normal forms in so many languages, side by side."""
    import numpy as np

    from promptkit.tasks.near_duplicates import band_keys

    texts = [[*form, *[""] * languages] for form in forms]
    return np.hstack([band_keys([form[i] for form in texts]) for i in range(languages)])


def barred_for(
    pool: Pool, asked: KnownQuery, near: dict[int, None] | None
) -> Callable[[int], bool]:
    """Return what says which examples a query must not see.

    Near-duplicates are added to `near`; they are barred unless it is None.
    """

    def barred(index: int) -> bool:
        if pool[index].id == asked.id or asked.key in pool.keys(index):
            return True
        if near is None or not alike_in_any(asked.normal, pool.normal(index)):
            return False
        near[index] = None
        return True

    return barred
