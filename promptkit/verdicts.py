"""What a comparison comes to in plain language: text out of numbers.

Accuracies are from 0 to 1 here, and points of a hundred in the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
"""The chance of any "beats" in a comparison in which nothing differs."""

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
    n: int
    """The number of queries."""
    delta: float
    """The accuracy of `b` less that of `a`."""
    low: float
    high: float
    """The interval of `delta`."""
    p: float
    """Corrected for the number of comparisons."""
    needed: int
    """How many queries would show a difference of this size, or of the margin if it is smaller."""
    context: Mapping[str, str | int]
    """What else the cells have, where it varies."""


def judge(compared: Compared) -> Kind:
    """Whether `b` is better than `a`: only where the p-value and the interval both say so."""
    if max(-compared.low, compared.high) <= MARGIN:
        return "same"
    if compared.p <= ALPHA and compared.low > 0:
        return "better"
    if compared.p <= ALPHA and compared.high < 0:
        return "worse"
    return "unsure"


def verdict(compared: Compared) -> str:
    """One sentence on a pair."""
    kind, c = judge(compared), compared
    if kind in ("better", "worse"):
        winner, loser = (c.b, c.a) if kind == "better" else (c.a, c.b)
        verb = "beat" if is_plural(c.factor, winner) else "beats"
        rest = f"{named(c.factor, winner)} {verb} {bare(c.factor, loser)} by {_by(c)}"
    elif kind == "same":
        low, high = _numbers(c.low, c.high)
        rest = f"{_against(c)}: no difference that matters ({low} to {high} points)"
    else:
        rest = f"{_against(c)}: cannot tell with {queries(c.n)}, about {about(c.needed)} would do"
    where = context(c.context)
    return sentence(f"{where}: {rest}" if where else rest)


def sentence(text: str) -> str:
    """The text with a capital in front and a full stop."""
    return f"{_capital(text)}."


def headline(
    best: Mapping[str, str | int],
    accuracy: float,
    ci: tuple[float, float],
    rivals: Sequence[Compared],
) -> str:
    """The first sentence: which cell is best, and whether it surely is.

    `best` is what varies in the comparison, as the best cell has it; `rivals` are comparisons in
    which it is `b`, with what a reader would have used without it.
    """
    low, high = _numbers(*ci)
    right = f"{_number(accuracy)} % right ({low} to {high})"
    if not best:
        return f"{right}."
    factor = next(iter(best))
    many = is_plural(factor, best[factor])
    others = context({name: value for name, value in best.items() if name != factor})
    subject = _capital(named(factor, best[factor]) + (f" {others}" if others else ""))
    if not rivals:
        verb = "look" if many else "looks"
        return f"{subject} {verb} best, {right}; nothing else that was tried does better."
    verb = "do" if many else "does"
    if any(judge(c) != "better" for c in rivals):
        verb = "look" if many else "looks"
    return f"{subject} {verb} best, {right}: {_against_rivals(rivals, many)}."


def _against_rivals(rivals: Sequence[Compared], many: bool) -> str:
    by_kind: dict[Kind, list[Compared]] = {"better": [], "same": [], "unsure": []}
    for c in rivals:
        kind = judge(c)
        by_kind["unsure" if kind == "worse" else kind].append(c)
    names = {kind: _list([named(c.factor, c.a) for c in some]) for kind, some in by_kind.items()}
    parts = []
    if by_kind["better"]:
        wins = _list([f"{named(c.factor, c.a)} by {_by(c)}" for c in by_kind["better"]])
        parts.append(f"{'they beat' if many else 'it beats'} {wins}")
    if by_kind["same"]:
        parts.append(f"there is no difference that matters to {names['same']}")
    if by_kind["unsure"]:
        most = max(c.needed for c in by_kind["unsure"])
        parts.append(
            f"{queries(rivals[0].n)} cannot tell whether {'they are' if many else 'it is'} better "
            f"than {names['unsure']}, about {about(most)} would do"
        )
    return ", but ".join(parts)


def moves(source: str, levels: int, sd: float, ci: tuple[float, float], truncated: bool) -> str:
    """One sentence on a source of variance; `source` is a factor, `query` or `residual`."""
    low, high = _numbers(*ci)
    what = _ALONE.get(source, f"The {_NOUNS.get(source, source)}")
    verb, among = ("move", "") if source == "residual" else ("moves", "")
    if source not in ("query", "residual"):
        what, among = f"{what} alone", f" among {levels} {_plural(source)}"
    if truncated:
        by = f"less than can be seen here (standard deviation{among} up to {high} points)"
    else:
        by = f"{_points(sd)} (standard deviation{among}, {low} to {high})"
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
    (lowest, highest), (low, high) = (round(share, 2) for share in accuracies), _numbers(*ci)
    return (
        f"{levels} {_plural(factor)} range from {_number(lowest)} to {_number(highest)} % right, "
        f"{_points(highest - lowest)}; chance alone would make {_number(noise)} of equally good "
        f"ones, and without it they are about {_points(estimate)} apart ({low} to {high})."
    )


def others(count: int, pairs: int, kind: str) -> str:
    """One sentence on the verdicts that are not listed; `kind` is sure, same or unsure."""
    what = {
        "sure": "one is better than the other",
        "same": "there is no difference that matters",
        "unsure": "these queries cannot tell which is better",
    }[kind]
    more = "" if kind == "unsure" else " more"
    return f"In {count:,}{more} of {pairs:,} pairs {what}."


def seen(n: int, detectable: float) -> str:
    """One sentence on the smallest difference that the queries would usually show."""
    shown = f"usually show a difference of about {_points(detectable)}"
    return f"{queries(n)} {shown}, and often miss a smaller one."


def named(factor: str, value: str | int) -> str:
    """A level of a factor, as a sentence calls it."""
    if factor == "shots":
        return f"{value} shot" if value == 1 else f"{value} shots"
    if factor == "calibration":
        return "no calibration" if value == "none" else f"{value} calibration"
    shown = bare(factor, value)
    return shown if shown.startswith(f"{factor} ") else f"{_NOUNS.get(factor, factor)} {shown}"


def bare(factor: str, value: str | int) -> str:
    """The same beside another one."""
    if factor == "calibration":
        return named(factor, value)
    text = "".join(char if char.isprintable() else "·" for char in str(value))
    if factor == "model" and text.endswith(".gguf"):
        text = text.rpartition("/")[2]
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def context(levels: Mapping[str, str | int]) -> str:
    """Where a sentence holds: `at 8 shots with template a.j2`, or nothing."""
    at = [f"at {named('shots', levels['shots'])}"] if "shots" in levels else []
    rest = [named(factor, value) for factor, value in levels.items() if factor != "shots"]
    return " ".join([*at, *([f"with {_list(rest)}"] if rest else [])])


def is_plural(factor: str, value: str | int) -> bool:
    """Whether a level is many things."""
    return factor == "shots" and value != 1


def queries(n: int) -> str:
    """`1 query`, `37 queries`."""
    return f"{n:,} {'query' if n == 1 else 'queries'}"


def about(n: int) -> str:
    """A number rounded up to two digits."""
    unit = 10 ** max(len(str(n)) - 2, 0)
    return f"{-(-n // unit) * unit:,}"


def _against(c: Compared) -> str:
    first, second = bare(c.factor, c.a), bare(c.factor, c.b)
    if c.factor == "shots":
        return f"{first} against {named('shots', c.b)}"
    return f"{named(c.factor, c.a)} against {second}"


def _by(c: Compared) -> str:
    """How much the better one is ahead: `12 points (4 to 20)`."""
    ends = (c.low, c.high) if c.delta >= 0 else (-c.high, -c.low)
    low, high = _numbers(*ends)
    digits = 1 if "." in low else 0
    return f"{_points(abs(c.delta), digits)} ({low} to {high})"


def _numbers(low: float, high: float) -> tuple[str, str]:
    """Both ends in points, with a digit more where they would be the same, or hide a sign."""
    hidden = any(end and round(100 * end) == 0 for end in (low, high))
    digits = 1 if round(100 * low) == round(100 * high) or (hidden and low * high > 0) else 0
    return _number(low, digits), _number(high, digits)


def _number(share: float, digits: int = 0) -> str:
    text = f"{100 * share:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _points(share: float, digits: int = 0) -> str:
    number = _number(share, digits)
    return f"{number} {'point' if number == '1' else 'points'}"


def _plural(factor: str) -> str:
    return _MANY.get(factor, f"{_NOUNS.get(factor, factor)}s")


def _list(parts: Sequence[str]) -> str:
    return " and ".join([*([", ".join(parts[:-1])] if parts[1:] else []), *parts[-1:]])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
