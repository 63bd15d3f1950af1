"""Charts of variance components, and of the ranges over the levels of factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from promptkit.evaluation.sentences import component_name
from promptkit.report.cell_names import CellNames, Data, few, grouped
from promptkit.report.charts.panels import (
    FEW,
    Chart,
    Panel,
    inline,
    interval_row,
    intervals,
    numbered,
    percent_axis,
    words,
)
from promptkit.report.charts.style import COLOURS, LINE, WIDTH
from promptkit.text import capital, counted, number

MOST = 12
"""Largest number of ranges in one panel."""


def variance(data: Data) -> list[Panel]:
    """Return panels of standard deviations with their intervals, one per number of shots."""
    names = CellNames(data["rows"])
    found = few(data["variance"], FEW)
    return [
        Panel(
            names.place(one),
            intervals(
                [
                    interval_row(component_name(s["factor"]), "", s["sd"], s["ci"], number)
                    for s in one["sources"]
                ],
                "points",
            ),
            " ".join(source["sentence"] for source in one["sources"]),
        )
        for one in found
    ]


def spread(data: Data) -> list[Panel]:
    """Return panels of the accuracies of the levels, one per factor."""
    names = CellNames(data["rows"])
    factors = grouped(data["spreads"], lambda one: str(one["factor"]))
    return [
        Panel(
            capital(component_name(factor)), _spreads(few(found, MOST), names), found[0]["sentence"]
        )
        for factor, found in factors.items()
    ]


def _spreads(found: Sequence[Data], names: CellNames) -> Chart:
    """Return a row per range, from the lowest to the highest accuracy, with all levels."""
    dots = [
        {"row": row, "accuracy": accuracy}
        for row, one in enumerate(found)
        for accuracy in one["accuracies"]
    ]
    y = alt.Y("row:O", axis=None)
    base = alt.Chart(numbered([_row(one, names) for one in found])).encode(y=y)
    line = base.mark_rule(strokeWidth=2, yOffset=14, color=LINE)
    levels = alt.Chart(inline(dots)).mark_point(
        filled=True, size=70, yOffset=14, color=COLOURS[0], opacity=0.6
    )
    low, high = (end(dot["accuracy"] for dot in dots) for end in (min, max))
    domain = max(0.0, low - 0.05), min(1.0, high + 0.05)
    axis = percent_axis(alt.X, "accuracy:Q", "accuracy", domain, grid=False)
    layers = [
        line.encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        levels.encode(y=y, x=axis),
        *words(base, -15, True, plain=True),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(56))


def _row(one: Data, names: CellNames) -> dict[str, Any]:
    low, high = one["ci"]
    return {
        "name": counted(one["shots"], "shot"),
        "context": names.held(one),
        "low": min(one["accuracies"]),
        "high": max(one["accuracies"]),
        "number": f"{number(one['estimate'])} apart [{number(low)}, {number(high)}]",
    }
