"""Variance components of a metric: queries, draws, orders, templates, verbalizers.

Tables are of 0 and 1 for an accuracy, and of shares of any size for another metric (`shares`), one
axis for the queries and one for each factor. The queries are a sample,
and the intervals are for new ones from the same source. The levels of a factor are fixed: the
variance is estimated among those that were compared, without the noise that a sample of queries
adds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from promptkit.evaluation.intervals import ADDED, Interval
from promptkit.evaluation.query_variance import (
    DRAWS,
    Component,
    Floats,
    Kinds,
    by_query,
    component,
    counted,
    listed,
)
from promptkit.translation import tr

FINE = 2**14
"""Number of distances between 0 and 1 among which an end is looked for."""
PICKED = 0.6
"""Share of the nominal chance beyond an end that the interval of a range uses. The pattern of the
levels is known from the sample only; with the whole chance 91 % would be covered."""
FAINT = 0.16
"""Quantile of the range of pure noise, one sample in six, that bounds the upper end from below."""

Measure = Callable[[Floats], Floats]
"""Distance between accuracies, those of levels along the first axis. It grows in proportion when
they are multiplied, and is the same when something is added to all of them."""


class Components(NamedTuple):
    """Variance components of the metric of one cell on these queries."""

    query: Component
    """The sample of queries: some are harder than others in all cells."""
    residual: Component
    """Answers that change from cell to cell though the metric need not."""
    factors: tuple[Component | None, ...]
    """The factors, each with the others held; None for a factor of one level."""


class Extent(NamedTuple):
    """Range of a metric over the levels of one factor, in its unit."""

    values: tuple[float, ...]
    """Metric of each level."""
    observed: float
    """Largest less smallest value."""
    noise: float
    """Expected value of `observed` if all levels were equally good."""
    estimate: float
    """Range without the noise."""
    ci: Interval
    """Interval of `estimate`."""


def components(correct: ArrayLike, level: float = 0.95) -> Components:
    """Return the variance components of an accuracy, as standard deviations.

    By analysis of variance and the method of moments, from expected mean squares:

    - `query` and `residual` are the two-way layout of queries and cells, each divided by the
      number of queries, since that many make the accuracy of a cell;
    - a factor's is that of the layout of queries and this factor, averaged over all cells of the
      other factors. So it includes interactions: an order that is good for one draw of shots and
      bad for another counts, though no order is best.

    The intervals of `query` and `residual` are percentile bootstraps over queries, with one added,
    at its most variable: without it they cover as little as 76 %. Those of the factors are found
    as in `extent`.

    Searle, Casella and McCulloch, "Variance components", 1992, chapter 4.

    Args:
        correct: Correctness as 0 and 1, (queries, levels of one factor, levels of another, …), all
            of them crossed.
        level: The confidence of the intervals.

    Raises:
        ValueError: There are fewer than two queries or cells, or something is not 0 or 1.
    """
    table = _table(correct)
    return _components(table, counted(table.reshape(len(table), -1)), ADDED**2, level)


def components_of_means(values: ArrayLike, level: float = 0.95) -> Components:
    """Return the variance components of the mean of numbers of any size, in their unit.

    They are estimated as by `components`. Where it adds a query at its most variable, this adds the
    most variable one that there is.

    Args:
        values: Finite numbers, (queries, levels of one factor, levels of another, …), all of them
            crossed.
        level: The confidence of the intervals.

    Raises:
        ValueError: There are fewer than two queries or cells.
    """
    table, size = _scaled(values)
    cells = table.reshape(len(table), -1)
    found = _components(table, listed(cells), _added(cells), level)
    return Components(
        _times(found.query, size),
        _times(found.residual, size),
        tuple([one and _times(one, size) for one in found.factors]),
    )


def _components(table: Floats, kinds: Kinds, added: float, level: float) -> Components:
    n, shape = len(table), table.shape[1:]
    query, residual = by_query(table.reshape(n, -1), kinds, level)
    noise = _noise(table.reshape(n, -1), added).reshape(*shape, -1)
    factors = [_alone(table, noise, axis, level) for axis in range(len(shape))]
    return Components(query, residual, tuple(factors))


def extent(correct: ArrayLike, level: float = 0.95) -> Extent:
    """Return the range of accuracies over the levels of a factor, corrected for noise.

    The largest of several noisy accuracies less the smallest is too large on average, the more so
    the more there are. So `estimate` and `ci` are found by inverting a test: the observed pattern
    is shrunk or stretched, noise with the covariance of the queries' answers is added, and the
    range is taken anew; the ends are where few of the ranges are at least, or at most, as large
    as the observed one, and the estimate is where half of them are. The upper end is never lower
    than it would be for a range that noise alone stays below one time in six, so that a lucky
    sample does not pass for proof that there is no difference. `docs/evidence.md` has the coverage.

    Carpenter, "Test inversion bootstrap confidence intervals", J. Royal Statistical Society B 61,
    1999; the bound on the upper end: Cowan, Cranmer, Gross and Vitells, arXiv 1105.3166, 2011.

    Args:
        correct: Correctness as 0 and 1, (queries, levels), or (queries, levels, …) with further
            axes that are averaged over, such as draws of shots.
        level: The confidence of the interval.

    Raises:
        ValueError: As `components`.
    """
    return _extent(*_levels(correct), level)


def extent_of_means(values: ArrayLike, level: float = 0.95) -> Extent:
    """Return the range of the means of numbers of any size over the levels of a factor.

    It is estimated as by `extent`, in the unit of the numbers.

    Args:
        values: Finite numbers, (queries, levels), or (queries, levels, …) as in `extent`.
        level: The confidence of the interval.

    Raises:
        ValueError: There are fewer than two queries or levels.
    """
    table, size = _scaled(values)
    by_level = table.reshape(*table.shape[:2], -1).mean(axis=2)
    centre = float(np.asarray(values, dtype=np.float64).mean())
    found = _extent(by_level.mean(axis=0), _noise(by_level, _added(by_level)), level)
    return Extent(
        tuple([centre + size * value for value in found.values]),
        size * found.observed,
        size * found.noise,
        size * found.estimate,
        Interval(size * found.ci.low, size * found.ci.high, level),
    )


def _extent(means: Floats, noise: Floats, level: float) -> Extent:
    low, estimate, high = _invert(_range, means, noise, 1 - PICKED * (1 - level))
    return Extent(
        tuple(means.tolist()),
        float(_range(means)),
        float(_range(noise).mean()),
        estimate,
        Interval(low, high, level),
    )


def selection_bias(correct: ArrayLike) -> float:
    """Return the selection bias of the best cell: the optimism from picking it by its accuracy.

    The cells are taken to lie as far apart as `extent` estimates, noise is added, and the result is
    the mean noise of whichever comes out best. Cells with the same answers are one cell, since
    nothing is picked among them; if all are the same, the result is exactly 0.

    Args:
        correct: Correctness as 0 and 1, (queries, cells), or (queries, cells, …) as in `extent`.

    Raises:
        ValueError: As `extent`.
    """
    apart = np.unique(_table(correct), axis=1)
    if apart.shape[1] < 2:
        return 0.0
    return _optimism(*_levels(apart))


def selection_bias_of_means(values: ArrayLike) -> float:
    """Return the selection bias of the best cell by the mean of numbers of any size.

    It is estimated as by `selection_bias`, in the unit of the numbers.

    Args:
        values: Numbers of which larger ones are better, (queries, cells), or (queries, cells, …).
    """
    table = np.asarray(values, dtype=np.float64)
    apart = np.unique(table, axis=1)
    if len(apart) < 2 or apart.shape[1] < 2:
        return 0.0
    scaled, size = _scaled(apart)
    by_level = scaled.reshape(*scaled.shape[:2], -1).mean(axis=2)
    return size * _optimism(by_level.mean(axis=0), _noise(by_level, _added(by_level)))


def _optimism(means: Floats, noise: Floats) -> float:
    """Return the mean noise of whichever of some means comes out best."""
    _, estimate, _ = _invert(_range, means, noise, 0.95)
    shrunk = means * min(estimate / max(float(_range(means)), 1e-9), 1.0)
    best = (noise + shrunk[:, np.newaxis]).argmax(axis=0)
    return float(noise[best, np.arange(DRAWS)].mean())


def _table(correct: ArrayLike) -> Floats:
    table = np.asarray(correct)
    if table.ndim < 2 or len(table) < 2 or table[0].size < 2:
        raise ValueError(
            tr("expected two queries and two cells or more, got shape {shape}", shape=table.shape)
        )
    if table.dtype.kind not in "biuf" or not np.isin(table, (0, 1)).all():
        raise ValueError(tr("right or wrong must be given as True and False, or 1 and 0"))
    return table.astype(np.float64)


def _scaled(values: ArrayLike) -> tuple[Floats, float]:
    """Return numbers of any size around 0 and in units of their range, and the range."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 2 or len(table) < 2 or table[0].size < 2:
        raise ValueError(
            tr("expected two queries and two cells or more, got shape {shape}", shape=table.shape)
        )
    size = float(np.ptp(table)) or 1.0
    return (table - table.mean()) / size, size


