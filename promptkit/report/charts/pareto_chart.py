"""Charts of a metric against what an answer costs, with the Pareto front marked."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import altair as alt

from promptkit.evaluation.metric import Metric
from promptkit.report.cell_names import Data
from promptkit.report.charts.accuracy_charts import domain_of, ends_in, metric_axis
from promptkit.report.charts.panels import Chart, Panel, inline
from promptkit.report.charts.style import COLOURS, DIM, WIDTH
from promptkit.report.cost_lines import CostLine, cost_lines, cost_of, front_of
from promptkit.report.interval_text import figure, metric_of
from promptkit.text import capital
from promptkit.translation import mark, tr

_SECONDS = (
    "datum.value >= 1 ? format(datum.value, ',~g') + ' s' : datum.value >= 0.001 ? "
    "format(datum.value * 1e3, '~g') + ' ms' : format(datum.value * 1e6, '~g') + ' µs'"
)
_BYTES = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, '~g') + ' GB' : datum.value >= 1e6 ? "
    "format(datum.value / 1e6, '~g') + ' MB' : format(datum.value / 1e3, '~g') + ' kB'"
)

COSTS = {
    "seconds": (mark("seconds for an item"), _SECONDS),
    "bytes": (mark("bytes on disk"), _BYTES),
}
"""Title and labels of the axis of each cost."""


def pareto(data: Data) -> list[Panel]:
    """Return panels of the metric against the time of an item, and against the size on disk."""
    metric, lines = metric_of(data), cost_lines(data)
    panels = []
    for cost, (title, _) in COSTS.items():
        known = [line for line in lines if (cost_of(line, cost) or 0) > 0]
        if len(known) > 1 and _differ([cost_of(line, cost) or 0 for line in known]):
            front = front_of(known, metric, cost)
            chart = _chart(metric, lines, known, front, cost)
            said = "; ".join(f"{line.name}, {figure(metric, line.row)}" for line in front)
            words = tr(
                "{capital} against {title}. On the front: {said}.",
                capital=capital(metric.noun),
                title=title,
                said=said,
            )
            panels.append(Panel(tr("Against {title}", title=title), chart, words))
    return panels


def _chart(
    metric: Metric,
    lines: Sequence[CostLine],
    known: Sequence[CostLine],
    front: Sequence[CostLine],
    cost: str,
) -> Chart:
    """Return points with intervals and their numbers in the table, the front joined by steps."""
    values = [
        _value(metric, line, number, line in front, cost)
        for number, line in enumerate(lines, 1)
        if line in known
    ]
    domain = domain_of(metric, [one[name] for one in values for name in ("low", "high")])
    title, labels = COSTS[cost]
    costs = [one[cost] for one in values]
    x = alt.X(f"{cost}:Q", title=title, scale=_scale(costs), axis=_axis(costs, labels))
    base = alt.Chart().encode(x=x)
    y = metric_axis(metric, domain)
    steps = [one for one in values if one["front"]]
    shape = alt.Scale(domain=[True, False], range=[COLOURS[0], DIM])
    colour = alt.Color("front:N", scale=shape, legend=None)
    points = base.mark_point(size=70, opacity=1, strokeWidth=2).encode(
        y=y,
        color=colour,
        fill=alt.condition("datum.front", alt.value(COLOURS[0]), alt.value("transparent")),
    )
    layers = [
        base.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.5, color=COLOURS[0])
        .encode(y=y)
        .properties(data=inline(steps)),
        base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(
            y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour
        ),
        points,
        base.mark_text(align="left", dx=8, dy=-7, fontSize=12).encode(
            y=y, text=alt.Text("number:N"), color=colour
        ),
    ]
    return alt.layer(*layers, data=inline(values)).properties(width=WIDTH, height=240)


def _value(metric: Metric, line: CostLine, number: int, front: bool, cost: str) -> dict[str, Any]:
    low, high = ends_in(metric, line.row)
    return {
        "number": str(number),
        "name": line.name,
        "front": front,
        cost: cost_of(line, cost),
        metric.name: line.row[metric.name],
        "low": low,
        "high": high,
    }


def _differ(costs: Sequence[float]) -> bool:
    """Return whether costs are far enough apart to be drawn."""
    return max(costs) > 1.2 * min(costs)


def _scale(values: Sequence[float]) -> alt.Scale:
    low, high = min(values), max(values)
    return alt.Scale(type="log", domain=[low / 1.6, high * 1.6], nice=False)


def _axis(values: Sequence[float], labels: str) -> alt.Axis:
    """Return an axis with labels at powers of ten, or at more where there are few of them."""
    low, high = min(values), max(values)
    decades = range(floor(log10(low / 1.6)), ceil(log10(high * 1.6)) + 1)
    parts = (1,) if log10(high / low) > 2 else (1, 3)
    step = max(1, ceil(len(decades) / 6))
    ticks = [part * 10.0**decade for decade in decades[::step] for part in parts]
    return alt.Axis(values=ticks, labelExpr=labels, grid=False, labelOverlap=True)
