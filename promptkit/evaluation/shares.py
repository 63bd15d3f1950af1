"""Each query's share in a metric, so that the interval of a mean is that of any metric.

A mean is the mean of its terms. For other statistics the shares are Tukey's pseudo-values, moved
so that their mean is the statistic itself; how they scatter is how the statistic would over new
queries. Differences of two cells are the differences of their shares, query by query.

Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 11.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Shares = NDArray[np.float64]
"""One number for each query, (queries,), whose mean is the metric; NaN where there is no answer."""


def jackknifed(whole: float, without: ArrayLike) -> Shares:
    """Return the shares of a statistic.

    Args:
        whole: The statistic over all queries.
        without: The statistic over all other queries, for each query, (queries,).
    """
    left = np.asarray(without, dtype=np.float64)
    shares: Shares = whole + (len(left) - 1) * (left.mean() - left)
    return shares


def where(known: NDArray[np.bool_], values: Shares) -> Shares:
    """Return shares for all queries, from those that are known."""
    found = np.full(len(known), np.nan)
    found[known] = values
    return found
