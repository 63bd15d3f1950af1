"""Charts of a comparison by kind, made from its JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import altair as alt

from promptkit.errors import TaskError
from promptkit.report.cell_names import Data
from promptkit.report.charts.accuracy_charts import accuracy, cost
from promptkit.report.charts.difference_chart import differences
from promptkit.report.charts.label_charts import confusion, reliability
from promptkit.report.charts.learning_chart import learning
from promptkit.report.charts.panels import Chart, Panel
from promptkit.report.charts.pareto_chart import pareto
from promptkit.report.charts.risk_chart import risk
from promptkit.report.charts.style import STYLE
from promptkit.report.charts.variance_chart import spread, variance
from promptkit.translation import tr

PLOTS: dict[str, Callable[[Data], list[Panel]]] = {
    "accuracy": accuracy,
    "differences": differences,
    "reliability": reliability,
    "confusion": confusion,
    "variance": variance,
    "spread": spread,
    "cost": cost,
    "pareto": pareto,
    "learning": learning,
    "risk": risk,
}
"""Kinds of charts, with the function that makes the panels of each."""


def together(panels: Sequence[Panel]) -> Chart:
    """Return the panels as one chart, two in a row."""
    charts = [
        panel.chart.properties(title=panel.title) if panel.title else panel.chart
        for panel in panels
    ]
    if len(charts) == 1:
        return charts[0]
    beside = alt.concat(*charts, columns=2, spacing=32)
    return beside.resolve_scale(color="independent", shape="independent")


def plot(data: Data, what: str) -> Chart:
    """Return all panels of one kind as one chart.

    Raises:
        TaskError: The kind is unknown, or this comparison has none of it.
    """
    if what not in PLOTS:
        raise TaskError(
            tr("unknown plot {what!r}; choose one of: {PLOTS}", what=what, PLOTS=", ".join(PLOTS))
        )
    panels = PLOTS[what](data)
    if not panels:
        raise TaskError(
            tr("nothing to plot as {what!r}: this comparison has none of it", what=what)
        )
    return together(panels).properties(config=alt.Config(**STYLE))
