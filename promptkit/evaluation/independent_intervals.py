"""Intervals of differences and ratios of figures over different queries, made from those of each.

That is the method of variance estimates recovery (MOVER): no normal distribution is assumed, and
an interval keeps what the two that it is made of know of skew and bounds.

Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
Medicine 17, 1998; Zou and Donner, "Construction of confidence limits about effect measures",
Statistics in Medicine 27, 2008.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

from promptkit.evaluation.intervals import Interval


class Estimate(NamedTuple):
    """A figure over some queries with its interval."""

    value: float
    interval: Interval


def difference_interval(one: Estimate, other: Estimate) -> Interval:
    """Return the interval of one figure less another one, over different queries.

    Args:
        one: The figure.
        other: The one that is subtracted.

    Example:
        >>> half = Estimate(0.5, Interval(0.4, 0.6))
        >>> found = difference_interval(half, half)
        >>> round(found.low, 2), round(found.high, 2)
        (-0.14, 0.14)
    """
    delta = one.value - other.value
    low = math.hypot(one.value - one.interval.low, other.interval.high - other.value)
    high = math.hypot(one.interval.high - one.value, other.value - other.interval.low)
    return Interval(delta - low, delta + high, one.interval.level)


def ratio_interval(one: Estimate, other: Estimate) -> Interval | None:
    """Return the interval of one figure divided by another one, over different queries.

    It is that of the difference of their logarithms. Where the first figure is 0, the upper end is
    that of the ratio of the ends.

    Args:
        one: The figure, 0 or more.
        other: The one that it is divided by; None is returned where it is 0.
    """
    level = one.interval.level
    if other.value <= 0:
        return None
    if one.value <= 0:
        low = max(other.interval.low, 0.0)
        return Interval(0.0, one.interval.high / low if low else math.inf, level)
    ratio = one.value / other.value
    below = math.hypot(_fall(one.value, one.interval.low), _fall(other.interval.high, other.value))
    above = math.hypot(_fall(one.interval.high, one.value), _fall(other.value, other.interval.low))
    high = math.inf if above > 700 else ratio * math.exp(above)
    return Interval(ratio * math.exp(-below), high, level)


def _fall(high: float, low: float) -> float:
    """Return the distance of two logarithms."""
    return math.log(high / low) if low > 0 else math.inf


@cache
def level_of_each(groups: int, level: float = 0.95) -> float:
    """Return the level of each group's interval at which all differences of pairs hold at once.

    It is the one at which a normal quantile is that of the studentized range over the root of 2,
    so that for two groups nothing changes.

    Args:
        groups: Number of groups, 2 or more.
        level: The level for all pairs together.

    Agresti, Bini, Bertaccini and Ryu, "Simultaneous confidence intervals for comparing binomial
    parameters", Biometrics 64, 2008.

    Example:
        >>> round(level_of_each(2), 4), round(level_of_each(4), 4)
        (0.95, 0.9898)
    """
    if groups == 2:
        return level
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(level, groups, math.inf)) / math.sqrt(2)
    return 2 * NormalDist().cdf(quantile) - 1
