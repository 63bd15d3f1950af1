"""Metrics of labels that follow from a confusion matrix, and each query's share in them.

A matrix has a row for each gold label and a column for each answer, (..., classes, classes). Where
an answer may be missing, the last class stands for that: no gold label is in it. All of these are
those of scikit-learn, for many matrices at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.shares import Shares, jackknifed

Matrices = NDArray[np.float64]
"""Confusion matrices, (..., classes, classes)."""

Statistic = Callable[[Matrices], NDArray[np.float64]]
"""A metric of each matrix, (...,)."""

_CHUNK = 2**22
"""Numbers of the matrices that are held at once."""


def matrix(gold: ArrayLike, said: ArrayLike, classes: int) -> Matrices:
    """Return the confusion matrix of some queries.

    Args:
        gold: The number of each query's gold label, (queries,).
        said: The number of each answer, (queries,).
        classes: The number of classes.
    """
    cells = np.asarray(gold) * classes + np.asarray(said)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def balanced_accuracy(counts: Matrices) -> NDArray[np.float64]:
    """Return the mean recall of the gold labels that occur, from 0 to 1.

    Args:
        counts: Confusion matrices, (..., classes, classes).

    Example:
        >>> float(balanced_accuracy(np.array([[3.0, 1.0], [1.0, 1.0]])))
        0.625
    """
    support = counts.sum(axis=-1)
    recall = _ratio(_hits(counts), support)
    return _mean(recall, support)


def macro_f1(counts: Matrices) -> NDArray[np.float64]:
    """Return the mean F1 of the labels that occur, as gold label or answer, from 0 to 1.

    Args:
        counts: Confusion matrices, (..., classes, classes).
    """
    times = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _mean(_ratio(2 * _hits(counts), times), times)


def mcc(counts: Matrices) -> NDArray[np.float64]:
    """Return Matthews' correlation coefficient, from -1 to 1; 0 where it is not defined.

    Args:
        counts: Confusion matrices, (..., classes, classes).

    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient",
    Computational Biology and Chemistry 28, 2004.
    """
    gold, said = counts.sum(axis=-1), counts.sum(axis=-2)
    n = gold.sum(axis=-1)
    both = _hits(counts).sum(axis=-1) * n - (gold * said).sum(axis=-1)
    spread = (n**2 - (gold**2).sum(axis=-1)) * (n**2 - (said**2).sum(axis=-1))
    return _ratio(both, np.sqrt(spread))


def kappa(counts: Matrices) -> NDArray[np.float64]:
    """Return Cohen's kappa, from -1 to 1; 0 where it is not defined.

    Args:
        counts: Confusion matrices, (..., classes, classes).

    Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    return _kappa(counts, 1 - np.eye(counts.shape[-1]))


def quadratic_kappa(values: ArrayLike) -> Statistic:
    """Return Cohen's kappa with quadratic weights, of classes that stand for these values.

    Args:
        values: The value of each class, (classes,); distances between them are squared.

    Cohen, "Weighted kappa", Psychological Bulletin 70, 1968.
    """
    at = np.asarray(values, dtype=np.float64)
    weights = (at[:, np.newaxis] - at) ** 2
    return lambda counts: _kappa(counts, weights)


def per_class(hits: ArrayLike, gold: ArrayLike, said: ArrayLike) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each class, (3, classes); 0 where nothing is in it.

    Args:
        hits: The number of right answers of each class, (classes,).
        gold: The number of queries of each class, (classes,).
        said: The number of answers of each class, (classes,).

    Example:
        >>> per_class([3, 1], [4, 2], [4, 2]).tolist()
        [[0.75, 0.5], [0.75, 0.5], [0.75, 0.5]]
    """
    right, of, times = (np.asarray(one, dtype=np.float64) for one in (hits, gold, said))
    return np.stack([_ratio(right, times), _ratio(right, of), _ratio(2 * right, of + times)])


def shares(statistic: Statistic, gold: ArrayLike, said: ArrayLike, classes: int) -> Shares:
    """Return each query's share in a metric, (queries,).

    Args:
        statistic: The metric.
        gold: The number of each query's gold label, (queries,).
        said: The number of each answer, (queries,).
        classes: The number of classes.
    """
    counts = matrix(gold, said, classes)
    whole = float(statistic(counts))
    cells, place = np.unique(np.asarray(gold) * classes + np.asarray(said), return_inverse=True)
    if len(place) < 2:
        return np.full(len(place), whole)
    without = np.empty(len(cells))
    step = max(_CHUNK // classes**2, 1)
    for start in range(0, len(cells), step):
        part = cells[start : start + step]
        others = np.repeat(counts[np.newaxis], len(part), axis=0)
        others.reshape(len(part), -1)[np.arange(len(part)), part] -= 1
        without[start : start + step] = statistic(others)
    return jackknifed(whole, without[place])


def _kappa(counts: Matrices, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    gold, said = counts.sum(axis=-1), counts.sum(axis=-2)
    chance = gold[..., :, np.newaxis] * said[..., np.newaxis, :]
    observed = (weights * counts).sum(axis=(-2, -1)) * gold.sum(axis=-1)
    expected = (weights * chance).sum(axis=(-2, -1))
    return np.where(expected > 0, 1 - _ratio(observed, expected), 0.0)


def _mean(values: NDArray[np.float64], occur: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over classes that occur; the others have the value 0."""
    return _ratio(values.sum(axis=-1), np.sum(occur > 0, axis=-1, dtype=np.float64))


def _hits(counts: Matrices) -> NDArray[np.float64]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)
