"""Panels of charts, and the encodings that several charts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from promptkit.report.charts.style import BETTER, COLOURS, DIM, INK, SHAPES, SHARE, WIDTH, WORSE

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
        return {"color": fixed(alt.ColorValue, COLOURS[0])}
    scale = alt.Scale(domain=[*lines], range=[*COLOURS[: len(lines)]])
    return {"color": alt.Color("line:N", scale=scale, legend=alt.Legend())}


def points_of(base: Chart, lines: Mapping[str, Any], y: Any) -> Chart:
    """Return points with a shape for each line."""
    points = base.mark_point(filled=True, size=60, opacity=1)
    if y is not None:
        points = points.encode(y=y)
    if len(lines) == 1:
        return points
    scale = alt.Scale(domain=[*lines], range=[*SHAPES[: len(lines)]])
    return points.encode(shape=alt.Shape("line:N", scale=scale, legend=alt.Legend()))


def percent_axis(channel: Any, field: str, title: str, domain: Sequence[float]) -> Any:
    """Return a channel, `alt.X` or `alt.Y`, for shares."""
    axis = alt.Axis(format=SHARE, tickCount=5)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    return channel(field, title=title, scale=scale, axis=axis)


def fixed(channel: Any, value: object) -> Any:
    """Return a channel with one value, in pixels or as a colour, for all marks."""
    return channel(value)


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


def intervals(values: Sequence[Mapping[str, Any]], title: str, *, signs: bool = False) -> Chart:
    """Return a chart with an interval per row of `values`.

    Args:
        values: Per row `low`, `high` and `at`, the texts `name`, `context` and `number`, and
            `verdict`, one of `SIGNS`.
        title: The title of the axis.
        signs: Whether the axis shows signed numbers.
    """
    two_lines = any(value["context"] for value in values)
    above, below = (-15, 14) if two_lines else (-8, 8)
    shapes, colours = zip(*SIGNS.values(), strict=True)
    base = alt.Chart().encode(
        y=alt.Y("row:O", axis=None),
        color=alt.Color(
            "verdict:N", scale=alt.Scale(domain=[*SIGNS], range=[*colours]), legend=None
        ),
    )
    ticks = "datum.value ? format(datum.value, '+d') : '0'" if signs else "datum.label"
    axis = alt.Axis(labelExpr=ticks, tickCount=6, grid=False)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=[*SIGNS], range=[*shapes]), legend=None)
    points = base.mark_point(filled=True, size=80, opacity=1, yOffset=below)
    layers = [
        upright(0),
        base.mark_rule(strokeWidth=2, yOffset=below).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        points.encode(x=alt.X("at:Q", title=title, axis=axis), shape=shape),
        *words(base, above, two_lines, plain=not signs),
    ]
    height = alt.Step(56 if two_lines else 40)
    return alt.layer(*layers, data=inline(values)).properties(width=WIDTH, height=height)


def upright(at: float) -> Chart:
    """Return a vertical line across all rows."""
    line = alt.Chart(inline([{"at": at}])).mark_rule(color=DIM, opacity=0.4)
    return line.encode(x=alt.X("at:Q"))


def words(base: Chart, above: int, context: bool, *, plain: bool) -> list[Chart]:
    """Return a row's `name` on the left and its `number` on the right, and its `context` below."""
    name = base.mark_text(align="left", yOffset=above, fontSize=12, limit=WIDTH - 104)
    number = base.mark_text(align="right", yOffset=above, fontSize=12)
    left, ink, dim = fixed(alt.XValue, 0), fixed(alt.ColorValue, INK), fixed(alt.ColorValue, DIM)
    number = number.encode(x=fixed(alt.XValue, WIDTH), text=alt.Text("number:N"))
    layers = [
        name.encode(x=left, text=alt.Text("name:N"), color=ink),
        number.encode(color=dim) if plain else number,
    ]
    if context:
        below = base.mark_text(align="left", fontSize=11, limit=WIDTH)
        layers.append(below.encode(x=left, text=alt.Text("context:N"), color=dim))
    return layers
