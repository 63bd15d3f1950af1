"""Chart of a metric against the number of labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
from promptkit.report.cell_names import Data
from promptkit.report.charts.accuracy_charts import domain_of, metric_axis
from promptkit.report.charts.panels import Panel, inline, points_of, told_apart
from promptkit.report.charts.style import WIDTH
from promptkit.report.interval_text import metric_of
from promptkit.text import capital, file_name, visible
from promptkit.translation import tr

NUDGE, SPREAD = 0.06, 0.2
"""Distance between the intervals of two lines at one number of rows, as a share of it, and the most
of it that all lines take together, half of it on either side."""


def learning(data: Data) -> list[Panel]:
    """Return a panel of the metric against labelled rows, where a comparison has it."""
    curve = data.get("learning_curve")
    if not curve:
        return []
    metric = metric_of(data)
    count = len(curve["lines"])
    shifts = [min(NUDGE, SPREAD / count) * (place - (count - 1) / 2) for place in range(count)]
    pairs = zip(curve["lines"], shifts, strict=True)
    values = [row for line, shift in pairs for row in _rows(line, shift)]
    domain = domain_of(metric, [row[end] for row in values for end in ("low", "value", "high")])
    names = {row["line"]: None for row in values}
    base = alt.Chart().encode(**told_apart(names))
    y = metric_axis(metric, domain)
    ends = base.mark_rule(strokeWidth=2, opacity=0.45).encode(
        x=_labels(values), y=alt.Y("low:Q", scale=alt.Scale(domain=domain)), y2=alt.Y2("high:Q")
    )
    at = {"x": _labels(values), "y": y}
    layers = [
        ends,
        base.mark_line(strokeWidth=2).encode(**at),
        points_of(base.encode(**at), names),
    ]
    named = [{**row, metric.name: row["value"]} for row in values]
    chart = alt.layer(*layers, data=inline(named)).properties(width=WIDTH + 90, height=250)
    return [Panel("", chart, _in_words(curve["lines"], metric))]


def _rows(line: Data, shift: float) -> list[dict[str, Any]]:
    rows = []
    for one in line["points"]:
        low, high = one["ci"] or one["ci_fixed"] or (one["value"], one["value"])
        rows.append(
            {
                "line": visible(file_name(line["name"]), 50),
                # Beside each other, as intervals at one place hide each other.
                "at": one["labels"] * (1 + shift) + shift / 2,
                "value": one["value"],
                "low": one["value"] if low is None else low,
                "high": one["value"] if high is None else high,
            }
        )
    return rows


def _labels(values: Sequence[Data]) -> Any:
    """Return the axis of labelled rows: logarithmic, with a place for none."""
    least, most = (pick(row["at"] for row in values) for pick in (min, max))
    ticks = [0, *(1 << power for power in range(int(most).bit_length()))]
    ticks = ticks if len(ticks) <= 9 else [0, *ticks[1::2]]
    return alt.X(
        "at:Q",
        title=tr("labelled rows"),
        scale=alt.Scale(type="symlog", constant=1, domain=[min(least, 0), most], nice=False),
        axis=alt.Axis(values=ticks, grid=False, format=",d"),
    )


def _in_words(lines: Sequence[Data], metric: Metric) -> str:
    said = []
    for line in lines:
        ends = [line["points"][0], line["points"][-1]] if line["points"][1:] else line["points"]
        steps = ", ".join(
            tr(
                "{figure} with {one:,}",
                figure=metric_text.figure(metric, one["value"]),
                one=one["labels"],
            )
            for one in ends
        )
        said.append(f"{line['name']}: {steps}")
    return tr(
        "{capital} against labelled rows. {said}.",
        capital=capital(metric.noun),
        said="; ".join(said),
    )