def _added(by_level: Floats) -> float:
    """Return what is added to the variances of numbers: as little as one more query."""
    return max(float(by_level.var()), 1e-12)


def _times(one: Component, size: float) -> Component:
    ends = Interval(size * one.ci.low, size * one.ci.high, one.ci.level)
    return Component(size * one.sd, ends, one.truncated)


def _levels(correct: ArrayLike) -> tuple[Floats, Floats]:
    """Return the accuracies of levels, all else averaged over, and draws of their noise."""
    table = _table(correct)
    if table.shape[1] < 2:
        raise ValueError(
            tr("a range needs two levels or more, got shape {shape}", shape=table.shape)
        )
    answers = table.reshape(*table.shape[:2], -1)
    by_level = answers.mean(axis=2)
    return by_level.mean(axis=0), _noise(by_level, ADDED**2 / answers.shape[2])


def _alone(table: Floats, noise: Floats, axis: int, level: float) -> Component | None:
    n, levels = len(table), table.shape[axis + 1]
    if levels < 2:
        return None
    answers = np.moveaxis(table, axis + 1, 1).reshape(n, levels, -1)
    drawn = np.moveaxis(noise, axis, 0).reshape(levels, -1, DRAWS)
    means = answers.mean(axis=0)
    centred = answers - answers.mean(axis=1, keepdims=True)
    interplay = centred.var(axis=0, ddof=1).sum(axis=0) / (levels - 1)
    variance = means.var(axis=0, ddof=1) - interplay / n
    low, _, high = _invert(_deviation, means, drawn, level)
    return component(float(variance.mean()), low, high, level)


