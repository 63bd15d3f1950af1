"""Style of charts, and their output as SVG and PNG, without a browser or network."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import vl_convert

INK, DIM, LINE, PAPER = "#1f2328", "#59636e", "#d8dee4", "#ffffff"
BETTER, WORSE = "#0b7a5b", "#b5421a"

COLOURS = ("#0b66b0", "#c8501e", "#0b8a68", "#a8508c", "#8a6a00", "#5b6470")
"""Told apart with every common colour blindness (after Okabe and Ito, 2008), and by `SHAPES`."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")

SHARE = ".0%"
WIDTH = 330
"""Width of a chart in pixels, without its axis: it has to fit a telephone."""

_TEXT = {"labelColor": DIM, "titleColor": DIM, "labelFontSize": 12, "titleFontSize": 12}

STYLE: dict[str, Any] = {
    "background": PAPER,
    "font": "system-ui, sans-serif",
    "padding": 4,
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 6,
        "gridColor": LINE,
        "domain": False,
        "ticks": False,
    },
    "legend": {
        **_TEXT,
        "title": None,
        "orient": "top",
        "direction": "vertical",
        "labelLimit": WIDTH,
        "symbolSize": 70,
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
        "offset": 8,
    },
    "title": {"color": INK, "fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 10},
}
"""Vega-Lite's configuration of every chart."""


def svg(chart: Any) -> str:
    """Return the chart as SVG."""
    return str(vl_convert.vegalite_to_svg(_spec(chart), vl_version=_VERSION))


def png(chart: Any) -> bytes:
    """Return the chart as PNG, at twice the resolution of a usual screen."""
    return bytes(vl_convert.vegalite_to_png(_spec(chart), vl_version=_VERSION, scale=2))


def _spec(chart: Any) -> str:
    # The style is put in here: altair would copy the whole chart for it, data and all.
    return json.dumps({**chart.to_dict(validate=False), "config": STYLE})


_VERSION = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
"""Version of Vega-Lite that altair writes, as vl-convert names it."""
