"""The number of draws of shots that makes them the smaller part of a comparison's error.

Two stages, as in Stein's method (Annals of Mathematical Statistics 16, 1945): a pilot estimates how
the metric of each cell scatters over queries and over draws, and the number of draws is set once
from that, without looking at which cell is better, so that intervals hold (`docs/evidence.md`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from promptkit.errors import TaskError
from promptkit.evaluation import crossed_intervals
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import ByCell, Losses
from promptkit.inference.cell import RAW
from promptkit.translation import tr

PILOT = 5
"""How many draws are asked first."""

MOST = 20
"""How many draws are asked at the most."""


def first_seeds(seeds: int | Sequence[int] | str) -> Sequence[int]:
    """Return the seeds of the first run; with "auto" more may follow."""
    if seeds == "auto":
        return range(PILOT)
    if isinstance(seeds, str):
        raise TaskError(
            tr(
                "seeds is {seeds!r}; it is a number of draws, a list of seeds, or 'auto'",
                seeds=seeds,
            )
        )
    return range(seeds) if isinstance(seeds, int) else seeds


def enough(by_cell: ByCell, metric: Metric = ACCURACY) -> int:
    """Return how many draws make new draws add less to the error of a metric than new queries.

    Of the cells of a pilot of `PILOT` draws, the one that needs most counts, up to `MOST`.

    Args:
        by_cell: The outcomes of the pilot.
        metric: The metric; cells without it need no more than the pilot.
    """
    raw = [one for cell, one in by_cell.items() if cell.calibration == RAW and one.drawn]
    tables = [found for one in raw if (found := metric.shares(one)) is not None]
    return max([PILOT, *map(_enough, tables)])


def _enough(shares: Losses) -> int:
    table = shares[np.isfinite(shares).all(axis=1)]
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
