"""Which cells of a comparison are compared with each other, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np

from promptkit.calibration.methods import SAME_ANSWERS
from promptkit.evaluation import targets
from promptkit.evaluation.outcomes import Groups, Judged, LossTable, correct
from promptkit.evaluation.results import Change
from promptkit.inference.cell import FACTORS, RAW, Cell, distinct


def cells_of(groups: Groups) -> list[Cell]:
    """Return the cells whose answers can differ: of equal ones the first."""
    return [cell for cell in distinct(groups) if cell.calibration not in SAME_ANSWERS]


def change(a: Sequence[Judged], b: Sequence[Judged], loss: LossTable) -> Change | None:
    """Return how much less a loss is with the answers of `a` than with those of `b`.

    `loss` is `log_losses` or `brier_scores`. None where answers are generated, of a single query,
    and where a loss has no end.
    """
    first, second = loss(a), loss(b)
    if first is None or second is None:
        return None
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    table = second - first
    found = targets.mean(table, a[0].drawn or b[0].drawn)
    if found is None:
        return None
    return Change(float(table.mean()), *found.ends)


def differences(groups: Groups) -> Iterator[tuple[Cell, Cell, targets.Differences]]:
    """Yield the pairs of cells that are compared, and how they differ: each shot count with the one
    before and with the fewest; each model, template, selection, order, verbalizer and calibration
    with the first.

    The two cells of a pair differ in one thing only. Cells whose answers are those of another are
    left out.
    """
    cells = [cell for cell in groups if cell.calibration not in SAME_ANSWERS]
    for a, b in dict.fromkeys(_compared(cells)):
        yield a, b, difference(groups[a], groups[b])


def difference(
    a: Sequence[Judged], b: Sequence[Judged], level: float = 0.95
) -> targets.Differences:
    """Return how much better the answers of `b` are than those of `a`, over the same queries."""
    return targets.difference(correct(a), correct(b), a[0].drawn or b[0].drawn, level)


def _compared(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell]]:
    for _, line in groupby(cells, key=lambda cell: cell._replace(shots=0, calibration=RAW)):
        by_method: dict[str, list[Cell]] = {}
        for cell in line:
            by_method.setdefault(cell.calibration, []).append(cell)
        for same in by_method.values():
            yield from pairwise(same)
            yield from ((same[0], cell) for cell in same[2:])
    known, first = set(cells), cells[0]
    for b in distinct(cells):
        for factor in FACTORS:
            a = b._replace(**{factor: getattr(first, factor)})
            if a != b and a in known:
                yield a, b
