"""Chart of risk against coverage."""

from __future__ import annotations

import altair as alt

from promptkit.report.cell_names import CellNames, Data
from promptkit.report.charts.panels import Panel, inline, percent_axis
from promptkit.report.charts.style import COLOURS, DIM, WIDTH
from promptkit.text import percent
from promptkit.translation import tr


def risk(data: Data) -> list[Panel]:
    """Return a panel of the risk by the share of queries that are answered, where it is known."""
    found = data["selective"]
    if found is None:
        return []
    most = max(found["error"], *(point["risk"] for point in found["curve"]))
    curve = alt.Chart(inline(found["curve"])).mark_line(strokeWidth=2, interpolate="step-before")
    line = curve.encode(
        x=percent_axis(alt.X, "share:Q", tr("answered, most confident first"), (0, 1)),
        y=percent_axis(alt.Y, "risk:Q", tr("wrong among them"), (0, min(1.0, 1.1 * most))),
        color=alt.value(COLOURS[0]),
    )
    stated = alt.Chart(inline([{"risk": found["error"]}])).mark_rule(
        color=DIM, strokeDash=[4, 4], strokeWidth=1
    )
    layers = [line, stated.encode(y=alt.Y("risk:Q"))]
    if found["answered"]:
        at = alt.Chart(inline([{"share": found["answered"] / found["n"]}]))
        layers.append(at.mark_rule(color=DIM, opacity=0.4).encode(x=alt.X("share:Q")))
    chart = alt.layer(*layers).properties(width=WIDTH, height=220)
    last = found["curve"][-1]["risk"]
    name = CellNames(data["rows"]).with_shots(found)
    said = tr(
        "Risk against coverage, {name}: {last} wrong where all are answered.",
        name=name,
        last=percent(last),
    )
    return [Panel("", chart, said)]
