"""Balanced choice of a few combinations of levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import combinations, product


def design(levels: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all combinations of levels, one level per factor, in a fixed order.

    The first combination has the first level of every factor. Each further one has the levels,
    then the pairs of levels, that came least often so far. So every beginning of the order is a
    nearly balanced design: a greedy fractional factorial.

    Args:
        levels: Number of levels per factor.
    """
    everything = product(*map(range, levels))
    left = sorted(everything, key=lambda one: sha256(repr(one).encode()).digest())
    singles: Counter[tuple[int, int]] = Counter()
    pairs: Counter[tuple[tuple[int, int], ...]] = Counter()

    def cost(combination: tuple[int, ...]) -> tuple[int, int]:
        here = list(enumerate(combination))
        return sum(singles[one] for one in here), sum(pairs[two] for two in combinations(here, 2))

    following = (0,) * len(levels)
    while left:
        yield following
        left.remove(following)
        here = list(enumerate(following))
        singles.update(here)
        pairs.update(combinations(here, 2))
        following = min(left, key=cost, default=following)
