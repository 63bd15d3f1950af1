"""How many draws of shots a comparison takes: until they are the smaller part of its error.

Two stages, as in Stein's method: a pilot estimates how the accuracy of each cell scatters over
queries and over draws, and the number of draws is set once from that, without looking at which cell
is better. So the intervals of the whole hold (`docs/evidence.md`).

Stein, Annals of Mathematical Statistics 16, 1945.
"""

from __future__ import annotations

import math

from promptkit.evaluation import crossed_intervals
from promptkit.evaluation.outcomes import ByCell, Table
from promptkit.inference.cell import RAW

PILOT = 5
"""How many draws are asked first."""

MOST = 20
"""How many draws are asked at the most."""


def enough(by_cell: ByCell) -> int:
    """Return how many draws make new draws add less to the error of an accuracy than new queries.

    Args:
        by_cell: The outcomes of a pilot of `PILOT` draws.

    Returns:
        The largest number that a cell takes, from `PILOT` to `MOST`.
    """
    raw = [one for cell, one in by_cell.items() if cell.calibration == RAW]
    return max([PILOT, *(_enough(one.correct) for one in raw if one.drawn)])


def _enough(table: Table) -> int:
    if min(table.shape) < 2:
        return PILOT
    by_query, by_draw, rest = crossed_intervals.components(table)
    # The rest is less with more draws too: it counts on the side of the queries.
    extra = by_draw - rest / len(table)
    if extra <= 0:
        return PILOT
    if by_query <= 0:
        return MOST
    return min(max(PILOT, math.ceil(extra * len(table) / by_query)), MOST)
