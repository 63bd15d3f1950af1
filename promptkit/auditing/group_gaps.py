"""Gaps between groups: the highest less the lowest, with intervals that allow for the choice.

Of many groups that are alike, the highest and the lowest differ by chance alone. So the interval of
a gap is made of those of all pairs, which hold at once: the gap is at least the largest of their
lower ends, and at most the largest of their upper ends. The p-value is that of a permutation of the
queries over the groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from promptkit.auditing.group_results import Gap, Rule
from promptkit.evaluation.independent_intervals import (
    Estimate,
    difference_interval,
    level_of_each,
    ratio_interval,
)
from promptkit.evaluation.intervals import holm
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.results import Ends

PERMUTATIONS = 9999
ENOUGH = 50
"""Number of permutations with as large a gap after which no more are tried."""

FOUR_FIFTHS = 0.8
"""Ratio of selection rates below which the four-fifths rule sees adverse impact: Uniform Guidelines
on Employee Selection Procedures, 29 CFR 1607.4 (D), 1978."""

_CHUNK = 2**19
"""Numbers that are permuted at once."""

Parts = Mapping[str, Outcomes]
"""Outcomes of each group by its name."""


def gap_of(
    metric: Metric, parts: Parts, whole: Outcomes | None = None, *, level: float = 0.95
) -> Gap | None:
    """Return the gap of a metric between groups; None for fewer than two with an interval.

    Args:
        metric: The metric.
        parts: The outcomes of each group that is ranked by it.
        whole: The outcomes of all queries, for a p-value.
        level: The level at which the intervals of all pairs hold at once.
    """
    found = estimates(metric, parts, level)
    if len(found) < 2:
        return None
    values = {name: one.value for name, one in found.items()}
    highest, lowest = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    ratio = None
    if metric.least == 0 and values[highest] > 0:
        ratio = values[lowest] / values[highest]
    return Gap(
        metric.name,
        values[highest] - values[lowest],
        _gap_ends(found),
        ratio,
        None if ratio is None else _ratio_ends(found),
        highest,
        lowest,
        len(found),
        None if whole is None else _permutation_p(metric, [parts[name] for name in found], whole),
        None,
    )


def estimates(metric: Metric, parts: Parts, level: float) -> dict[str, Estimate]:
    """Return a metric of each group with its interval, all pairs of which hold at a level.

    Args:
        metric: The metric.
        parts: The outcomes of each group.
        level: The level for all pairs together.
    """
    each = level_of_each(max(len(parts), 2), level)
    found = {}
    for name, one in parts.items():
        value, intervals = metric.value(one), metric.intervals(one, each)
        if value is not None and intervals is not None and math.isfinite(value):
            found[name] = Estimate(value, intervals.decisive)
    return found


def corrected(gaps: Sequence[Gap]) -> list[Gap]:
    """Return gaps with p-values adjusted for the number of those that are tested."""
    adjusted = iter(holm([gap.p for gap in gaps if gap.p is not None]).tolist())
    return [gap if gap.p is None else replace(gap, p_holm=next(adjusted)) for gap in gaps]


def four_fifths(gap: Gap) -> Rule:
    """Return the verdict of the four-fifths rule on the ratio of a gap."""
    if gap.ratio_ci is None:
        return "open"
    low, high = gap.ratio_ci
    return "kept" if low >= FOUR_FIFTHS else "missed" if high < FOUR_FIFTHS else "open"


def _gap_ends(found: Mapping[str, Estimate]) -> Ends | None:
    pairs = [difference_interval(a, b) for a, b in permutations(found.values(), 2)]
    low = max(max(pair.low for pair in pairs), 0.0)
    high = max(pair.high for pair in pairs)
    return (low, high) if math.isfinite(high) else None


def _ratio_ends(found: Mapping[str, Estimate]) -> Ends | None:
    pairs = [ratio_interval(a, b) for a, b in permutations(found.values(), 2)]
    known = [pair for pair in pairs if pair is not None]
    low, high = (min(getattr(pair, end) for pair in known) for end in ("low", "high"))
    return min(max(low, 0.0), 1.0), min(high, 1.0)


def _permutation_p(metric: Metric, parts: Sequence[Outcomes], whole: Outcomes) -> float | None:
    """Return how often queries that are dealt to the groups at random have as large a gap.

    Each query counts by its share in the metric over all groups together, which no dealing changes.
    Once enough gaps are as large, the p-value is known well enough: their number divided by that of
    the permutations so far.

    Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991.
    """
    shares = metric.shares(whole.of([id for one in parts for id in one.queries]))
    if shares is None:
        return None
    known = np.isfinite(shares).all(axis=1)
    place = np.repeat(np.arange(len(parts)), [len(one.correct) for one in parts])[known]
    sizes = np.bincount(place, minlength=len(parts))
    if (sizes == 0).any():
        return None
    values = shares[known].mean(axis=1)
    own = float(_gaps(values[np.newaxis], sizes)[0])
    rng = np.random.default_rng(0)
    step = max(_CHUNK // len(values), 1)
    above = 0
    for start in range(0, PERMUTATIONS, step):
        count = min(step, PERMUTATIONS - start)
        dealt = rng.permuted(np.broadcast_to(values, (count, len(values))), axis=1)
        as_large = np.flatnonzero(_gaps(dealt, sizes) >= own - 1e-9)
        if above + len(as_large) >= ENOUGH:
            return ENOUGH / float(start + as_large[ENOUGH - above - 1] + 1)
        above += len(as_large)
    return (1 + above) / (1 + PERMUTATIONS)


def _gaps(values: NDArray[np.float64], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the gap of each row, whose values are those of one group after the other."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    gaps: NDArray[np.float64] = np.ptp(np.add.reduceat(values, starts, axis=1) / sizes, axis=1)
    return gaps