def _range(accuracies: Floats) -> Floats:
    extent: Floats = accuracies.max(axis=0) - accuracies.min(axis=0)
    return extent


def _deviation(accuracies: Floats) -> Floats:
    """Return the root of the variance between levels, averaged over the other cells (axis 1)."""
    deviation: Floats = np.sqrt(accuracies.var(axis=0, ddof=1).mean(axis=0))
    return deviation


def _noise(table: Floats, added: float = ADDED**2) -> Floats:
    """Return draws of the noise of the means of (queries, cells) on new queries, (cells, draws).

    They are normal with the covariance of the queries' answers. As to the differences of a pair,
    something is added, so that cells that agree on all queries are not taken to be the same.
    """
    n, cells = table.shape
    covariance = np.cov(table, rowvar=False) + added / (n + 2) * np.eye(cells)
    standard = np.random.default_rng(0).standard_normal((cells, DRAWS))
    noise: Floats = np.linalg.cholesky(covariance / n) @ standard
    return noise


def _invert(
    measure: Measure, seen: Floats, noise: Floats, level: float
) -> tuple[float, float, float]:
    """Return the lower end, the median-unbiased estimate and the upper end of a measure."""
    observed = float(measure(seen))
    if not observed:  # any shape will do, since it is the noise that decides
        seen = np.broadcast_to(np.arange(len(seen)).reshape(-1, *[1] * (seen.ndim - 1)), seen.shape)
    shape = (seen - seen.mean(axis=0)) / float(measure(seen))

    def chance(apart: float, target: float) -> float:
        """Return the chance of measures of at most `target`."""
        return float((measure(apart * shape[..., np.newaxis] + noise) <= target).mean())

    def where(target: float, wanted: float) -> float:
        """Return the distance of the levels at which the chance of at most `target` is `wanted`."""
        if chance(0.0, target) <= wanted:
            return 0.0
        steps = range(FINE)
        return bisect_left(steps, True, key=lambda k: chance(k / FINE, target) <= wanted) / FINE

    tail = 0.5 - level / 2
    faint = float(np.quantile(measure(noise), FAINT))
    return where(observed, 1 - tail), where(observed, 0.5), where(max(observed, faint), tail)
