"""Metrics of answers that are lists of labels, and each query's share in them.

Counts of a label are its true positives, false positives and false negatives, (..., 3). All of
these are those of scikit-learn for multi-label indicators, with the value that is not defined left
out of means (`zero_division=nan`), and 0 where it is the metric itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from promptkit.evaluation.shares import Shares, jackknifed

Counts = NDArray[np.float64]
"""Counts of each label, (..., labels, 3)."""

Statistic = Callable[[Counts], NDArray[np.float64]]
"""A metric of the counts, (...,)."""


def counts(gold: NDArray[np.bool_], said: NDArray[np.bool_]) -> Counts:
    """Return the counts of each query alone, (queries, labels, 3).

    Args:
        gold: Whether each label is a gold one, (queries, labels).
        said: Whether each label is given, (queries, labels).
    """
    return np.stack([gold & said, ~gold & said, gold & ~said], axis=-1).astype(np.float64)


def precision(of: Counts) -> NDArray[np.float64]:
    """Return the share of right ones among the labels given, (...,); 0 where none is.

    Args:
        of: Counts of one label, or of several together, (..., 3).
    """
    return _ratio(of[..., 0], of[..., 0] + of[..., 1])


def recall(of: Counts) -> NDArray[np.float64]:
    """Return the share of gold labels that are given, (...,); 0 where there is none.

    Args:
        of: Counts of one label, or of several together, (..., 3).
    """
    return _ratio(of[..., 0], of[..., 0] + of[..., 2])


def f1(of: Counts) -> NDArray[np.float64]:
    """Return the harmonic mean of precision and recall, (...,).

    Args:
        of: Counts of one label, or of several together, (..., 3).

    Example:
        >>> float(f1(np.array([2.0, 1.0, 1.0]))).__round__(3)
        0.667
    """
    return _ratio(2 * of[..., 0], 2 * of[..., 0] + of[..., 1] + of[..., 2])


def micro_f1(of: Counts) -> NDArray[np.float64]:
    """Return the F1 of all labels together, (...,).

    Args:
        of: Counts of each label, (..., labels, 3).
    """
    return f1(of.sum(axis=-2))


def macro_f1(of: Counts) -> NDArray[np.float64]:
    """Return the mean F1 of the labels that occur, gold or given, (...,).

    Args:
        of: Counts of each label, (..., labels, 3).
    """
    occur = of.sum(axis=-1) > 0
    return _ratio(f1(of).sum(axis=-1), occur.sum(axis=-1).astype(np.float64))


OF_LABEL: Mapping[str, Statistic] = {"f1": f1, "precision": precision, "recall": recall}
"""Metrics of one label by name; those of the label `email` are `f1.email`, and so on."""


def shares(statistic: Statistic, of: Counts) -> Shares:
    """Return each query's share in a metric, (queries,).

    Args:
        statistic: The metric of summed counts.
        of: The counts of each query alone, (queries, ...).
    """
    whole = of.sum(axis=0)
    if len(of) < 2:
        return np.full(len(of), float(statistic(whole)))
    return jackknifed(float(statistic(whole)), statistic(whole - of))


def ranking_precision(scores: NDArray[np.float64], gold: NDArray[np.bool_]) -> Shares:
    """Return the label ranking average precision of each query, (queries,), from 0 to 1.

    It asks how high the gold labels rank among all, whatever the thresholds: for each, the share
    of gold ones among the labels that score as high. It is 1 for a query without gold labels, as
    scikit-learn has it.

    Args:
        scores: Log-probabilities, (queries, labels).
        gold: Whether each label is a gold one, (queries, labels).

    Schapire and Singer, "BoosTexter", Machine Learning 39, 2000.
    """
    higher = scores[:, np.newaxis, :] >= scores[:, :, np.newaxis]
    among = (higher & gold[:, np.newaxis, :]).sum(axis=2) / higher.sum(axis=2)
    some = gold.sum(axis=1)
    found = np.where(gold, among, 0.0).sum(axis=1)
    return np.where(some > 0, _ratio(found, some.astype(np.float64)), 1.0)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = np.asarray(above), np.asarray(below)
    return np.divide(above, below, out=np.zeros(below.shape), where=below > 0)
