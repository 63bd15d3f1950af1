"""Sentences on the results of a comparison: text out of numbers.

Accuracies and other shares are from 0 to 1 here, and points of a hundred in the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.inference.cell import bare, named, noun
from promptkit.text import (
    about,
    capital,
    counted,
    ends,
    listed,
    number,
    p_value,
    places,
    plain,
    points,
    sentence,
)

ALPHA = 0.05
"""Chance of any significant difference in a comparison in which nothing differs."""

MARGIN = 0.02
"""A difference of accuracies, or of other shares, below this does not matter."""

Kind = Literal["better", "worse", "same", "unsure"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two cells that differ in one factor, over the same queries."""

    factor: str
    a: str | int
    b: str | int
    """Levels of the two cells."""
    delta: float
    """The metric of `b` less that of `a`."""
    low: float
    high: float
    """Interval of `delta`, for this pair alone."""
    p: float
    """P-value, corrected for the number of comparisons."""
    comparisons: int
    context: Mapping[str, str | int]
    """Levels of the other factors that vary in the comparison."""
    general: bool = True
    """Validity for new draws of shots too, and not for one draw only."""
    metric: Metric = ACCURACY
    answered: tuple[int, int] = (0, 0)
    """Number of queries that have the metric in both cells, and of all."""


def judge(compared: Compared) -> Kind:
    """Return the kind of a difference; significant only if p-value and interval agree."""
    if max(-compared.low, compared.high) <= (MARGIN if compared.metric.is_share else 0):
        return "same"
    if compared.p > ALPHA or compared.low <= 0 <= compared.high:
        return "unsure"
    return "better" if compared.metric.sign * compared.low > 0 else "worse"


def verdict(compared: Compared) -> str:
    """Return one sentence on a pair."""
    c = compared
    moved = metric_text.difference(c.metric, c.delta, c.low, c.high)
    change = f"{named(c.factor, c.b)} vs {bare(c.factor, c.a)}: {moved}"
    kind, several = judge(c), c.comparisons > 1
    if kind == "same":
        rest = f", {_none(c.metric)}"
    elif kind == "unsure":
        after = f" after correcting for {c.comparisons:,} comparisons" if several else ""
        rest = f", not significant{after} ({p_value(c.p)})"
    else:
        rest = f", significant ({'Holm-adjusted ' if several else ''}{p_value(c.p)})"
    only = "" if c.general else " for this draw of shots"
    if c.answered[0] < c.answered[1]:
        only += f"; over the {c.answered[0]:,} of {c.answered[1]:,} queries that both answered"
    where = context(c.context)
    return sentence(f"{where + ': ' if where else ''}{change}{rest}{only}")


def component(
    factor: str,
    levels: int,
    sd: float,
    ci: tuple[float, float],
    low: bool,
    metric: Metric = ACCURACY,
) -> str:
    """Return one sentence on a variance component.

    Args:
        factor: A factor, `query` or `residual`.
        levels: The number of its levels.
        sd: The standard deviation, in the unit of the metric.
        ci: The ends of its interval.
        low: Whether the variance was estimated below 0, and 0 stands for it.
        metric: The metric.
    """
    bottom, top = ends(*ci) if metric.is_share else metric_text.edges(metric, *ci)
    names = component_name(factor)
    among = "" if factor in ("query", "residual") else f" among {levels} {names}"
    if factor == "residual":
        names += " (answers that change from cell to cell)"
    if low:
        unit = " points" if metric.is_share else ""
        return f"{capital(names)}: no variance seen{among}, standard deviation up to {top}{unit}."
    shown = points(sd) if metric.is_share else metric_text.edges(metric, sd, ci[1])[0]
    return f"{capital(names)}: standard deviation of {shown} [{bottom}, {top}]{among}."


def component_name(factor: str) -> str:
    """Return what a variance component is called: `queries`, `draws`, `orders`, `residual`."""
    return {"query": "queries", "residual": "residual"}.get(factor) or f"{noun(factor)}s"


