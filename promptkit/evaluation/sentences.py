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
from promptkit.translation import tr, trn

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
    change = tr(
        "{named} vs {bare}: {moved}",
        named=named(c.factor, c.b),
        bare=bare(c.factor, c.a),
        moved=moved,
    )
    kind, several = judge(c), c.comparisons > 1
    if kind == "same":
        rest = f", {_none(c.metric)}"
    elif kind == "unsure":
        after = (
            tr(" after correcting for {comparisons:,} comparisons", comparisons=c.comparisons)
            if several
            else ""
        )
        rest = tr(", not significant{after} ({p_value})", after=after, p_value=p_value(c.p))
    else:
        rest = tr(
            ", significant ({adjusted}{p_value})",
            adjusted=tr("Holm-adjusted ") if several else "",
            p_value=p_value(c.p),
        )
    only = "" if c.general else tr(" for this draw of shots")
    if c.answered[0] < c.answered[1]:
        only += tr(
            "; over the {both:,} of {all:,} queries that both answered",
            both=c.answered[0],
            all=c.answered[1],
        )
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
    among = (
        ""
        if factor in ("query", "residual")
        else tr(" among {levels} {names}", levels=levels, names=names)
    )
    if factor == "residual":
        names += tr(" (answers that change from cell to cell)")
    if low:
        unit = tr(" points") if metric.is_share else ""
        return tr(
            "{capital}: no variance seen{among}, standard deviation up to {top}{unit}.",
            capital=capital(names),
            among=among,
            top=top,
            unit=unit,
        )
    shown = points(sd) if metric.is_share else metric_text.edges(metric, sd, ci[1])[0]
    return tr(
        "{capital}: standard deviation of {shown} [{bottom}, {top}]{among}.",
        capital=capital(names),
        shown=shown,
        bottom=bottom,
        top=top,
        among=among,
    )


def component_name(factor: str) -> str:
    """Return what a variance component is called: `queries`, `draws`, `orders`, `residual`."""
    known = {"query": tr("queries"), "residual": tr("residual")}
    return known.get(factor) or tr("{noun}s", noun=noun(factor))


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
        right = tr(" right") if metric == ACCURACY else ""
        return tr(
            "{levels} {noun}s: {what}{lowest} to {highest} %{right}, a range of "
            "{points}; noise alone would make {noise}, and without it the range is "
            "about {estimate} [{low}, {high}].",
            levels=levels,
            noun=noun(factor),
            what=what,
            lowest=number(lowest),
            highest=number(highest),
            right=right,
            points=points(highest - lowest),
            noise=number(noise),
            estimate=points(estimate),
            low=low,
            high=high,
        )
    digits = places(max(values[1] - values[0], ci[1]))
    shown = [plain(one, digits) for one in (*values, values[1] - values[0], noise, estimate, *ci)]
    least, most, apart, by_noise, around, bottom, top = shown
    return tr(
        "{levels} {noun}s: {metric} {least} to {most}, a range of {apart}; noise "
        "alone would make {by_noise}, and without it the range is about {around} "
        "[{bottom}, {top}].",
        levels=levels,
        noun=noun(factor),
        metric=metric.noun,
        least=least,
        most=most,
        apart=apart,
        by_noise=by_noise,
        around=around,
        bottom=bottom,
        top=top,
    )


def _none(metric: Metric) -> str:
    return (
        tr("no difference of more than {MARGIN}", MARGIN=points(MARGIN))
        if metric.is_share
        else tr("no difference")
    )


def others(count: int, pairs: int, kind: str, metric: Metric = ACCURACY) -> str:
    """Return one sentence on the verdicts that are not listed; `kind` is sure, same or unsure."""
    what = {
        "sure": tr("the difference is significant"),
        "same": tr("there is {none}", none=_none(metric)),
        "unsure": tr("the difference is not significant"),
    }[kind]
    more = "" if kind == "unsure" else tr(" more")
    return tr(
        "In {count:,}{more} of {pairs:,} pairs {what}.",
        count=count,
        more=more,
        pairs=pairs,
        what=what,
    )


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
    drawn = (
        "" if draws is None else tr(" with {draws} of shots", draws=counted(draws, "draw", "draws"))
    )
    among = (
        tr("among {comparisons:,} comparisons, ", comparisons=comparisons)
        if comparisons > 1
        else ""
    )
    shown = (
        tr("no difference, however large")
        if detectable is None
        else tr(
            "a true difference{of} of about {size} four times in five",
            of=metric_text.of(metric),
            size=metric_text.size(metric, detectable),
        )
    )
    rest = ["; " + ", ".join(_takes(metric, *one) for one in takes)] if takes else []
    among += trn(
        "{n:,} query{drawn} finds {shown}",
        "{n:,} queries{drawn} find {shown}",
        n,
        drawn=drawn,
        shown=shown,
    )
    return sentence("".join([among, *rest]))


def _takes(metric: Metric, delta: float, needed: int | None, draws: int | None) -> str:
    one = tr("one of {bare_size} takes", bare_size=metric_text.bare_size(metric, delta))
    if needed is not None:
        return tr("{one} about {about} queries", one=one, about=about(needed))
    if draws is not None:
        return tr("{one} more draws (about {draws})", one=one, draws=draws)
    return tr("{one} more queries and more draws", one=one)


def context(levels: Mapping[str, str | int]) -> str:
    """Return the cells that a sentence is about: `at 8 shots with template a.j2`, or nothing."""
    at = [tr("at {named}", named=named("shots", levels["shots"]))] if "shots" in levels else []
    rest = [named(factor, value) for factor, value in levels.items() if factor != "shots"]
    return " ".join([*at, *([tr("with {rest}", rest=listed(rest))] if rest else [])])
