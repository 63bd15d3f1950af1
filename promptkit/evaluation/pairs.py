"""Pairs of a comparison, corrected for their number, and the verdicts on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from promptkit.evaluation import crossed_intervals, headline, intervals, power, sentences
from promptkit.evaluation.cell_differences import differences, loss_difference
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.results import Best, Pair
from promptkit.evaluation.targets import Differences
from promptkit.inference.cell import FACTORS, Cell

NAMED = ("shots", *FACTORS)
"""Factors in the order in which a sentence names them."""

SHOWN = 8
"""Number of verdicts of a kind that are listed; the others are counted."""

DISAGREEMENT = 0.3
"""Disagreement of two cells that is assumed where there is one cell only."""

STATED = (0.1, 0.05)
"""True differences of accuracy for which the required number of queries is given."""


class Found(NamedTuple):
    """A pair, its difference, and the values that a sentence on it needs."""

    a: Cell
    b: Cell
    differences: Differences
    compared: sentences.Compared


def compared(by_cell: ByCell) -> list[Found]:
    """Return all pairs of a comparison, their p-values corrected."""
    pairs = list(differences(by_cell))
    corrected = intervals.holm([found.decisive.p for _, _, found in pairs]).tolist()
    names = varied(by_cell)
    found = []
    for (a, b, both), p in zip(pairs, corrected, strict=True):
        idle = {*a.idle, *b.idle}
        (factor,) = (n for n in NAMED if n not in idle and getattr(a, n) != getattr(b, n))
        others = [name for name in names if name != factor]
        decisive = both.decisive
        words = sentences.Compared(
            factor,
            getattr(a, factor),
            getattr(b, factor),
            decisive.delta,
            decisive.ci.low,
            decisive.ci.high,
            p,
            len(pairs),
            levels(a, others) | levels(b, others),
            general=both.general is not None,
        )
        found.append(Found(a, b, both, words))
    return found


def pairs(by_cell: ByCell, found: Iterable[Found]) -> Iterator[Pair]:
    """Yield the pairs as values of a comparison."""
    for a, b, both, words in found:
        general, these = both
        first, second = by_cell[a], by_cell[b]
        drawn = first.drawn or second.drawn
        yield Pair(
            a,
            b,
            these.delta,
            None if general is None else (general.ci.low, general.ci.high),
            (these.ci.low, these.ci.high),
            None if general is None else general.p,
            these.p,
            words.p,
            sentences.verdict(words),
            log_loss=loss_difference(first.log_losses, second.log_losses, drawn),
            brier=loss_difference(first.brier_scores, second.brier_scores, drawn),
        )


def queries(by_cell: ByCell) -> int:
    """Return the number of queries of every cell."""
    return len(next(iter(by_cell.values())).correct)


def varied(cells: Iterable[Cell]) -> list[str]:
    """Return the factors that the cells differ in."""
    cells = list(cells)
    return [name for name in NAMED if len({getattr(cell, name) for cell in cells}) > 1]


def levels(cell: Cell, names: Iterable[str]) -> dict[str, str | int]:
    """Return the levels of some factors, of those that can change the prompt of the cell."""
    return {name: getattr(cell, name) for name in names if name not in cell.idle}


def verdicts_on(
    by_cell: ByCell, found: Sequence[Found], best: Best, planned: power.SampleSize
) -> Iterator[str]:
    """Yield the verdicts: the headline, significant pairs (the largest difference first), equal and
    open pairs, and the power of the comparison."""
    beside = [one.compared for one in found if best.cell in (one.a, one.b)]
    wins = [one for one in beside if sentences.judge(one) in ("better", "worse")]
    yield from headline.headline(*_headline(by_cell, best), wins)
    by_kind: dict[str, list[sentences.Compared]] = {"sure": [], "same": [], "unsure": []}
    for one in (one.compared for one in found if one.compared not in wins):
        kind = sentences.judge(one)
        by_kind[kind if kind in by_kind else "sure"].append(one)
    by_kind["sure"].sort(key=lambda one: -abs(one.delta))
    for name, some in by_kind.items():
        # Where many pairs are open, what is open is clear from the number alone.
        shown = SHOWN if name != "unsure" or len(some) <= SHOWN else 0
        yield from map(sentences.verdict, some[:shown])
        if some[shown:]:
            yield sentences.others(len(some[shown:]), len(found), name)
    if found:
        yield found_by(by_cell, found, planned)


def plan(by_cell: ByCell, found: Sequence[Found]) -> power.SampleSize:
    """Return the sample size of the comparison and the scatter of its differences."""
    draws = len(next(iter(by_cell.values())).numbers)
    scattered = [one for one in found if by_cell[one.a].drawn or by_cell[one.b].drawn]
    by_draw = [
        crossed_intervals.variance_by_draw(by_cell[one.b].correct - by_cell[one.a].correct)
        for one in scattered
        if min(draws, queries(by_cell)) > 1
    ]
    return power.SampleSize(
        disagreement=median(
            [one.differences.these.disagreement for one in found] or [DISAGREEMENT]
        ),
        by_draw=float(np.median(by_draw)) if by_draw else 0.0,
        draws=draws if scattered else 1,
        comparisons=max(len(found), 1),
    )


def found_by(by_cell: ByCell, found: Sequence[Found], planned: power.SampleSize) -> str:
    """Return a sentence on the true difference that is found, and on the sizes for stated ones."""
    n = queries(by_cell)
    takes = []
    for delta in STATED:
        needed = power.queries_needed(delta, planned)
        draws = power.draws_needed(delta, n, planned) if needed is None else None
        takes.append((delta, needed, draws))
    drawn = planned.draws if any(by_cell[one.b].drawn for one in found) else None
    return sentences.finds(n, drawn, planned.comparisons, power.detectable(n, planned), takes)


def _headline(by_cell: ByCell, best: Best) -> tuple[headline.Leader, list[headline.Open]]:
    """Return the best cell and the rivals that it is not separated from, for a headline."""
    names = varied(by_cell)
    accuracy = by_cell[best.cell].accuracy
    shown = accuracy.decisive
    leader = headline.Leader(
        levels(best.cell, names),
        best.accuracy,
        (shown.low, shown.high),
        best.separated,
        len(best.rivals),
        general=accuracy.general is not None,
        baseline=best.baseline,
    )
    unsettled: list[headline.Open] = []
    for rival in best.rivals:
        if not rival.separated:
            own, other = levels(rival.cell, names), levels(best.cell, names)
            unsettled.append({k: v for k, v in own.items() if other.get(k) != v} or own)
    return leader, unsettled
