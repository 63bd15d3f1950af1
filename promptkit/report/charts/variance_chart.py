"""Charts of variance components, and of the ranges over the levels of factors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
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
from promptkit.report.interval_text import metric_of
from promptkit.text import capital, counted
from promptkit.translation import tr

MOST = 12
"""Largest number of ranges in one panel."""


def variance(data: Data) -> list[Panel]:
    """Return panels of standard deviations with their intervals, one per number of shots."""
    names, metric = CellNames(data["rows"]), metric_of(data)
    found = few(data["variance"], FEW)
    return [
        Panel(
            names.place(one),
            intervals(
                [_component(s, metric) for s in one["sources"]],
                "points" if metric.is_share else metric.noun,
            ),
            " ".join(source["sentence"] for source in one["sources"]),
        )
        for one in found
    ]


def _component(source: Data, metric: Metric) -> dict[str, Any]:
    write = partial(metric_text.within, metric, source["ci"])
    unit = 100 if metric.is_share else 1
    name = component_name(source["factor"])
    return interval_row(name, "", source["sd"], source["ci"], write, unit=unit)


def spread(data: Data) -> list[Panel]:
    """Return panels of the values of the levels, one per factor."""
    names, metric = CellNames(data["rows"]), metric_of(data)
    factors = grouped(data["spreads"], lambda one: str(one["factor"]))
    return [
        Panel(
            capital(component_name(factor)),
            _spreads(few(found, MOST), names, metric),
            found[0]["sentence"],
        )
        for factor, found in factors.items()
    ]


def _spreads(found: Sequence[Data], names: CellNames, metric: Metric) -> Chart:
    """Return a row per range, from the lowest to the highest value, with all levels."""
    dots = [
        {"row": row, metric.name: value}
        for row, one in enumerate(found)
        for value in one["accuracies"]
    ]
    y = alt.Y("row:O", axis=None)
    base = alt.Chart(numbered([_row(one, names, metric) for one in found])).encode(y=y)
    line = base.mark_rule(strokeWidth=2, yOffset=14, color=LINE)
    levels = alt.Chart(inline(dots)).mark_point(
        filled=True, size=70, yOffset=14, color=COLOURS[0], opacity=0.6
    )
    low, high = (end(dot[metric.name] for dot in dots) for end in (min, max))
    layers = [
        line.encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        levels.encode(y=y, x=_axis(metric, low, high)),
        *words(base, -15, True, plain=True),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(56))


def _axis(metric: Metric, low: float, high: float) -> Any:
    field = f"{metric.name}:Q"
    if metric.is_share:
        domain = max(0.0, low - 0.05), min(1.0, high + 0.05)
        return percent_axis(alt.X, field, metric.noun, domain, grid=False)
    room = (high - low or abs(high) or 1) / 10
    scale = alt.Scale(domain=[low - room, high + room], nice=False, zero=False)
    return alt.X(field, title=metric.noun, scale=scale, axis=alt.Axis(tickCount=5, grid=False))


def _row(one: Data, names: CellNames, metric: Metric) -> dict[str, Any]:
    write = partial(metric_text.within, metric, one["ci"])
    low, high = map(write, one["ci"])
    return {
        "name": counted(one["shots"], "shot", "shots"),
        "context": names.held(one),
        "low": min(one["accuracies"]),
        "high": max(one["accuracies"]),
        "number": tr(
            "{write} apart [{low}, {high}]", write=write(one["estimate"]), low=low, high=high
        ),
    }
