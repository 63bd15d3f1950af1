"""Intervals over new queries and new draws of shots: pure functions over (queries, draws) tables.

An accuracy can be about two targets:

- *these shots*: the queries are a sample, the drawn shots are fixed. That is what one freezes and
  deploys, and what `promptkit.evaluation.intervals` and `promptkit.evaluation.mean_intervals` are
  about.
- *k shots in general*: queries and draws are both samples, crossed with each other. That is what
  "8 shots beat 4" is about, and what stands here.

The model is the two-way layout of random queries and random draws, x = mean + query + draw + rest.
With Q, D and E the mean squares of queries, draws and the rest, n queries and S draws, the variance
of the mean is estimated by

    (Q + max(D - f E, 0)) / (n S),  with f = (S - 1) / (S + 1),

and its degrees of freedom by Satterthwaite's formula times f. Without f the estimate is unbiased;
but three draws often show no effect of draws where there is one, and the squares in Satterthwaite's
formula are (S + 1) / (S - 1) times too large on average. `docs/evidence.md` has the simulated
coverage.

Searle, Casella and McCulloch, "Variance components", 1992, chapter 4; Satterthwaite, Biometrics
Bulletin 2, 1946.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.intervals import Difference, Interval, student
from promptkit.translation import tr

TAIL = 3
"""The degrees of freedom of a p-value are at most so many times those of the draws. Corrected for
other comparisons, it is read far out in the tail, where a few draws that happen to agree are far
likelier than an estimated number of degrees of freedom tells."""

Floats = NDArray[np.float64]


def variance_by_draw(values: ArrayLike) -> float:
    """Return the variance between draws, each its mean over all queries; 0 if none is seen.

    Args:
        values: Numbers, (queries, draws), two or more of each.

    Raises:
        ValueError: There is one query or one draw only, or a number is not finite.
    """
    table, (_, draw, rest) = _mean_squares(values)
    return max(draw - few(table.shape[1]) * rest, 0.0) / len(table)


def components(values: ArrayLike) -> tuple[float, float, float]:
    """Return the variance components of a (queries, draws) table: queries, draws and the rest.

    They are estimated without bias by the analysis of variance, and 0 where that would be below 0.

    Args:
        values: Numbers, (queries, draws), two or more of each.

    Raises:
        ValueError: As `variance_by_draw`.
    """
    table, (query, draw, rest) = _mean_squares(values)
    queries, draws = table.shape
    return max((query - rest) / draws, 0.0), max((draw - rest) / queries, 0.0), rest


def accuracy_interval(correct: ArrayLike, these: Interval) -> Interval:
    """Return the interval of an accuracy for new queries and new draws.

    It is Wilson's, with as many queries as would have the standard error of the crossed layout and
    Student's quantile, and never narrower than the one for these draws.

    Args:
        correct: Right or wrong as 1 and 0, (queries, draws).
        these: The interval of the same accuracy for these draws
        (`promptkit.evaluation.intervals.wilson`).

    Raises:
        ValueError: As `variance_by_draw`.

    Korn and Graubard, Survey Methodology 24, 1998.
    """
    table, error, freedom = _crossed(correct)
    mean = float(table.mean())
    if not error or not 0 < mean < 1:
        return these
    half = student(0.5 + these.level / 2, freedom) * error
    square = half**2 / (mean * (1 - mean))
    centre = (mean + square / 2) / (1 + square)
    reach = math.sqrt(mean * (1 - mean) * square + square**2 / 4) / (1 + square)
    return _hull(centre - reach, centre + reach, these)


def mean_interval(values: ArrayLike, these: Interval) -> Interval:
    """Return the interval of a mean of numbers of any size for new queries and new draws.

    Args:
        values: Losses or differences of losses, (queries, draws).
        these: The interval of the same mean for these draws
        (`promptkit.evaluation.mean_intervals.mean_interval`),
            which the result is never narrower than.

    Raises:
        ValueError: As `variance_by_draw`.
    """
    table, error, freedom = _crossed(values)
    half = student(0.5 + these.level / 2, freedom) * error
    mean = float(table.mean())
    return _hull(mean - half, mean + half, these)


def difference(differences: ArrayLike, these: Difference, most: float = 1.0) -> Difference:
    """Return a paired difference as it holds for new queries and new draws.

    The p-value is that of Student's t with the standard error of the crossed layout, and at least
    the one for these draws, which is exact where few answers differ.

    Args:
        differences: Per query and draw the correctness of b less that of a, (queries, draws).
        these: The same difference for these draws
        (`promptkit.evaluation.intervals.paired_difference`).
        most: The largest that it can be: 1 for accuracies.

    Raises:
        ValueError: As `variance_by_draw`.
    """
    table, error, freedom = _crossed(differences)
    mean, p = float(table.mean()), these.p
    half = student(0.5 + these.ci.level / 2, freedom) * error
    if error:
        from scipy.special import stdtr

        tail = min(freedom, TAIL * (table.shape[1] - 1.0))
        p = max(p, 2 * float(stdtr(tail, -abs(mean) / error)))
    hull = _hull(max(mean - half, -most), min(mean + half, most), these.ci)
    return Difference(these.delta, hull, p, these.disagreement)


def _crossed(values: ArrayLike) -> tuple[Floats, float, float]:
    """Return the table, the standard error of its mean, and the degrees of freedom of that."""
    table, (query, draw, rest) = _mean_squares(values)
    queries, draws = table.shape
    factor = few(draws)
    extra = max(draw - factor * rest, 0.0)
    error = math.sqrt((query + extra) / table.size)
    most = queries - 1.0
    if not extra:
        return table, error, most
    squares = query**2 / most + draw**2 / (draws - 1) + rest**2 / (most * (draws - 1))
    freedom = factor * (query + extra) ** 2 / squares
    return table, error, min(max(freedom, draws - 1.0), most)


def _mean_squares(values: ArrayLike) -> tuple[Floats, tuple[float, float, float]]:
    """Return the table, and its mean squares of queries, of draws and of the rest."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            tr(
                "expected finite numbers of 2 or more queries and draws, got shape {shape}",
                shape=table.shape,
            )
        )
    queries, draws = table.shape
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    rest = table - rows[:, np.newaxis] - columns + mean
    return table, (
        float(draws * ((rows - mean) ** 2).sum() / (queries - 1)),
        float(queries * ((columns - mean) ** 2).sum() / (draws - 1)),
        float((rest**2).sum() / ((queries - 1) * (draws - 1))),
    )


def few(draws: int) -> float:
    """Return the factor by which an estimate from so many draws is taken to be worth less."""
    return (draws - 1) / (draws + 1)


def _hull(low: float, high: float, these: Interval) -> Interval:
    return Interval(min(low, these.low), max(high, these.high), these.level)
