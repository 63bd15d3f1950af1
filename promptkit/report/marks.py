"""What charts are made of: panels, and the encodings that several of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from promptkit.report.draw import COLOURS, SHAPES, SHARE

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


def percent_axis(field: str, title: str, domain: Sequence[float]) -> Any:
    axis = alt.Axis(format=SHARE, tickCount=5)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    kind = alt.X if field.startswith("confidence") else alt.Y
    return kind(field, title=title, scale=scale, axis=axis)


def inline(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[*values])
