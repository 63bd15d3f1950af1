"""What charts are made of: panels, and the encodings that several of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from promptkit.report.draw import BETTER, COLOURS, DIM, INK, SHAPES, SHARE, WIDTH, WORSE

FEW = 6
"""How many panels of a kind there are at most; the tables have all of it."""

Chart = Any
"""Altair's charts have no useful common type."""


class Panel(NamedTuple):
    """One chart among several of its kind."""

    title: str
    """What sets it apart from the others; empty where it is the only one."""
    chart: Chart
    says: str
    """The chart in a sentence, for who cannot see it."""


def told_apart(lines: Mapping[str, Any]) -> dict[str, Any]:
    """Colours for lines, or one colour for a line that is alone."""
    if len(lines) == 1:
        return {"color": alt.value(COLOURS[0])}
    scale = alt.Scale(domain=[*lines], range=[*COLOURS[: len(lines)]])
    return {"color": alt.Color("line:N", scale=scale, legend=alt.Legend())}


def points_of(base: Chart, lines: Mapping[str, Any], y: Any) -> Chart:
    """Points with a shape for each line."""
    points = base.mark_point(filled=True, size=60, opacity=1)
    if y is not None:
        points = points.encode(y=y)
    if len(lines) == 1:
        return points
    scale = alt.Scale(domain=[*lines], range=[*SHAPES[: len(lines)]])
    return points.encode(shape=alt.Shape("line:N", scale=scale, legend=alt.Legend()))


def percent_axis(channel: Any, field: str, title: str, domain: Sequence[float]) -> Any:
    """A channel, `alt.X` or `alt.Y`, for shares."""
    axis = alt.Axis(format=SHARE, tickCount=5)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    return channel(field, title=title, scale=scale, axis=axis)


def inline(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[*values])


SIGNS = {
    "better": ("triangle-right", BETTER),
    "worse": ("triangle-left", WORSE),
    "cannot tell": ("circle", DIM),
    "": ("circle", COLOURS[0]),
}
"""The shape and the colour of what an interval comes to; of one that is nothing but itself."""


def intervals(values: Sequence[Mapping[str, Any]], title: str, *, signs: bool = False) -> Chart:
    """An interval per row, `low` and `high` with points `at`; above it what it is, its `name`, its
    `context` and its `number`; `verdict` is one of `SIGNS`.
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
    zero = alt.Chart(inline([{"zero": 0}])).mark_rule(color=DIM, opacity=0.4).encode(x="zero:Q")
    name = base.mark_text(align="left", yOffset=above, fontSize=12, limit=WIDTH - 104)
    context = base.mark_text(align="left", fontSize=11, limit=WIDTH)
    number = base.mark_text(align="right", yOffset=above, fontSize=12)
    points = base.mark_point(filled=True, size=80, opacity=1, yOffset=below)
    layers = [
        zero,
        base.mark_rule(strokeWidth=2, yOffset=below).encode(x=alt.X("low:Q"), x2="high:Q"),
        points.encode(x=alt.X("at:Q", title=title, axis=axis), shape=shape),
        name.encode(x=alt.value(0), text="name:N", color=alt.value(INK)),
        number.encode(x=alt.value(WIDTH), text="number:N")
        if signs
        else number.encode(x=alt.value(WIDTH), text="number:N", color=alt.value(DIM)),
    ]
    if two_lines:
        layers.append(context.encode(x=alt.value(0), text="context:N", color=alt.value(DIM)))
    height = alt.Step(56 if two_lines else 40)
    return alt.layer(*layers, data=inline(values)).properties(width=WIDTH, height=height)
