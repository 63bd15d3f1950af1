"""Pairs of a comparison, corrected for their number, and the verdicts on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

from promptkit.calibration.methods import SAME_ANSWERS
from promptkit.evaluation import (
    crossed_intervals,
    headline,
    intervals,
    power,
    sentences,
    targets,
)
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric
from promptkit.evaluation.outcomes import ByCell, Losses, Outcomes
from promptkit.evaluation.results import Best, LossDifference, Pair
from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW, Cell, distinct

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
    differences: targets.Differences
    compared: sentences.Compared


def compared(by_cell: ByCell, metric: Metric = ACCURACY) -> list[Found]:
    """Return all pairs of a comparison, their p-values corrected.

    Pairs of which nothing can be said are left out, such as those of a cell without the metric.

    Args:
        by_cell: The outcomes of a comparison.
        metric: The metric whose differences they are.
    """
    pairs = [
        (a, b, both)
        for a, b in dict.fromkeys(_in_one_factor(by_cell))
        if (both := metric.difference(by_cell[a], by_cell[b])) is not None
    ]
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
            metric=metric,
            answered=answered(by_cell[a], by_cell[b], metric),
        )
        found.append(Found(a, b, both, words))
    return found


def answered(a: Outcomes, b: Outcomes, metric: Metric) -> tuple[int, int]:
    """Return the number of queries with a metric in both cells, and of all."""
    shares = metric.paired(a, b)
    return 0 if shares is None else len(shares[0]), len(a.correct)


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
            log_loss=_loss_difference(first.log_losses, second.log_losses, drawn),
            brier=_loss_difference(first.brier_scores, second.brier_scores, drawn),
            n=words.answered[0],
        )


def cells_of(by_cell: ByCell) -> list[Cell]:
    """Return the cells whose answers can differ: of equal ones the first."""
    return [cell for cell in distinct(by_cell) if cell.calibration not in SAME_ANSWERS]


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
    by_cell: ByCell,
    found: Sequence[Found],
    best: Best,
    planned: power.SampleSize,
    metric: Metric = ACCURACY,
    trained: headline.Beside | None = None,
) -> Iterator[str]:
    """Yield the verdicts: the headline, the best baseline, significant pairs (the largest
    difference first), equal and open pairs, and the power of the comparison."""
    beside = [one.compared for one in found if best.cell in (one.a, one.b)]
    wins = [one for one in beside if sentences.judge(one) in ("better", "worse")]
    lines = headline.headline(*_headline(by_cell, best, metric), wins)
    yield from lines if trained is None else trained.around(lines)
    by_kind: dict[str, list[sentences.Compared]] = {"sure": [], "same": [], "unsure": []}
    for one in (one.compared for one in found if one.compared not in wins):
        by_kind.get(sentences.judge(one), by_kind["sure"]).append(one)
    by_kind["sure"].sort(key=lambda one: -abs(one.delta))
    for name, some in by_kind.items():
        # Where many pairs are open, what is open is clear from the number alone.
        shown = SHOWN if name != "unsure" or len(some) <= SHOWN else 0
        yield from map(sentences.verdict, some[:shown])
        if some[shown:]:
            yield sentences.others(len(some[shown:]), len(found), name, metric)
    if found:
        yield found_by(by_cell, found, planned, metric)


def plan(by_cell: ByCell, found: Sequence[Found], metric: Metric = ACCURACY) -> power.SampleSize:
    """Return the sample size of the comparison and the scatter of its differences."""
    draws = len(next(iter(by_cell.values())).numbers)
    scattered = [one for one in found if by_cell[one.a].drawn or by_cell[one.b].drawn]
    changes = [_change(metric.paired(by_cell[one.a], by_cell[one.b])) for one in scattered]
    by_draw = [
        crossed_intervals.variance_by_draw(change) for change in changes if min(change.shape) > 1
    ]
    return power.SampleSize(
        disagreement=median(
            [one.differences.these.disagreement for one in found] or [DISAGREEMENT]
        ),
        by_draw=float(np.median(by_draw)) if by_draw else 0.0,
        draws=draws if scattered else 1,
        comparisons=max(len(found), 1),
        counts=metric.counts,
    )


def _change(shares: tuple[Losses, Losses] | None) -> Losses:
    first, second = shares or (np.zeros((0, 0)),) * 2
    return second - first


def found_by(
    by_cell: ByCell, found: Sequence[Found], planned: power.SampleSize, metric: Metric = ACCURACY
) -> str:
    """Return a sentence on the true difference that is found, and on the sizes for stated ones.

    Where no difference has a meaning of its own, as of a MAE, the stated one is half as large as
    what is found.
    """
    n = queries(by_cell)
    takes, detectable = [], found_in_range(n, planned, metric)
    half = (detectable / 2,) if detectable else ()
    for delta in STATED if metric.is_share else half:
        needed = power.queries_needed(delta, planned)
        draws = power.draws_needed(delta, n, planned) if needed is None else None
        takes.append((delta, needed, draws))
    drawn = planned.draws if any(by_cell[one.b].drawn for one in found) else None
    return sentences.finds(n, drawn, planned.comparisons, detectable, takes, metric)


def found_in_range(n: int, planned: power.SampleSize, metric: Metric) -> float | None:
    """Return the smallest true difference that is found; None where a metric cannot have it."""
    found = power.detectable(n, planned)
    return None if found is None or found > metric.most - metric.least else found


def _loss_difference(a: Losses | None, b: Losses | None, drawn: bool) -> LossDifference | None:
    """Return the loss of `b` less that of `a`; None for generated answers and infinite losses."""
    if a is None or b is None or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    found = targets.mean(b - a, drawn)
    return None if found is None else LossDifference(float((b - a).mean()), *found.ends)


def _in_one_factor(by_cell: ByCell) -> Iterator[tuple[Cell, Cell]]:
    """Yield the pairs of cells that are compared, which differ in one factor only.

    Each shot count is compared with the one before and with the fewest, each level of another
    factor with the first, and a predictor without a prompt with the first model at each shot count.
    Cells whose answers are those of another are left out.
    """
    cells = [cell for cell in by_cell if cell.calibration not in SAME_ANSWERS]
    for _, line in groupby(cells, key=lambda cell: cell.at(shots=0, calibration=RAW)):
        by_method: dict[str, list[Cell]] = {}
        for cell in line:
            by_method.setdefault(cell.calibration, []).append(cell)
        for same in by_method.values():
            yield from pairwise(same)
            yield from ((same[0], cell) for cell in same[2:])
    known, first = set(cells), cells[0]
    for b in distinct(cells):
        for factor in FACTORS:
            a = b.at(**{factor: getattr(first, factor)})
            if a != b and a in known:
                yield a, b
        if b.template == NO_PROMPT != first.template:
            yield from ((a, b) for a in cells if a.at(shots=first.shots) == first)


def _headline(
    by_cell: ByCell, best: Best, metric: Metric
) -> tuple[headline.Leader, list[headline.Open]]:
    """Return the best cell and the rivals that it is not separated from, for a headline."""
    names = varied(by_cell)
    around = metric.intervals(by_cell[best.cell])
    leader = headline.Leader(
        levels(best.cell, names),
        math.inf if best.value is None else best.value,
        None if around is None else (around.decisive.low, around.decisive.high),
        best.separated,
        len(best.rivals),
        general=around is None or around.general is not None,
        baseline=best.baseline,
        constant=best.baseline_name,
        metric=metric,
        unanswered=metric.unanswered(by_cell[best.cell]),
        left_out=any(metric.unanswered(by_cell[rival.cell]) > UNANSWERED for rival in best.rivals),
        chance=(scores := by_cell[best.cell].scores) is not None and not scores.labels,
    )
    unsettled: list[headline.Open] = []
    for rival in best.rivals:
        if not rival.separated:
            own, other = levels(rival.cell, names), levels(best.cell, names)
            unsettled.append({k: v for k, v in own.items() if other.get(k) != v} or own)
    return leader, unsettled
