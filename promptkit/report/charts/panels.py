"""Panels of charts, and the encodings that several charts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from promptkit.graphemes import clusters, cut
from promptkit.report.charts.style import BETTER, COLOURS, DIM, INK, SHAPES, SHARE, WIDTH, WORSE

NUMBERS = 104
"""Room of the numbers beside the name of an interval, in pixels."""

FEW = 6
"""Largest number of panels of a kind; the tables have all of it."""

Chart = Any
"""Altair's charts have no useful common type."""


class Panel(NamedTuple):
    """One chart of several of its kind."""

    title: str
    """Title that tells it from the others; empty where it is the only one."""
    chart: Chart
    alternative: str
    """Text alternative: the chart in a sentence."""


def told_apart(lines: Mapping[str, Any]) -> dict[str, Any]:
    """Return a colour per line, or one colour for a single line."""
    if len(lines) == 1:
        return {"color": alt.value(COLOURS[0])}
    scale = alt.Scale(domain=[*lines], range=[*COLOURS[: len(lines)]])
    return {"color": alt.Color("line:N", scale=scale, legend=alt.Legend())}


def points_of(base: Chart, lines: Mapping[str, Any]) -> Chart:
    """Return points with a shape for each line."""
    points = base.mark_point(filled=True, size=60, opacity=1)
    if len(lines) == 1:
        return points
    scale = alt.Scale(domain=[*lines], range=[*SHAPES[: len(lines)]])
    return points.encode(shape=alt.Shape("line:N", scale=scale, legend=alt.Legend()))


def percent_axis(
    channel: Any, field: str, title: str, domain: Sequence[float], **settings: Any
) -> Any:
    """Return a channel, `alt.X` or `alt.Y`, for shares, with more settings of its axis."""
    axis = alt.Axis(format=SHARE, tickCount=5, **settings)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    return channel(field, title=title, scale=scale, axis=axis)


def inline(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Return the values as data inside the chart."""
    return alt.InlineData(values=[*values])


SIGNS = {
    "better": ("triangle-right", BETTER),
    "worse": ("triangle-left", WORSE),
    "not significant": ("circle", DIM),
    "": ("circle", COLOURS[0]),
}
"""Shape and colour of a point by its verdict; the last for intervals that have none."""


def interval_row(
    name: str,
    context: str,
    at: float,
    ends: Sequence[float],
    write: Callable[[float], str],
    verdict: str = "",
    unit: float = 100,
) -> dict[str, Any]:
    """Return a row of `intervals`, by default in points; its verdict is one of `SIGNS`."""
    low, high = ends
    return {
        "name": fitting(name, WIDTH - NUMBERS),
        "context": fitting(context, WIDTH, 11),
        "verdict": verdict,
        "at": unit * at,
        "low": unit * low,
        "high": unit * high,
        "number": f"{write(at)} [{write(low)}, {write(high)}]",
    }


def fitting(text: str, pixels: int, size: int = 12) -> str:
    """Return a text that fits its room, whole characters of it.

    Vega cuts by code units, so that only texts with characters of several ones are cut here.
    """
    if all(len(cluster) == 1 and cluster <= "\uffff" for cluster in clusters(text)):
        return text
    return cut(text, int(pixels / (0.62 * size)))


def numbered(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Return rows as data with their numbers."""
    return inline([{"row": number, **row} for number, row in enumerate(rows)])


def intervals(rows: Sequence[Mapping[str, Any]], title: str, *, signs: str = "") -> Chart:
    """Return a chart with a row per interval; `signs` is the format of signed numbers, if any."""
    two_lines = any(row["context"] for row in rows)
    above, below = (-15, 14) if two_lines else (-8, 8)
    shapes, colours = zip(*SIGNS.values(), strict=True)
    base = alt.Chart().encode(
        y=alt.Y("row:O", axis=None),
        color=alt.Color(
            "verdict:N", scale=alt.Scale(domain=[*SIGNS], range=[*colours]), legend=None
        ),
    )
    ticks = f"datum.value ? format(datum.value, '{signs}') : '0'" if signs else "datum.label"
    axis = alt.Axis(labelExpr=ticks, tickCount=6, grid=False)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=[*SIGNS], range=[*shapes]), legend=None)
    points = base.mark_point(filled=True, size=80, opacity=1, yOffset=below)
    zero = alt.Chart(inline([{"at": 0}])).mark_rule(color=DIM, opacity=0.4)
    layers = [
        zero.encode(x=alt.X("at:Q")),
        base.mark_rule(strokeWidth=2, yOffset=below).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        points.encode(x=alt.X("at:Q", title=title, axis=axis), shape=shape),
        *words(base, above, two_lines, plain=not signs),
    ]
    height = alt.Step(56 if two_lines else 40)
    return alt.layer(*layers, data=numbered(rows)).properties(width=WIDTH, height=height)


def words(base: Chart, above: int, context: bool, *, plain: bool) -> list[Chart]:
    """Return a row's `name` on the left and its `number` on the right, and its `context` below."""
    name = base.mark_text(align="left", yOffset=above, fontSize=12, limit=WIDTH - NUMBERS)
    number = base.mark_text(align="right", yOffset=above, fontSize=12)
    left, ink, dim = alt.value(0), alt.value(INK), alt.value(DIM)
    number = number.encode(x=alt.value(WIDTH), text=alt.Text("number:N"))
    layers = [
        name.encode(x=left, text=alt.Text("name:N"), color=ink),
        number.encode(color=dim) if plain else number,
    ]
    if context:
        below = base.mark_text(align="left", fontSize=11, limit=WIDTH)
        layers.append(below.encode(x=left, text=alt.Text("context:N"), color=dim))
    return layers
