"""Pairs of cells that a comparison compares, and their differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np

from promptkit.calibration.methods import SAME_ANSWERS
from promptkit.evaluation import targets
from promptkit.evaluation.outcomes import ByCell, Losses, Outcomes
from promptkit.evaluation.results import LossDifference
from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW, Cell, distinct


def cells_of(by_cell: ByCell) -> list[Cell]:
    """Return the cells whose answers can differ: of equal ones the first."""
    return [cell for cell in distinct(by_cell) if cell.calibration not in SAME_ANSWERS]


def loss_difference(a: Losses | None, b: Losses | None, drawn: bool) -> LossDifference | None:
    """Return the loss of `b` less that of `a`, over the same queries and seeds.

    Args:
        a: Losses of the answers of a cell, (queries, seeds).
        b: Those of another cell.
        drawn: Whether another seed would have drawn other shots for one of the two.

    Returns:
        The difference; None for generated answers, a single query and infinite losses.
    """
    if a is None or b is None or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    found = targets.mean(b - a, drawn)
    return None if found is None else LossDifference(float((b - a).mean()), *found.ends)


def differences(by_cell: ByCell) -> Iterator[tuple[Cell, Cell, targets.Differences]]:
    """Yield the pairs of cells that are compared, and their differences.

    Each shot count is compared with the one before and with the fewest, each level of another
    factor with the first, and a predictor without a prompt with the first model at each shot count.
    The two cells of a pair differ in one factor only. Cells whose answers
    are those of another are left out.
    """
    cells = [cell for cell in by_cell if cell.calibration not in SAME_ANSWERS]
    for a, b in dict.fromkeys(_compared(cells)):
        yield a, b, difference(by_cell[a], by_cell[b])


def difference(a: Outcomes, b: Outcomes, level: float = 0.95) -> targets.Differences:
    """Return the accuracy of `b` less that of `a`, over the same queries and seeds."""
    return targets.difference(a.correct, b.correct, a.drawn or b.drawn, level)


def _compared(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell]]:
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
