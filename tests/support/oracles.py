"""Intervals and p-values by scipy, statsmodels and the formulas of the documentation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

Table = NDArray[np.bool_]
"""Right answers, (queries, seeds)."""


def effective_seeds(table: Table) -> float:
    """Return how many independent answers the answers to one query are worth."""
    n, seeds = table.shape
    p, means = table.mean(), table.mean(axis=1)
    gain = (n * p * (1 - p) + 1 / 4) / (((means - p) ** 2).sum() + 1 / 4)
    return float(np.clip(gain, 1, seeds))


def accuracy_interval(table: Table) -> tuple[float, float]:
    """Return Wilson's interval, for as many answers as there are in effect."""
    answers = len(table) * effective_seeds(table)
    low, high = proportion_confint(table.mean() * answers, answers, method="wilson")
    return float(low), float(high)


def sign_flip_p(a: Table, b: Table) -> float:
    """Return the p-value of the test that exchanges a and b in every subset of the queries."""

    def difference(a: Any, b: Any, axis: int) -> Any:
        return np.mean(b, axis=axis) - np.mean(a, axis=axis)

    found = stats.permutation_test(
        (a.mean(axis=1), b.mean(axis=1)),
        difference,
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    return float(found.pvalue)


def difference_interval(a: Table, b: Table) -> tuple[float, float]:
    """Return the percentile bootstrap of the difference, with a win and a loss added."""
    added = 0.75 / np.sqrt(min(effective_seeds(a), effective_seeds(b)))
    differences = np.append(b.mean(axis=1) - a.mean(axis=1), [added, -added])
    found = stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    delta = float((b.mean(axis=1) - a.mean(axis=1)).mean())
    return min(float(found.low), delta), max(float(found.high), delta)
