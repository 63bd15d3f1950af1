"""Tables of the slices of a comparison, in a terminal and as values for a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from promptkit.inference.cell import levels_of
from promptkit.report import conclusions, interval_text
from promptkit.report.cell_names import CellNames, Data
from promptkit.report.rich_tables import change, table, titled
from promptkit.text import visible
from promptkit.translation import tr

SHOWN = 12
"""Number of slices of a column that a terminal shows; the page has all of them."""


def sliced(data: Data, width: int) -> Iterator[RenderableType]:
    """Yield a table per column: a row per slice, a column per cell, and the sentences on them."""
    metric = interval_text.metric_of(data)
    for one in tables(data):
        yield titled(tr("By {one}, {noun}", one=one["by"], noun=metric.noun))
        names = [f"{name}:" for name in one["names"]]
        last = [
            *([tr("change:")] if one["changed"] else []),
            *([tr("vs the rest:")] if one["rests"] else []),
        ]
        made = table(one["by"], tr("queries:"), *names, *last)
        for part in one["slices"][:SHOWN]:
            style = "dim" if part["small"] else ""
            made.add_row(
                Text(visible(part["level"], max(width // 5, 12)), style),
                Text(f"{part['n']:,}" + (tr(" (small)") if part["small"] else ""), style),
                *(Text(interval_text.figure(metric, row), style) for row in part["rows"]),
                *([change(part["change"], metric)] if one["changed"] else []),
                *([change(part["rest"], metric)] if one["rests"] else []),
            )
        yield made
        if len(one["slices"]) > SHOWN:
            yield Text(
                tr("… and {count} more in report.html", count=len(one["slices"]) - SHOWN), "dim"
            )
        yield from map(conclusions.item, one["sentences"])
        yield ""


def tables(data: Data) -> list[dict[str, Any]]:
    """Return the slices of each column with the names of the cells."""
    names = CellNames(data["rows"])
    return [
        {
            **one,
            "names": [names.with_shots(row) for row in one["slices"][0]["rows"]],
            "changed": any(part["change"] for part in one["slices"]),
            "rests": any(part["rest"] for part in one["slices"]),
            "between": _between(one, names),
        }
        for one in data["slices"]
    ]


def _between(one: Data, names: CellNames) -> str:
    """Return the two cells whose difference is the change, in words; empty where there is one."""
    a, b = one["a"], one["b"]
    if a is None:
        return ""
    if levels_of(a) == levels_of(b):
        return f"{a['shots']} → {names.with_shots(b)}"
    return f"{names.with_shots(a)} → {names.with_shots(b)}"