def spread(
    factor: str,
    levels: int,
    values: tuple[float, float],
    noise: float,
    estimate: float,
    ci: tuple[float, float],
    metric: Metric = ACCURACY,
) -> str:
    """Return one sentence on the range of a metric over the levels of a factor.

    Args:
        factor: The factor.
        levels: The number of its levels.
        values: The lowest and the highest value.
        noise: The expected range of equally good levels.
        estimate: The range without the noise.
        ci: The ends of its interval.
        metric: The metric.
    """
    if metric.is_share:
        (lowest, highest), (low, high) = (round(share, 2) for share in values), ends(*ci)
        what = "" if metric == ACCURACY else f"{metric.noun} "
        right = " right" if metric == ACCURACY else ""
        return (
            f"{levels} {noun(factor)}s: {what}{number(lowest)} to {number(highest)} %{right}, a "
            f"range of {points(highest - lowest)}; noise alone would make {number(noise)}, and "
            f"without it the range is about {points(estimate)} [{low}, {high}]."
        )
    digits = places(max(values[1] - values[0], ci[1]))
    shown = [plain(one, digits) for one in (*values, values[1] - values[0], noise, estimate, *ci)]
    least, most, apart, by_noise, around, bottom, top = shown
    return (
        f"{levels} {noun(factor)}s: {metric.noun} {least} to {most}, a range of {apart}; noise "
        f"alone would make {by_noise}, and without it the range is about {around} "
        f"[{bottom}, {top}]."
    )


def _none(metric: Metric) -> str:
    return f"no difference of more than {points(MARGIN)}" if metric.is_share else "no difference"


def others(count: int, pairs: int, kind: str, metric: Metric = ACCURACY) -> str:
    """Return one sentence on the verdicts that are not listed; `kind` is sure, same or unsure."""
    what = {
        "sure": "the difference is significant",
        "same": f"there is {_none(metric)}",
        "unsure": "the difference is not significant",
    }[kind]
    more = "" if kind == "unsure" else " more"
    return f"In {count:,}{more} of {pairs:,} pairs {what}."


def finds(
    n: int,
    draws: int | None,
    comparisons: int,
    detectable: float | None,
    takes: Sequence[tuple[float, int | None, int | None]],
    metric: Metric = ACCURACY,
) -> str:
    """Return one sentence on the true differences that a comparison finds.

    Args:
        n: The number of queries.
        draws: The number of draws of shots; None where nothing is drawn.
        comparisons: The number of pairs that the p-values are corrected for.
        detectable: The smallest true difference that is found four times in five, if any is.
        takes: True differences, and how many queries find each as often; None where only more draws
            do, and then how many do with these queries, None where they do not either.
        metric: What the differences are of.
    """
    drawn = "" if draws is None else f" with {counted(draws, 'draw')} of shots"
    among = f"among {comparisons:,} comparisons, " if comparisons > 1 else ""
    shown = (
        "no difference, however large"
        if detectable is None
        else f"a true difference{metric_text.of(metric)} of about "
        f"{metric_text.size(metric, detectable)} four times in five"
    )
    verb = "finds" if n == 1 else "find"
    rest = ["; " + ", ".join(_takes(metric, *one) for one in takes)] if takes else []
    among += f"{counted(n, 'query', 'queries')}{drawn} {verb} {shown}"
    return "".join([capital(among), *rest, "."])


def _takes(metric: Metric, delta: float, needed: int | None, draws: int | None) -> str:
    one = f"one of {metric_text.bare_size(metric, delta)} takes"
    if needed is not None:
        return f"{one} about {about(needed)} queries"
    if draws is not None:
        return f"{one} more draws (about {draws})"
    return f"{one} more queries and more draws"


def context(levels: Mapping[str, str | int]) -> str:
    """Return the cells that a sentence is about: `at 8 shots with template a.j2`, or nothing."""
    at = [f"at {named('shots', levels['shots'])}"] if "shots" in levels else []
    rest = [named(factor, value) for factor, value in levels.items() if factor != "shots"]
    return " ".join([*at, *([f"with {listed(rest)}"] if rest else [])])
