"""The pairs of a comparison, corrected for their number, and what they come to in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from promptkit import caveats, judging, power, stats, verdicts
from promptkit.figures import FACTORS, Cell, Pair
from promptkit.judging import Groups

NAMED = ("shots", *FACTORS)
"""What cells may differ in, in the order in which a sentence names it."""

SHOWN = 8
"""How many verdicts of a kind are listed; the others are counted."""


DISAGREEMENT = 0.3
"""What two cells are taken to disagree on where there is one cell only."""


class Found(NamedTuple):
    """A pair and what there is to say of it."""

    a: Cell
    b: Cell
    difference: stats.Difference
    compared: verdicts.Compared


def compared(groups: Groups) -> list[Found]:
    """All pairs, their p-values corrected."""
    differences = list(judging.differences(groups))
    corrected = stats.holm([difference.p for _, _, difference in differences]).tolist()
    # Holm divides by the pairs that are left; those that were decided here are decided by more.
    undecided = sum(p > verdicts.ALPHA for p in corrected)
    alpha = verdicts.ALPHA / max(undecided, 1)
    names, n = varied(groups), queries(groups)
    found = []
    for (a, b, difference), p in zip(differences, corrected, strict=True):
        (factor,) = (name for name in NAMED if getattr(a, name) != getattr(b, name))
        least = max(abs(difference.delta), verdicts.MARGIN)
        needed = power.queries_needed(least, difference.disagreement, alpha=alpha)
        words = verdicts.Compared(
            factor,
            getattr(a, factor),
            getattr(b, factor),
            n,
            difference.delta,
            difference.ci.low,
            difference.ci.high,
            p,
            max(needed, n + 1),
            levels(b, [name for name in names if name != factor]),
        )
        found.append(Found(a, b, difference, words))
    return found


def pairs(found: Iterable[Found]) -> Iterator[Pair]:
    """The same as they stand in a comparison."""
    for a, b, difference, words in found:
        ends = difference.ci.low, difference.ci.high
        said = verdicts.verdict(words)
        yield Pair(a, b, difference.delta, ends, difference.p, words.p, said)


def queries(groups: Groups) -> int:
    """How many queries every cell was asked."""
    return len(next(iter(groups.values()))[0].correct)


def varied(cells: Iterable[Cell]) -> list[str]:
    """What the cells differ in."""
    cells = list(cells)
    return [name for name in NAMED if len({getattr(cell, name) for cell in cells}) > 1]


def levels(cell: Cell, names: Iterable[str]) -> dict[str, str | int]:
    """What a cell has there, if it says anything."""
    absent = judging.void(cell)
    return {name: getattr(cell, name) for name in names if name not in absent}


def best_of(groups: Groups) -> Cell:
    """The cell with the highest accuracy, of equal ones that with the fewest shots."""
    right = {cell: judging.correct(cells).mean() for cell, cells in groups.items()}
    return max(right, key=lambda cell: (right[cell], -cell.shots))


def verdicts_on(groups: Groups, found: Sequence[Found]) -> Iterator[str]:
    """The headline, then what else is sure, the largest difference first, then what is not."""
    best = best_of(groups)
    fewest = min(cell.shots for cell in groups)
    rivals = [
        one.compared
        for one in found
        if one.b == best and (one.compared.factor != "shots" or one.a.shots == fewest)
    ]
    yield _headline(groups, best, rivals)
    rest = [one.compared for one in found if one.compared not in rivals]
    by_kind: dict[str, list[verdicts.Compared]] = {"sure": [], "same": [], "unsure": []}
    for one in rest:
        kind = verdicts.judge(one)
        by_kind[kind if kind in by_kind else "sure"].append(one)
    by_kind["sure"].sort(key=lambda one: -abs(one.delta))
    for name, some in by_kind.items():
        # Where many pairs are open, what is open is clear from the number alone.
        shown = SHOWN if name != "unsure" or len(some) <= SHOWN else 0
        yield from map(verdicts.verdict, some[:shown])
        if some[shown:]:
            yield verdicts.others(len(some[shown:]), len(found), name)
    n = queries(groups)
    smallest = power.detectable(n, disagreement(found))
    if found and n >= caveats.FEW and smallest is not None:  # of few tests a warning says it
        yield verdicts.seen(n, smallest)


def disagreement(found: Sequence[Found]) -> float:
    """What two cells of this comparison usually disagree on; see `promptkit.power`."""
    return median([one.difference.disagreement for one in found] or [DISAGREEMENT])


def _headline(groups: Groups, best: Cell, rivals: Sequence[verdicts.Compared]) -> str:
    table = judging.correct(groups[best])
    interval = stats.wilson(table)
    return verdicts.headline(
        levels(best, varied(groups)),
        float(table.mean()),
        (interval.low, interval.high),
        rivals,
    )
