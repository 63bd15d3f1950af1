"""Tables in a terminal."""

from __future__ import annotations

from rich.text import Text

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.report.cell_names import Data
from promptkit.report.interval_text import ends_of
from promptkit.report.pair_names import direction
from promptkit.terminal_text import TextTable
from promptkit.text import visible


def titled(line: str) -> Text:
    """Return the title of a table."""
    return Text(visible(line, 300), "bold")


def table(*columns: str) -> TextTable:
    """Return an empty table; a column whose name ends in a colon holds numbers."""
    return TextTable(*columns)


def change(pair: Data | None, metric: Metric = ACCURACY) -> Text:
    """Return a paired difference with its interval, coloured where it is significant."""
    if pair is None:
        return Text()
    low, high = ends_of(pair)
    style = ("", "green", "red")[direction(pair, metric)]
    return Text(metric_text.change(metric, pair["delta"], low, high), style)
