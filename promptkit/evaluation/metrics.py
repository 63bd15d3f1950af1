"""Metrics of the predictions of one cell: pure functions over arrays.

Each takes one entry per query and returns one float, or one per query. Intervals and differences
are in `promptkit.evaluation.intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.translation import tr

NORMALISED = 1e-3
"""Tolerance of the sum of the probabilities of one query; single precision stays well within."""


def correctness(correct: ArrayLike) -> NDArray[np.int64]:
    """Return the correctness of answers as a (queries, seeds) table of 0 and 1.

    Args:
        correct: Bools or the numbers 0 and 1, (queries,), which becomes one seed, or (queries,
            seeds). A failed prediction counts as wrong, or is left out before.

    Raises:
        ValueError: It is empty, has another shape, or holds anything else.
    """
    table = np.asarray(correct)
    if table.ndim == 1:
        table = table[:, np.newaxis]
    if table.ndim != 2:
        raise ValueError(
            tr("expected (queries,) or (queries, seeds), got shape {shape}", shape=table.shape)
        )
    if table.size == 0:
        raise ValueError(tr("no predictions to judge: shape {shape}", shape=table.shape))
    if table.dtype.kind not in "biuf" or not np.isin(table, (0, 1)).all():
        raise ValueError(tr("right or wrong must be given as True and False, or 1 and 0"))
    return table.astype(np.int64)


def log_losses(log_probs: ArrayLike, gold_index: ArrayLike) -> NDArray[np.float64]:
    """Return the negative log-probability of each query's gold label, in nats, (queries,).

    As no probability is ever formed, a very unlikely gold label costs what it should and not
    infinity; only a log-probability of -inf does.

    Args:
        log_probs: (queries, labels), natural logarithms of probabilities that are normalised over
            the labels.
        gold_index: (queries,), the column of each query's gold label.

    Raises:
        ValueError: There are no queries, shapes or indices do not fit, something is NaN, or a row
            is not normalised.
    """
    scores, gold = _scores(log_probs, gold_index)
    if not _normalised(np.exp(np.minimum(scores, 1.0))):
        raise ValueError(tr("log-probabilities must be normalised over the labels"))
    # The sum with 0.0 turns a perfect -0.0 into 0.0.
    losses: NDArray[np.float64] = -scores[np.arange(len(gold)), gold] + 0.0
    return losses


def brier_scores(probs: ArrayLike, gold_index: ArrayLike) -> NDArray[np.float64]:
    """Return the Brier score of each query, (queries,); from 0 (best) to 2.

    It is the sum over all labels of (probability - 1)² for the gold label and probability² for the
    others: the original definition, for any number of labels. With two labels it is twice the
    form that knows the probability of one of them only.

    Glenn W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1950.

    Args:
        probs: (queries, labels), probabilities that are normalised over the labels.
        gold_index: (queries,), the column of each query's gold label.

    Raises:
        ValueError: There are no queries, shapes or indices do not fit, something is NaN, or a row
            is not normalised.
    """
    scores, gold = _probabilities(probs, gold_index)
    missed = scores - np.eye(scores.shape[1])[gold]
    distances: NDArray[np.float64] = (missed**2).sum(axis=1)
    return distances


def expected_calibration_error(probs: ArrayLike, gold_index: ArrayLike, bins: int = 10) -> float:
    """Return the mean distance of the confidence in the top label from its accuracy, 0 (best) to 1.

    Queries are put into bins of equal width by the probability of their most probable label (the
    first of equals), each bin open below and closed above; the result is the mean over queries of
    their bin's |accuracy - mean confidence|. It is biased upwards when there are few queries in a
    bin, so compare it only between cells with the same queries.

    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015; Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural
    networks", ICML 2017.

    Args:
        probs: (queries, labels), probabilities that are normalised over the labels.
        gold_index: (queries,), the column of each query's gold label.
        bins: The number of bins.

    Raises:
        ValueError: There are no queries or no bins, shapes or indices do not fit, something is
            NaN, or a row is not normalised.
    """
    curve = reliability(probs, gold_index, bins)
    queries = sum(one.n for one in curve)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in curve) / queries


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence, the probability of the top label."""

    confidence: float
    """Mean confidence."""
    accuracy: float
    n: int


def reliability(probs: ArrayLike, gold_index: ArrayLike, bins: int = 10) -> list[Bin]:
    """Return the bins of `expected_calibration_error` that have a query, least confident first.

    Args and Raises are those of `expected_calibration_error`.
    """
    if bins < 1:
        raise ValueError(tr("bins must be at least 1, got {bins}", bins=bins))
    scores, gold = _probabilities(probs, gold_index)
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == gold
    upper_edges = np.arange(1, bins) / bins
    which = np.digitize(confidence, upper_edges, right=True)
    counts = np.bincount(which, minlength=bins)
    sure = np.bincount(which, weights=confidence, minlength=bins)
    hits = np.bincount(which, weights=right, minlength=bins)
    return [
        Bin(float(sure[i] / counts[i]), float(hits[i] / counts[i]), int(counts[i]))
        for i in np.flatnonzero(counts)
    ]


def _normalised(probs: NDArray[np.float64]) -> bool:
    return bool((np.abs(probs.sum(axis=1) - 1) <= NORMALISED).all())


def _probabilities(
    probs: ArrayLike, gold_index: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores, gold = _scores(probs, gold_index)
    if scores.min() < 0 or not _normalised(scores):
        raise ValueError(tr("probabilities must be normalised over the labels (not logarithms)"))
    return scores, gold


def _scores(
    scores: ArrayLike, gold_index: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a checked (queries, labels) table and (queries,) index into its columns."""
    table = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(gold_index)
    if table.ndim != 2 or gold.shape != table.shape[:1]:
        raise ValueError(
            tr(
                "expected (queries, labels) and (queries,), got shapes {shape} and {gold}",
                shape=table.shape,
                gold=gold.shape,
            )
        )
    if table.size == 0:
        raise ValueError(tr("no predictions to judge: shape {shape}", shape=table.shape))
    if np.isnan(table).any():
        raise ValueError(tr("probabilities must not be NaN"))
    if gold.dtype.kind not in "iu" or gold.min() < 0 or gold.max() >= table.shape[1]:
        raise ValueError(
            tr("gold indices must be integers from 0 to {last}", last=table.shape[1] - 1)
        )
    return table, gold.astype(np.int64)
