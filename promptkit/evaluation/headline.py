"""The first sentences of a comparison: which cell scored highest, and whether it is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptkit.evaluation.sentences import Compared, context, is_plural
from promptkit.inference.cell import named
from promptkit.text import capital, ends, listed, percent, signed

NAMED = 4
"""Number of rivals up to which a headline names them."""


@dataclass(frozen=True, slots=True)
class Leader:
    """The cell that scored highest."""

    levels: Mapping[str, str | int]
    """Its levels of the factors that vary in the comparison."""
    accuracy: float
    ci: tuple[float, float]
    separated: bool
    """Significantly better than every other cell, corrected for their number."""
    others: int
    """Number of other cells."""
    general: bool = True
    """Validity of `ci` and `separated` for new draws of shots too."""
    baseline: float | None = None
    """Accuracy of the majority-class baseline."""


Open = Mapping[str, str | int]
"""A rival that is not separated from the leader, by the levels in which it differs."""


def headline(leader: Leader, unsettled: Sequence[Open], wins: Sequence[Compared]) -> list[str]:
    """Return the first sentences: on the majority-class baseline, and on the best cell.

    Args:
        leader: The cell that scored highest.
        unsettled: The rivals that it is not separated from.
        wins: Significant comparisons of the leader with cells that differ in one factor.
    """
    right = f"{percent(leader.accuracy)} right [{', '.join(ends(*leader.ci))}]"
    subject = _subject(leader.levels)
    first = _constant(leader)
    only = "" if leader.general else ", for this draw of shots"
    if not leader.others:
        return [*first, f"{subject + ': ' if subject else ''}{right}{only}."]
    better = [f"{_loser(c)} ({_gain(c)})" for c in wins]
    beats = f"better than {listed(better)}" if better else ""
    if leader.separated:
        verb = "are" if _are_many(leader.levels) else "is"
        rest = f"separated from {_all_others(leader.others)}"
        said = "; ".join(filter(None, [beats, rest]))
        return [*first, f"{subject} {verb} best, {right}: {said}{only}."]
    rest = f"not separated from {_unsettled(unsettled, leader.others)}"
    said = "; ".join(filter(None, [beats, rest]))
    return [*first, f"{subject} scored highest, {right}: {said}{only}."]


def _constant(leader: Leader) -> list[str]:
    if leader.baseline is None or leader.baseline < leader.accuracy:
        return []
    more = "more often than" if leader.baseline > leader.accuracy else "as often as"
    return [
        f"No cell beats the majority-class baseline: it is right {percent(leader.baseline)} of the "
        f"time, {more} the best cell ({percent(leader.accuracy)})."
    ]


def _subject(levels: Mapping[str, str | int]) -> str:
    if not levels:
        return ""
    factor = next(iter(levels))
    rest = context({name: value for name, value in levels.items() if name != factor})
    return capital(named(factor, levels[factor]) + (f" {rest}" if rest else ""))


def _are_many(levels: Mapping[str, str | int]) -> bool:
    factor = next(iter(levels), "")
    return bool(factor) and is_plural(factor, levels[factor])


def _loser(c: Compared) -> str:
    return named(c.factor, c.a if c.delta >= 0 else c.b)


def _gain(c: Compared) -> str:
    low, high = (c.low, c.high) if c.delta >= 0 else (-c.high, -c.low)
    return f"{signed(abs(c.delta))} [{signed(low)}, {signed(high)}]"


def _all_others(others: int) -> str:
    return "the other cell" if others == 1 else f"all {others:,} other cells"


def _unsettled(unsettled: Sequence[Open], others: int) -> str:
    """Return the names of the rivals that are open, or their number where they are many."""
    if len(unsettled) > NAMED and len(unsettled) == others:
        return f"any of the {others:,} others"
    counts = [one["shots"] for one in unsettled if set(one) == {"shots"}]
    rest = [one for one in unsettled if set(one) != {"shots"}]
    names = [_subject(one) for one in rest]
    if counts:
        alone = [str(count) for count in counts]
        names.insert(0, f"{listed(alone, 'or')} {'shot' if counts[-1] == 1 else 'shots'}")
    if len(names) > NAMED:
        return f"{len(unsettled):,} of the {others:,} others"
    return listed([name[:1].lower() + name[1:] for name in names], "or")
