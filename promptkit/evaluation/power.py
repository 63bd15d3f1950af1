"""Sample size and power of paired comparisons.

Both plan for stated sizes of the true difference and after a correction for the number of
comparisons: never with the difference that was seen, which is often large by luck.

Connor, "Sample size for testing differences in proportions for the paired-sample design",
Biometrics 43, 1987; where draws of shots scatter too, they are crossed with the queries as in
`promptkit.evaluation.crossed_intervals`. The exact test of one draw needs a few queries more: at
the numbers given here its power is 0.76 to 0.9 where 0.8 is asked. Means of other numbers than
right and wrong are planned by Student's t with the variance of the differences.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from statistics import NormalDist

from promptkit.evaluation.crossed_intervals import TAIL, few
from promptkit.evaluation.intervals import student
from promptkit.translation import tr

FINE = 2**50
"""Number of differences between 0 and 1 among which the smallest one is searched."""

MOST = 1_000_000
"""Largest number of queries that is given."""

MOST_DRAWS = 50
"""Largest number of draws that is given."""


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Numbers of draws and comparisons that are planned, and how differences scatter."""

    disagreement: float
    """Mean over queries of the squared difference of two cells, each its mean over draws; for one
    draw, the share of queries that only one of the two has right."""
    by_draw: float = 0.0
    """Variance of the difference between draws of shots; 0 where none is known or drawn."""
    draws: int = 1
    """Number of draws of shots."""
    comparisons: int = 1
    """Number of pairs that the p-values are corrected for."""
    alpha: float = 0.05
    """Significance level of the corrected two-sided p-value."""
    power: float = 0.8
    """Probability of finding a true difference."""
    counts: bool = True
    """Answers that are right or wrong; else numbers of any size, of which the means are compared,
    and `disagreement` is the mean square of their differences in their own unit."""


def queries_needed(delta: float, plan: SampleSize) -> int | None:
    """Return the number of queries at which a true difference of `delta` is found.

    Args:
        delta: A difference of accuracies from -1 to 1, or of other means, and not 0.
        plan: What is planned.

    Returns:
        The number of queries, or None where more queries do not help, since the draws scatter too
        much: then only more draws do.

    Raises:
        ValueError: Something is out of range.
    """
    _check(plan)
    if not 0 < abs(delta) <= (1 if plan.counts else math.inf):
        raise ValueError(
            tr("a difference to be found is from -1 to 1 and not 0, got {delta}", delta=delta)
        )
    enough = bisect_left(range(MOST + 1), True, key=lambda n: _finds(abs(delta), n, plan))
    return None if enough > MOST else enough


def draws_needed(delta: float, n: int, plan: SampleSize) -> int | None:
    """Return the number of draws at which `n` queries find a true difference of `delta`.

    Args:
        delta: A difference of accuracies from -1 to 1, and not 0.
        n: The number of queries.
        plan: What is planned; its own draws do not count.

    Returns:
        The number of draws, or None where `MOST_DRAWS` are not enough.
    """
    _check(plan)
    every = range(2, MOST_DRAWS + 1)
    found = (draws for draws in every if _finds(abs(delta), n, replace(plan, draws=draws)))
    return next(found, None)


def detectable(n: int, plan: SampleSize) -> float | None:
    """Return the smallest true difference that `n` queries find.

    Args:
        n: The number of queries, 1 or more.
        plan: What is planned.

    Returns:
        The difference, or None where not even one of 1 is found.

    Raises:
        ValueError: Something is out of range.
    """
    _check(plan)
    if n < 1:
        raise ValueError(tr("there must be at least one query, got {n}", n=n))
    if not plan.counts:
        return _detectable_mean(n, plan) if n > 1 else None
    step = bisect_left(range(FINE + 1), True, key=lambda step: _finds(step / FINE, n, plan))
    return None if step > FINE else step / FINE


def _finds(delta: float, n: int, plan: SampleSize) -> bool:
    """Return whether a true difference is found with the power that is planned."""
    if not plan.counts:
        return n > 1 and delta >= _detectable_mean(n, plan)
    alpha = plan.alpha / plan.comparisons
    if n < max(1 - math.log2(alpha), 2):
        return False  # not even when all queries agree is the exact p-value less than 2 ** (1 - n)
    # A difference takes queries that differ in at least so many of the draws.
    square = max(plan.disagreement, delta**2 + (delta - delta**2) / plan.draws)
    queries, draws = (square - delta**2) / n, plan.by_draw / plan.draws
    without, given = math.sqrt(square / n + draws), math.sqrt(queries + draws)
    if plan.draws == 1:
        quantile = NormalDist().inv_cdf
        return delta >= quantile(1 - alpha / 2) * without + quantile(plan.power) * given
    freedom = _freedom(square / n, draws, n, plan.draws)
    return delta >= student(1 - alpha / 2, freedom) * without + student(plan.power, freedom) * given


def _detectable_mean(n: int, plan: SampleSize) -> float:
    """Return the smallest true difference of means that is found with the power that is planned."""
    queries, draws = plan.disagreement / n, plan.by_draw / plan.draws
    freedom = n - 1.0 if plan.draws == 1 else _freedom(queries, draws, n, plan.draws)
    reach = student(1 - plan.alpha / plan.comparisons / 2, freedom) + student(plan.power, freedom)
    return reach * math.sqrt(queries + draws)


def _freedom(by_query: float, by_draw: float, n: int, draws: int) -> float:
    """Return the degrees of freedom of a p-value, by Satterthwaite's formula."""
    most = min(n - 1.0, TAIL * (draws - 1.0))
    if by_draw <= 0:
        return most
    squares = by_query**2 / (n - 1.0) + by_draw**2 / (draws - 1)
    return min(max(few(draws) * (by_query + by_draw) ** 2 / squares, draws - 1.0), most)


def _check(plan: SampleSize) -> None:
    if not 0 <= plan.disagreement <= (1 if plan.counts else math.inf) or plan.by_draw < 0:
        raise ValueError(
            tr("disagreement is from 0 to 1, and a variance 0 or more, got {plan}", plan=plan)
        )
    if plan.draws < 1 or plan.comparisons < 1:
        raise ValueError(tr("draws and comparisons are 1 or more, got {plan}", plan=plan))
    if not 0 < plan.alpha < plan.power < 1:
        raise ValueError(
            tr(
                "alpha and power are 0 < alpha < power < 1, got {alpha} and {power}",
                alpha=plan.alpha,
                power=plan.power,
            )
        )
