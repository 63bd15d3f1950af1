"""Tables in a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.report.cell_names import Data
from promptkit.report.interval_text import ends_of
from promptkit.report.pair_names import direction
from promptkit.text import visible


def titled(line: str) -> Text:
    """Return the title of a table."""
    return Text(visible(line, 300), "bold")


def table(*columns: str) -> Table:
    """Return an empty table; a column whose name ends in a colon holds numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Any = "right" if name.endswith(":") else "left"
        made.add_column(name.rstrip(":"), justify=justify, overflow="fold")
    return made


def change(pair: Data | None, metric: Metric = ACCURACY) -> Text:
    """Return a paired difference with its interval, coloured where it is significant."""
    if pair is None:
        return Text()
    low, high = ends_of(pair)
    style = ("", "green", "red")[direction(pair, metric)]
    return Text(metric_text.change(metric, pair["delta"], low, high), style)
