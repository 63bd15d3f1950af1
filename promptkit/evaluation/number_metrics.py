"""Metrics of answers that are numbers, and each query's share in them.

Each takes the gold numbers and the answers, (queries,), and returns shares whose mean is the
metric. An answer that is NaN was none: it has no share, and the metric is over the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.shares import Shares, jackknifed, where

Numbers = NDArray[np.float64]

_ROUNDING = 1e-12


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


def distribution_means(logprobs: ArrayLike, values: ArrayLike) -> Numbers:
    """Return the probability-weighted mean of the values of each answer, (queries,).

    Args:
        logprobs: Log-probabilities, normalised over the values, (queries, values).
        values: The values in any order, (values,).

    Example:
        >>> round(float(distribution_means(np.log([[0.5, 0.25, 0.25]]), [1, 2, 5])[0]), 6)
        2.25
    """
    means: Numbers = np.exp(np.asarray(logprobs, np.float64)) @ np.asarray(values, np.float64)
    return means


def distribution_medians(logprobs: ArrayLike, values: ArrayLike) -> Numbers:
    """Return the smallest value up to which each answer has half of its probability, (queries,).

    Args:
        logprobs: Log-probabilities, normalised over the values, (queries, values).
        values: The values in any order, (values,).

    Example:
        >>> distribution_medians(np.log([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]]), [1, 2, 5]).tolist()
        [1.0, 5.0]
    """
    known: Numbers = np.asarray(values, dtype=np.float64)
    order = np.argsort(known)
    below = np.cumsum(np.exp(np.asarray(logprobs, np.float64))[:, order], axis=1)
    # Sums of rounded probabilities miss a half by a little.
    medians: Numbers = known[order][(below >= 0.5 - _ROUNDING).argmax(axis=1)]
    return medians


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
