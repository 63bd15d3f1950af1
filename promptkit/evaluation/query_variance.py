"""Variance of a metric by its queries: two-way layouts of queries and cells, and their bootstrap.

`promptkit.evaluation.variance` has those of factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.evaluation.intervals import Interval

DRAWS = 1999
"""Resampled means behind an interval."""

Floats = NDArray[np.float64]


class Component(NamedTuple):
    """Standard deviation of a metric by one source, in its unit."""

    sd: float
    ci: Interval
    truncated: bool
    """An estimate of the variance below 0, replaced by 0: the variance is smaller than these
    queries can show."""


class Kinds(NamedTuple):
    """Queries of a (queries, cells) table by what they add to the variances of two-way layouts."""

    means: Floats
    """Mean of each kind over the cells."""
    within: Floats
    """Variance of each kind over the cells."""
    counts: NDArray[np.int64]
    """Number of queries of each kind."""
    extremes: tuple[Floats, Floats]
    """Weights of the kinds that make `query` and `residual` most variable."""


def counted(table: Floats) -> Kinds:
    """Return the kinds of queries whose answers are right and wrong, by their right answers."""
    cells = table.shape[1]
    counts = np.bincount(table.sum(axis=1).astype(np.int64), minlength=cells + 1)
    means = np.arange(cells + 1) / cells
    ends = np.isin(means, (0, 1))
    extremes = ends.astype(np.float64), (~ends).astype(np.float64)
    return Kinds(means, means * (1 - means), counts, extremes)


def listed(table: Floats) -> Kinds:
    """Return each query as a kind of its own."""
    means, within = table.mean(axis=1), table.var(axis=1)
    far, wide = np.zeros((2, len(table)))
    far[np.abs(means - means.mean()).argmax()] = wide[within.argmax()] = 1
    return Kinds(means, within, np.ones(len(table), dtype=np.int64), (far, wide))


def by_query(table: Floats, kinds: Kinds, level: float) -> tuple[Component, Component]:
    """Return the components `query` and `residual` of a (queries, cells) table."""
    n, cells = table.shape
    means = kinds.means
    between_cells = n * table.mean(axis=0).var() * cells

    def squares(counts: NDArray[np.int64]) -> Floats:
        """Return both variances, (2, ...), from the number of queries of each kind."""
        mean = counts @ means / n
        between = (counts @ means**2 - n * mean**2) / (n - 1)
        residual = (cells * (counts @ kinds.within) - between_cells) / ((n - 1) * (cells - 1))
        both: Floats = np.stack([between - residual / cells, residual]) / n
        return both

    found = squares(kinds.counts)
    # One query is added, at its most variable, lest a rare kind be taken to be none.
    query, residual = (
        component(
            float(found[which]), *_ends(squares, kinds.counts, added / added.sum(), which, level)
        )
        for which, added in enumerate(kinds.extremes)
    )
    return query, residual


def _ends(
    squares: Callable[[NDArray[np.int64]], Floats],
    counts: NDArray[np.int64],
    added: Floats,
    which: int,
    level: float,
) -> tuple[float, float, float]:
    n = counts.sum()
    drawn = np.random.default_rng(0).multinomial(n, (counts + added) / (n + 1), size=DRAWS)
    ends = np.quantile(squares(drawn)[which], [0.5 - level / 2, 0.5 + level / 2])
    return _root(ends[0]), _root(ends[1]), level


def component(variance: float, low: float, high: float, level: float) -> Component:
    """Return a component by its variance and the interval of its standard deviation."""
    sd = _root(variance)
    return Component(sd, Interval(min(low, sd), max(high, sd), level), variance < 0)


def _root(variance: float) -> float:
    return math.sqrt(max(variance, 0.0))
