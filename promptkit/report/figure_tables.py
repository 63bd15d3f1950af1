"""Metrics of a comparison beside the one that it looks at, in a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from promptkit.evaluation.metric import BY_NAME, Metric, measured
from promptkit.evaluation.results import Row
from promptkit.report.cell_names import Data
from promptkit.report.interval_text import figure
from promptkit.report.measures_table import measures_table
from promptkit.report.rich_tables import table
from promptkit.translation import tr

NUMBERS = ("mae", "rmse", "bias", "pearson")
"""Metrics of numbers that a terminal shows."""

SCALES = ("mae", "mae_of_mean", "mae_of_median", "quadratic_kappa")
"""Metrics of labels that are numbers that a terminal shows."""

LISTS = ("micro_f1", "macro_f1", "jaccard", "hamming_loss")
"""Metrics of lists of labels that a terminal shows."""

MOST = 5
"""Largest number of metrics that are columns in a terminal; more of them are rows."""


def others(rows: Sequence[Data], metric: Metric) -> list[Metric]:
    """Return the metrics that are no columns of the main table, in the order of the rows.

    Args:
        rows: Rows of a comparison.
        metric: The one that it looks at.
    """
    names = dict.fromkeys(
        name.removesuffix("_ci_fixed")
        for row in rows
        for name in row
        if name.endswith("_ci_fixed") and name not in Row.__slots__
    )
    return [measured(name) for name in names if name != metric.name]


def beside(rows: Sequence[Data], metric: Metric) -> Iterator[RenderableType]:
    """Yield a table of the errors of numbers, and of the measures that a task declares.

    Labels have it where they are numbers, more than two of them.

    Args:
        rows: The rows of one cell over all seeds, one per number of shots.
        metric: The one that the main table shows.
    """
    if any("micro_f1" in row for row in rows):
        yield from _of_lists(rows, metric)
        return
    scored = any(row["coverage"] is not None for row in rows)
    every = others(rows, metric)
    if scored and not any({"mae_of_mean", "top_2_accuracy"} <= row.keys() for row in rows):
        return
    named = SCALES if scored else NUMBERS
    chosen = [one for one in every if one.name in named or one.name not in BY_NAME]
    if not chosen:
        return
    if len(chosen) > MOST:
        yield from measures_table(rows, chosen)
        return
    yield _columns(rows, chosen)


def _of_lists(rows: Sequence[Data], metric: Metric) -> Iterator[RenderableType]:
    """Yield the metrics of lists of labels, and a table with the F1 of each label."""
    yield _columns(rows, [BY_NAME[name] for name in LISTS if name != metric.name])
    labels = [one for one in others(rows, metric) if one.name.startswith("f1.")]
    yield from measures_table(rows, labels)


def _columns(rows: Sequence[Data], metrics: Sequence[Metric]) -> RenderableType:
    """Return a table with a row per number of shots and a column per metric."""
    made = table(tr("shots:"), *(f"{one.noun}:" for one in metrics))
    for row in rows:
        made.add_row(str(row["shots"]), *(figure(one, row) for one in metrics))
    return made
