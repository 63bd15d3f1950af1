"""Table of many measures of answers, such as those of the fields of a record, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from promptkit.evaluation.metric import Metric
from promptkit.report.cell_names import Data
from promptkit.report.interval_text import figure
from promptkit.report.rich_tables import table
from promptkit.text import counted, visible
from promptkit.translation import tr

MOST_ROWS = 24
"""Largest number of measures that a terminal shows; the page has all of them."""


def measures_table(rows: Sequence[Data], measures: Sequence[Metric]) -> Iterator[RenderableType]:
    """Yield a table with a row per measure and a column per number of shots.

    Args:
        rows: The rows of one cell over all seeds, one per number of shots.
        measures: The measures.
    """
    made = table(tr("measure"), *(f"{counted(row['shots'], 'shot', 'shots')}:" for row in rows))
    for one in measures[:MOST_ROWS]:
        made.add_row(Text(visible(one.name, 40)), *(figure(one, row) for row in rows))
    yield made
    if len(measures) > MOST_ROWS:
        yield Text(tr("… and {count} more on the page", count=len(measures) - MOST_ROWS), "dim")
