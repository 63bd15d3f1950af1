"""The number of draws of shots that makes them the smaller part of a comparison's error.

Two stages, as in Stein's method (Annals of Mathematical Statistics 16, 1945): a pilot estimates how
the accuracy of each cell scatters over queries and over draws, and the number of draws is set once
from that, without looking at which cell is better, so that intervals hold (`docs/evidence.md`).
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

    Of the cells of a pilot of `PILOT` draws, the one that needs most counts, up to `MOST`.
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
