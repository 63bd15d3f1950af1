"""How many queries a paired comparison needs, and what it can see with those it has.

Both are for the test in `promptkit.stats.paired_difference`, and plan with its `disagreement`: the
mean over queries of the squared difference, for one seed the share of queries that only one of
the two has right. Where a difference is larger than that, so is the disagreement taken to be.

Connor, "Sample size for testing differences in proportions for the paired-sample design",
Biometrics 43, 1987. The exact test needs a few queries more: at the numbers given here its power
is 0.76 to 0.9 where 0.8 is asked.
"""

from __future__ import annotations

import math
from statistics import NormalDist

STEPS = 60
"""Halvings of the interval in which a difference is looked for."""


def queries_needed(
    delta: float, disagreement: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """The number of queries at which a difference of `delta` is found with a chance of `power`.

    `delta` is a difference of accuracies from -1 to 1 and not 0; `alpha` is what the two-sided
    p-value must not exceed. Raises ValueError for anything else.
    """
    _check(disagreement, alpha, power)
    if not 0 < abs(delta) <= 1:
        raise ValueError(f"a difference to be found is from -1 to 1 and not 0, got {delta}")
    return math.ceil(_needed(abs(delta), disagreement, alpha, power))


def detectable(
    n: int, disagreement: float, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest difference of accuracies that `n` queries show with a chance of `power`.

    None where not even a difference of 1 would do. Raises ValueError if `n` is below 1 or what is
    planned with is out of range.
    """
    _check(disagreement, alpha, power)
    if n < 1:
        raise ValueError(f"there must be at least one query, got {n}")
    low, high = 0.0, 1.0
    if _needed(high, disagreement, alpha, power) > n:
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _needed(middle, disagreement, alpha, power) > n:
            low = middle
        else:
            high = middle
    return high


def _needed(delta: float, disagreement: float, alpha: float, power: float) -> float:
    z = NormalDist().inv_cdf
    square = max(disagreement, delta)
    without, given = math.sqrt(square), math.sqrt(square - delta * delta)
    planned = ((z(1 - alpha / 2) * without + z(power) * given) / delta) ** 2
    # Not even when all queries agree is the exact p-value less than 2 ** (1 - n).
    return max(planned, 1 - math.log2(alpha))


def _check(disagreement: float, alpha: float, power: float) -> None:
    if not 0 <= disagreement <= 1:
        raise ValueError(f"disagreement is from 0 to 1, got {disagreement}")
    if not 0 < alpha < power < 1:
        raise ValueError(f"alpha and power are 0 < alpha < power < 1, got {alpha} and {power}")
