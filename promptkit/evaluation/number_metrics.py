"""Metrics of answers that are numbers, and each query's share in them.

Each takes the gold numbers and the answers, (queries,), and returns shares whose mean is the
metric. An answer that is NaN was none: it has no share, and the metric is over the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.shares import Shares, jackknifed, where

Numbers = NDArray[np.float64]


def absolute_errors(gold: ArrayLike, said: ArrayLike) -> Shares:
    """Return the distance of each answer from its gold number: their mean is the MAE.

    Args:
        gold: The gold numbers, (queries,).
        said: The answers, (queries,); NaN where there is none.
    """
    return np.abs(errors(gold, said))


def errors(gold: ArrayLike, said: ArrayLike) -> Shares:
    """Return each answer less its gold number: their mean is the bias.

    Args:
        gold: The gold numbers, (queries,).
        said: The answers, (queries,); NaN where there is none.
    """
    found: Shares = np.asarray(said, dtype=np.float64) - np.asarray(gold, dtype=np.float64)
    return found


def rmse(gold: ArrayLike, said: ArrayLike) -> Shares:
    """Return the shares in the root of the mean squared error.

    Args:
        gold: The gold numbers, (queries,).
        said: The answers, (queries,); NaN where there is none.

    Example:
        >>> round(float(rmse([1, 2, 3], [1, 2, 6]).mean()), 3)
        1.732
    """
    squares = errors(gold, said) ** 2
    known = ~np.isnan(squares)
    values, n = squares[known], int(known.sum())
    if n < 2:
        return np.sqrt(squares)
    without = np.sqrt(np.maximum(values.sum() - values, 0) / (n - 1))
    return where(known, jackknifed(float(np.sqrt(values.mean())), without))


def pearson(gold: ArrayLike, said: ArrayLike) -> Shares:
    """Return the shares in Pearson's correlation; all NaN where one side does not vary.

    Args:
        gold: The gold numbers, (queries,).
        said: The answers, (queries,); NaN where there is none.
    """
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(said, dtype=np.float64)
    known = ~np.isnan(y)
    return where(known, _pearson(x[known], y[known]))


def spearman(gold: ArrayLike, said: ArrayLike) -> Shares:
    """Return the shares in Spearman's rank correlation; all NaN where one side does not vary.

    Ranks are those among all answers, also where one query is left out.

    Args:
        gold: The gold numbers, (queries,).
        said: The answers, (queries,); NaN where there is none.
    """
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(said, dtype=np.float64)
    known = ~np.isnan(y)
    return where(known, _pearson(_ranks(x[known]), _ranks(y[known])))


def _pearson(x: Numbers, y: Numbers) -> Shares:
    n = len(x)
    if n < 3 or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return np.full(n, np.nan)
    x, y = x - x.mean(), y - y.mean()

    def left(a: Numbers, b: Numbers) -> Numbers:
        """Return the centred sum of products over all other queries, for each query."""
        found: Numbers = (a @ b) - a * b - a * b / (n - 1)
        return found

    whole = float((x @ y) / np.sqrt((x @ x) * (y @ y)))
    spread = left(x, x) * left(y, y)
    # Where all others are equal, they correlate as all do.
    root = np.sqrt(np.maximum(spread, 0))
    without = np.divide(left(x, y), root, out=np.full(n, whole), where=root > 0)
    return jackknifed(whole, without)


def _ranks(values: Numbers) -> Numbers:
    """Return the ranks from 1, equal values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
