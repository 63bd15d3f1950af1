"""What a comparison comes to in plain language: text out of numbers.

Accuracies are from 0 to 1 here, and points of a hundred in the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from promptkit.text import (
    about,
    capital,
    counted,
    decimals,
    ends,
    file_name,
    listed,
    number,
    p_value,
    points,
    sentence,
    signed,
    visible,
)

ALPHA = 0.05
"""The chance of any significant difference in a comparison in which nothing differs."""

MARGIN = 0.02
"""A difference of accuracies below this does not matter."""

Kind = Literal["better", "worse", "same", "unsure"]

_NOUNS = {
    "model": "model",
    "template": "template",
    "selection": "selection",
    "order": "order",
    "verbalizer": "label wording",
    "calibration": "calibration",
    "seed": "draw",
}
_MANY = {"selection": "selections", "seed": "draws"}
_ALONE = {
    "query": "Which queries are asked",
    "residual": "Answers that flip from cell to cell",
    "seed": "The draw of shots",
    "verbalizer": "The label wording",
}
_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Compared:
    """Two cells that differ in one factor, over the same queries."""

    factor: str
    a: str | int
    b: str | int
    """What the cells have there."""
    delta: float
    """The accuracy of `b` less that of `a`."""
    low: float
    high: float
    """The interval of `delta`, for this pair alone."""
    p: float
    """Corrected for the number of comparisons."""
    comparisons: int
    context: Mapping[str, str | int]
    """What else the cells have, where it varies."""
    general: bool = True
    """Whether it is about new draws of shots too; else it is about one draw."""


def judge(compared: Compared) -> Kind:
    """Return whether `b` is better than `a`: only where the p-value and the interval agree."""
    if max(-compared.low, compared.high) <= MARGIN:
        return "same"
    if compared.p <= ALPHA and compared.low > 0:
        return "better"
    if compared.p <= ALPHA and compared.high < 0:
        return "worse"
    return "unsure"


def verdict(compared: Compared) -> str:
    """Return one sentence on a pair."""
    c = compared
    change = f"{_versus(c)}: {_change(c)}"
    kind, several = judge(c), c.comparisons > 1
    if kind == "same":
        rest = f", no difference of more than {points(MARGIN)}"
    elif kind == "unsure":
        after = f" after correcting for {c.comparisons:,} comparisons" if several else ""
        rest = f", not significant{after} ({p_value(c.p)})"
    else:
        rest = f", significant ({'Holm-adjusted ' if several else ''}{p_value(c.p)})"
    only = "" if c.general else " for this draw of shots"
    where = context(c.context)
    return sentence(f"{where}: {change}{rest}{only}" if where else f"{change}{rest}{only}")


def moves(source: str, levels: int, sd: float, ci: tuple[float, float], truncated: bool) -> str:
    """One sentence on a source of variance; `source` is a factor, `query` or `residual`."""
    low, high = ends(*ci)
    what = _ALONE.get(source, f"The {_NOUNS.get(source, source)}")
    verb, among = ("move", "") if source == "residual" else ("moves", "")
    if source not in ("query", "residual"):
        what, among = f"{what} alone", f" among {levels} {_plural(source)}"
    if truncated:
        by = f"less than can be seen here (standard deviation{among} up to {high} points)"
    else:
        by = f"{points(sd)} (standard deviation{among}, {low} to {high})"
    return f"{what} {verb} it by {by}."


def ranges(
    factor: str,
    levels: int,
    accuracies: tuple[float, float],
    noise: float,
    estimate: float,
    ci: tuple[float, float],
) -> str:
    """One sentence on how far apart the levels of a factor are; `accuracies` are the extremes."""
    (lowest, highest), (low, high) = (round(share, 2) for share in accuracies), ends(*ci)
    return (
        f"{levels} {_plural(factor)} range from {number(lowest)} to {number(highest)} % right, "
        f"{points(highest - lowest)}; chance alone would make {number(noise)} of equally good "
        f"ones, and without it they are about {points(estimate)} apart ({low} to {high})."
    )


def others(count: int, pairs: int, kind: str) -> str:
    """One sentence on the verdicts that are not listed; `kind` is sure, same or unsure."""
    what = {
        "sure": "the difference is significant",
        "same": f"there is no difference of more than {points(MARGIN)}",
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
) -> str:
    """Return one sentence on the true differences that a comparison finds.

    Args:
        n: The number of queries.
        draws: The number of draws of shots; None where nothing is drawn.
        comparisons: The number of pairs that the p-values are corrected for.
        detectable: The smallest true difference that is found four times in five, if any is.
        takes: True differences, and how many queries find each as often; None where only more draws
            do, and then how many do with these queries, None where they do not either.
    """
    drawn = "" if draws is None else f" with {counted(draws, 'draw')} of shots"
    among = f"among {comparisons:,} comparisons, " if comparisons > 1 else ""
    shown = (
        "no difference, however large"
        if detectable is None
        else f"a true difference of about {points(detectable)} four times in five"
    )
    verb = "finds" if n == 1 else "find"
    rest = ", ".join(_takes(delta, needed, more) for delta, needed, more in takes)
    return f"{capital(among)}{counted(n, 'query', 'queries')}{drawn} {verb} {shown}; {rest}."


def _takes(delta: float, needed: int | None, draws: int | None) -> str:
    if needed is not None:
        return f"one of {number(delta)} takes about {about(needed)} queries"
    if draws is not None:
        return f"one of {number(delta)} takes more draws (about {draws})"
    return f"one of {number(delta)} takes more queries and more draws"


def named(factor: str, value: str | int) -> str:
    """A level of a factor, as a sentence calls it."""
    if factor == "shots":
        return counted(int(value), "shot")
    if factor == "calibration":
        return "no calibration" if value == "none" else f"{value} calibration"
    shown = bare(factor, value)
    return shown if shown.startswith(f"{factor} ") else f"{_NOUNS.get(factor, factor)} {shown}"


def bare(factor: str, value: str | int) -> str:
    """The same beside another one."""
    if factor == "calibration":
        return named(factor, value)
    return visible(file_name(str(value)) if factor == "model" else value, _LENGTH)


def context(levels: Mapping[str, str | int]) -> str:
    """Where a sentence holds: `at 8 shots with template a.j2`, or nothing."""
    at = [f"at {named('shots', levels['shots'])}"] if "shots" in levels else []
    rest = [named(factor, value) for factor, value in levels.items() if factor != "shots"]
    return " ".join([*at, *([f"with {listed(rest)}"] if rest else [])])


def is_plural(factor: str, value: str | int) -> bool:
    """Whether a level is many things."""
    return factor == "shots" and value != 1


def _versus(c: Compared) -> str:
    return f"{named(c.factor, c.b)} vs {bare(c.factor, c.a)}"


def _change(c: Compared) -> str:
    """Return a difference with its interval: `+12 points [+4, +20]`."""
    digits = decimals(c.low, c.high)
    low, high = signed(c.low, digits), signed(c.high, digits)
    change = signed(c.delta, digits)
    return f"{change} {'point' if change in ('+1', '-1') else 'points'} [{low}, {high}]"


def _plural(factor: str) -> str:
    return _MANY.get(factor, f"{_NOUNS.get(factor, factor)}s")
