"""The first sentences of a comparison: which cell scored highest, and whether it is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric
from promptkit.evaluation.sentences import Compared, context
from promptkit.inference.cell import RAW, named
from promptkit.text import capital, listed, percent, sentence
from promptkit.translation import mark, tr, trn

NAMED = 4
"""Number of rivals up to which a headline names them."""


@dataclass(frozen=True, slots=True)
class Leader:
    """The cell that scored highest."""

    levels: Mapping[str, str | int]
    """Its levels of the factors that vary in the comparison."""
    value: float
    """The metric of the cell."""
    ci: tuple[float, float] | None
    separated: bool
    """Significantly better than every other cell, corrected for their number."""
    others: int
    """Number of other cells."""
    general: bool = True
    """Validity of `ci` and `separated` for new draws of shots too."""
    baseline: float | None = None
    """The metric of the baseline."""
    constant: str = ""
    """The baseline in words."""
    metric: Metric = ACCURACY
    chance: bool = False
    """True where the baseline is chance, false where it is the majority class."""
    unanswered: float = 0.0
    """Share of the answers of the cell that have no metric."""
    left_out: bool = False
    """Whether another cell answers too seldom to be the best."""


class Beside(NamedTuple):
    """A trained baseline against the best prompt."""

    sentence: str
    leads: bool
    """True where it has a better value than every prompt."""
    rest: str = mark("the prompts")
    """Name of all others."""

    def around(self, lines: Sequence[str]) -> list[str]:
        """Return the first sentences on the prompts with this one, in front where it leads."""
        if not self.leads:
            return [*lines, self.sentence]
        return [
            self.sentence,
            *(
                tr(
                    "Among {rest}: {line}{line_2}",
                    rest=self.rest,
                    line=line[:1].lower(),
                    line_2=line[1:],
                )
                for line in lines
            ),
        ]


Open = Mapping[str, str | int]
"""A rival that is not separated from the leader, by the levels in which it differs."""


def headline(leader: Leader, unsettled: Sequence[Open], wins: Sequence[Compared]) -> list[str]:
    """Return the first sentences: on the baseline, and on the best cell.

    Args:
        leader: The cell that scored highest.
        unsettled: The rivals that it is not separated from.
        wins: Significant comparisons of the leader with cells that differ in one factor.
    """
    right = metric_text.said(leader.metric, leader.value, leader.ci)
    if leader.unanswered > UNANSWERED:
        right += tr(
            " of the {percent} of its answers that have one", percent=percent(1 - leader.unanswered)
        )
    if leader.chance and leader.baseline is not None and leader.metric == ACCURACY:
        right += tr(" (chance: {baseline})", baseline=percent(leader.baseline))
    cell = subject(leader.levels)
    first = _constant(leader)
    only = "" if leader.general else tr(", for this draw of shots")
    if not leader.others:
        return [*first, sentence(f"{cell + ': ' if cell else ''}{right}{only}")]
    beats = tr("better than {listed}", listed=listed([*map(_win, wins)])) if wins else ""
    if leader.separated:
        shots = leader.levels.get("shots", 1)
        others = (
            tr("the other cell")
            if leader.others == 1
            else tr("all {others:,} other cells", others=leader.others)
        )
        opening = trn("is best", "are best", 1 if shots == 1 else 2)
        rest = tr("separated from {others}", others=others)
    else:
        rest = tr("not separated from {unsettled}", unsettled=_unsettled(unsettled, leader.others))
        opening = tr("scored lowest") if leader.metric.sign < 0 else tr("scored highest")
        if leader.left_out:
            opening += tr(" of the cells that mostly answer")
    said = "; ".join(filter(None, [beats, rest]))
    line = tr(
        "{cell} {opening}, {right}: {said}{only}.",
        cell=cell,
        opening=opening,
        right=right,
        said=said,
        only=only,
    )
    return [*first, line]


def _constant(leader: Leader) -> list[str]:
    sign = leader.metric.sign
    if leader.baseline is None or sign * leader.baseline < sign * leader.value:
        return []
    if leader.metric != ACCURACY:
        has, best = (metric_text.figure(leader.metric, v) for v in (leader.baseline, leader.value))
        return [
            tr(
                "No cell beats {constant}: {noun} {has}, the best {best}.",
                constant=leader.constant,
                noun=leader.metric.noun,
                has=has,
                best=best,
            )
        ]
    if leader.chance:
        return [
            tr(
                "No cell beats chance, which is right {baseline} of the time.",
                baseline=percent(leader.baseline),
            )
        ]
    more = tr("more often than") if leader.baseline > leader.value else tr("as often as")
    return [
        tr(
            "No cell beats the majority-class baseline: it is right {baseline} of the "
            "time, {more} the best cell ({value}).",
            baseline=percent(leader.baseline),
            more=more,
            value=percent(leader.value),
        )
    ]


def subject(levels: Mapping[str, str | int]) -> str:
    """Return a cell as the subject of a sentence: `8 shots with template a.j2`, or nothing."""
    if not levels:
        return ""
    (factor, level), *others = levels.items()
    rest = context(dict(others))
    return capital(named(factor, level) + (f" {rest}" if rest else ""))


def _win(c: Compared) -> str:
    worse, delta, low, high = c.a, c.delta, c.low, c.high
    if c.metric.sign * delta < 0:
        worse, delta, low, high = c.b, -delta, -high, -low
    return f"{named(c.factor, worse)} ({metric_text.change(c.metric, delta, low, high)})"


def _unsettled(unsettled: Sequence[Open], others: int) -> str:
    """Return the names of the rivals that are open, or their number where they are many."""
    if len(unsettled) > NAMED and len(unsettled) == others:
        return tr("any of the {others:,} others", others=others)
    counts = [one["shots"] for one in unsettled if set(one) == {"shots"}]
    rest = [one for one in unsettled if set(one) != {"shots"}]
    names = [_rival(one) for one in rest]
    if counts:
        alone = [str(count) for count in counts]
        some = trn("{shots} shot", "{shots} shots", int(counts[-1]), shots=listed(alone, "or"))
        names.insert(0, some)
    if len(names) > NAMED:
        return tr("{count:,} of the {others:,} others", count=len(unsettled), others=others)
    return listed([name[:1].lower() + name[1:] for name in names], "or")


def _rival(levels: Open) -> str:
    if levels.get("calibration") != RAW:
        return subject(levels)
    rest = {factor: level for factor, level in levels.items() if factor != "calibration"}
    return tr("{subject} without calibration", subject=subject(rest) or tr("the same cell"))
