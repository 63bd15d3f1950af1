"""Learning curves in a terminal, and as a table for a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from promptkit.evaluation import metric_text
from promptkit.report import conclusions
from promptkit.report.cell_names import Data
from promptkit.report.interval_text import metric_of
from promptkit.report.rich_tables import table, titled
from promptkit.text import file_name, visible
from promptkit.translation import tr


def learning_curves(data: Data) -> Iterator[RenderableType]:
    """Yield a table with a row per number of labelled rows, and the crossing points in words."""
    found = learning_rows(data)
    if not found:
        return
    yield titled(tr("Learning curves, {noun}", noun=metric_of(data).noun))
    made = table(tr("labelled rows:"), *(f"{visible(name, 24)}:" for name in found["names"]))
    for labels, cells in found["rows"]:
        made.add_row(f"{labels:,}", *map(Text, cells))
    yield made
    yield from map(conclusions.item, found["sentences"])
    yield ""


def learning_rows(data: Data) -> dict[str, Any]:
    """Return the names of the lines, and their values by the number of labelled rows.

    Empty where there is no learning curve.
    """
    curve, metric = data.get("learning_curve"), metric_of(data)
    if not curve:
        return {}
    lines = [{one["labels"]: one for one in line["points"]} for line in curve["lines"]]
    return {
        "names": [file_name(line["name"]) for line in curve["lines"]],
        "rows": [
            (
                labels,
                [
                    metric_text.figure(metric, at["value"], at["ci"] or at["ci_fixed"])
                    if (at := line.get(labels))
                    else ""
                    for line in lines
                ],
            )
            for labels in sorted({labels for line in lines for labels in line})
        ],
        "sentences": curve["sentences"],
    }
