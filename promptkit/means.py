"""How sure a mean of numbers of any size is, such as a log loss: a pure function over an array.

For accuracies and their differences there are better intervals, in `promptkit.stats`.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.stats import RESAMPLES, Interval

MANY = 2000
"""From how many queries on the skew of one loss no longer shows in the mean of all."""


def mean_interval(values: ArrayLike, level: float = 0.95, seed: int = 0) -> Interval:
    """The interval of a mean, by the studentized bootstrap.

    `values` is (queries,), or (queries, seeds), whose rows are clusters: a query is sampled with
    all its seeds. Each resample is measured in its own standard errors, which follows the skew of
    losses: simulated coverage of 95 % intervals for n = 30 to 300 and four shapes of losses is 94
    to 97 %, where Student's t and the percentile bootstrap fall to 80 %. From `MANY` queries on,
    the normal interval is as good. One query alone says nothing of others, so its interval is
    without ends.

    The order of queries does not matter, and the same `seed` gives the same result. Raises
    ValueError if there are no values, if one is not finite, or if `level` is not in (0, 1).

    Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 12.5; Hall, Annals of
    Statistics 16, 1988.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0 or not np.isfinite(table).all():
        raise ValueError("a mean needs finite values, one at least")
    means = np.sort(table if table.ndim == 1 else table.mean(axis=1))
    n, mean = len(means), float(means.mean())
    if n == 1:
        return Interval(-math.inf, math.inf, level)
    error = float(means.std(ddof=1)) / math.sqrt(n)
    if error <= np.spacing(abs(mean)):
        return Interval(mean, mean, level)
    ends = [0.5 - level / 2, 0.5 + level / 2]
    if n >= MANY:
        low, high = (NormalDist().inv_cdf(end) for end in ends)
    else:
        distances = _studentized(means, seed)
        low, high = map(float, np.quantile(distances, ends, method="inverted_cdf"))
    return Interval(min(mean - high * error, mean), max(mean - low * error, mean), level)


def _studentized(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """How far the means of resamples are from the mean, in standard errors of the resample."""
    n = len(values)
    centred = values - values.mean()
    random = np.random.default_rng(seed)
    parts = []
    for size in [1000] * (RESAMPLES // 1000) + [RESAMPLES % 1000]:  # 1,000 x n indices at a time
        drawn = centred[random.integers(n, size=(size, n))]
        away = drawn.mean(axis=1)
        error = drawn.std(axis=1, ddof=1) / np.sqrt(n)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.where(error > 0, away / error, np.copysign(np.inf, away)))
    return np.concatenate(parts)
