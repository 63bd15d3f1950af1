"""Metrics of how well probabilities rank answers, and each query's share in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.shares import Shares, jackknifed


def auroc(score: ArrayLike, positive: ArrayLike) -> Shares:
    """Return the shares in the area under the ROC curve; all NaN where one side is empty.

    The area is the chance that a positive query has a higher score than a negative one, a tie
    counting half. Shares are DeLong's placements, so that their scatter is DeLong's variance.

    Args:
        score: What should be higher for positive queries, (queries,).
        positive: True for positive queries, (queries,).

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44, 1988.

    Example:
        >>> float(auroc([0.9, 0.2, 0.4], [True, False, True]).mean())
        1.0
    """
    values, is_positive = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=bool)
    n, above = len(values), int(is_positive.sum())
    if not 0 < above < n:
        return np.full(n, np.nan)
    places = np.empty(n)
    for side in (True, False):
        own, others = values[is_positive == side], np.sort(values[is_positive != side])
        low = np.searchsorted(others, own, "left")
        high = np.searchsorted(others, own, "right")
        below = (low + high) / 2 / len(others)
        places[is_positive == side] = below if side else 1 - below
    area = places[is_positive].mean()
    sizes = np.where(is_positive, above, n - above)
    shares: Shares = area + n / sizes * (places - area)
    return shares


def top_k(logprobs: ArrayLike, gold: ArrayLike, k: int) -> Shares:
    """Return 1 where the gold label is among the k most probable, else 0, (queries,).

    Of labels that are equally probable, those that come first count as more probable.

    Args:
        logprobs: (queries, labels).
        gold: The number of each query's gold label, (queries,).
        k: The number of labels.
    """
    scores, labels = np.asarray(logprobs), np.asarray(gold)
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    first = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    rank = ((scores > own) | ((scores == own) & first)).sum(axis=1)
    found: Shares = (rank < k).astype(np.float64)
    return found


def calibration_error(probs: ArrayLike, gold: ArrayLike, bins: int = 10) -> Shares:
    """Return the shares in the expected calibration error.

    It is that of `promptkit.evaluation.metrics.expected_calibration_error`.

    Args:
        probs: Probabilities, normalised over the labels, (queries, labels).
        gold: The number of each query's gold label, (queries,).
        bins: The number of bins of equal width.
    """
    table, labels = np.asarray(probs, dtype=np.float64), np.asarray(gold)
    sure = table.max(axis=1)
    gaps = (table.argmax(axis=1) == labels) - sure
    place = np.digitize(sure, np.arange(1, bins) / bins, right=True)
    sums = np.bincount(place, weights=gaps, minlength=bins)
    n, whole = len(gaps), float(np.abs(sums).sum())
    if n < 2:
        return np.full(n, whole)
    without = whole - np.abs(sums[place]) + np.abs(sums[place] - gaps)
    return jackknifed(whole / n, without / (n - 1))


def risk_coverage(confidence: ArrayLike, wrong: ArrayLike) -> NDArray[np.float64]:
    """Return the share of wrong answers among the most confident ones, for each number of them.

    Args:
        confidence: (queries,); of equal ones the mean over all orders counts.
        wrong: True for wrong answers, (queries,).
    """
    order, errors = _by_confidence(confidence, wrong)
    risks: NDArray[np.float64] = np.cumsum(errors) / np.arange(1, len(order) + 1)
    return risks


def aurc(confidence: ArrayLike, wrong: ArrayLike) -> Shares:
    """Return the shares in the area under the risk-coverage curve, from 0 (best) to 1.

    Args:
        confidence: (queries,).
        wrong: True for wrong answers, (queries,).

    Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017.
    """
    order, errors = _by_confidence(confidence, wrong)
    n = len(order)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    weights = harmonic[n] - harmonic[:n]
    whole = float(errors @ weights / n)
    if n < 2:
        return np.full(n, whole)
    # Without one query, those that are less confident come one place earlier.
    before = harmonic[n - 1] - harmonic[:n]
    after = harmonic[n - 1] - np.concatenate([[0.0], harmonic[: n - 1]])
    ahead = np.cumsum(errors * before) - errors * before
    behind = (errors * after)[::-1].cumsum()[::-1] - errors * after
    shares = np.empty(n)
    shares[order] = jackknifed(whole, (ahead + behind) / (n - 1))
    return shares


def _by_confidence(
    confidence: ArrayLike, wrong: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the order of queries, most confident first, and their errors in it.

    Queries of one confidence share their mean error, as no order among them is better.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    order = np.argsort(-sure, kind="stable")
    errors = np.asarray(wrong, dtype=np.float64)[order]
    _, place, counts = np.unique(-sure[order], return_inverse=True, return_counts=True)
    return order, (np.bincount(place, errors) / counts)[place]
