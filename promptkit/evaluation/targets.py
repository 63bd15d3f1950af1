"""Intervals for both targets: these shots, and k shots in general.

Where nothing is drawn, as without shots or where the pool or the query alone decides, the two are
the same. Where shots are drawn and there is one draw, nothing can be said of others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation import crossed_intervals, intervals, mean_intervals
from promptkit.evaluation.intervals import Difference, Interval


class Intervals(NamedTuple):
    """Intervals of one figure."""

    general: Interval | None
    """For new queries and new draws of shots; None where there is one draw only."""
    these: Interval
    """For new queries and these shots."""

    @property
    def decisive(self) -> Interval:
        """Interval that is shown where there is room for one."""
        return self.these if self.general is None else self.general

    @property
    def ends(self) -> tuple[tuple[float, float] | None, tuple[float, float]]:
        """Ends of both intervals."""
        general = None if self.general is None else (self.general.low, self.general.high)
        return general, (self.these.low, self.these.high)


class Differences(NamedTuple):
    """A paired difference of accuracies."""

    general: Difference | None
    """As it holds for new queries and new draws; None where there is one draw only."""
    these: Difference
    """As it holds for new queries and these shots."""

    @property
    def decisive(self) -> Difference:
        """Difference that verdicts on shot counts, selections and orders are about."""
        return self.these if self.general is None else self.general


def accuracy(correct: ArrayLike, drawn: bool, level: float = 0.95) -> Intervals:
    """Return the intervals of an accuracy.

    Args:
        correct: Right or wrong as 1 and 0, (queries, draws).
        drawn: Whether another seed would have drawn other shots.
        level: The confidence of each interval.
    """
    table = np.asarray(correct)
    these = intervals.wilson(table, level)
    if not drawn or not _is_crossed(table):
        return Intervals(None if drawn else these, these)
    return Intervals(crossed_intervals.accuracy_interval(table, these), these)


def mean(
    values: ArrayLike,
    drawn: bool,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    level: float = 0.95,
) -> Intervals | None:
    """Return the intervals of a mean of numbers of any size, or None where nothing can be said.

    Args:
        values: Losses or the like, (queries, draws).
        drawn: Whether another seed would have drawn other shots.
        least: The smallest value that the mean can have.
        most: The largest.
        level: The confidence of each interval.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(table) < 2 or not np.isfinite(table).all():
        return None
    raw = mean_intervals.mean_interval(table, level)
    if raw.low == raw.high and least > -math.inf and most < math.inf:
        raw = _of_equals(raw, len(table), least, most)
    these = _within(raw, least, most)
    if not drawn or not _is_crossed(table):
        return Intervals(None if drawn else these, these)
    return Intervals(_within(crossed_intervals.mean_interval(table, raw), least, most), these)


def difference(a: ArrayLike, b: ArrayLike, drawn: bool, level: float = 0.95) -> Differences:
    """Return the accuracy of `b` less that of `a`, over the same queries and seeds.

    Args:
        a: Right or wrong as 1 and 0, (queries, draws).
        b: The same of the other cell, with as many draws.
        drawn: Whether another seed would have drawn other shots for one of the two.
        level: The confidence of each interval.
    """
    first, second = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    these = intervals.paired_difference(first, second, level)
    if not drawn or not _is_crossed(second):
        return Differences(None if drawn else these, these)
    return Differences(crossed_intervals.difference(second - first, these), these)


def mean_difference(
    a: ArrayLike, b: ArrayLike, drawn: bool, *, most: float = math.inf, level: float = 0.95
) -> Differences | None:
    """Return the mean of `b` less that of `a`, over the same queries and seeds.

    Args:
        a: Numbers of the answers of a cell, (queries, draws).
        b: The same of the other cell, with as many draws.
        drawn: Whether another seed would have drawn other shots for one of the two.
        most: The largest that the difference can be.
        level: The confidence of each interval.

    Returns:
        The difference; None for a single query and numbers that are not finite.
    """
    change = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    if len(change) < 2 or not np.isfinite(change).all():
        return None
    found = mean_intervals.mean_difference(change, level)
    these = replace(found, ci=_within(found.ci, -most, most))
    if not drawn or not _is_crossed(change):
        return Differences(None if drawn else these, these)
    return Differences(crossed_intervals.difference(change, these, most), these)


def _is_crossed(table: NDArray[Any]) -> bool:
    return table.ndim == 2 and min(table.shape) > 1


def _of_equals(interval: Interval, n: int, least: float, most: float) -> Interval:
    """Return the interval of a bounded mean where all of n queries have the same value.

    Other values are at most so frequent that n queries show none of them in one of 20 samples; they
    may lie at either bound.
    """
    rare = 1 - (1 - interval.level) ** (1 / n)
    low, high = interval.low - least, most - interval.high
    return Interval(interval.low - rare * low, interval.high + rare * high, interval.level)


def _within(interval: Interval, least: float, most: float) -> Interval:
    return Interval(max(interval.low, least), min(interval.high, most), interval.level)
