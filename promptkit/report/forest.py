"""Paired differences with their intervals, one below another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from promptkit.report import pairs as paired
from promptkit.report.draw import BETTER, DIM, INK, WIDTH, WORSE
from promptkit.report.grid import Data, Names
from promptkit.report.marks import Chart, Panel, inline
from promptkit.report.terminal import signed

MAX_PAIRS = 16
"""How many differences stand in one panel."""


def differences(data: Data) -> list[Panel]:
    """Paired differences with their intervals, a panel for shots and for every other factor."""
    kinds: dict[str, list[Data]] = {}
    for pair in data["pairs"]:
        kinds.setdefault(paired.kind(pair), []).append(pair)
    names = Names(data["rows"])
    return [_forest(kind, pairs, names) for kind, pairs in kinds.items()]


def _forest(kind: str, pairs: Sequence[Data], names: Names) -> Panel:
    largest = sorted(pairs, key=lambda pair: -abs(pair["delta"]))[:MAX_PAIRS]
    shown = [pair for pair in pairs if pair in largest]
    values = [_values(row, pair, names) for row, pair in enumerate(shown)]
    title = "More shots" if kind == "shots" else kind.capitalize()
    title += f", the {len(shown)} largest of {len(pairs)}" if len(shown) < len(pairs) else ""
    said = "; ".join(f"{v['name']} {v['context']}: {v['number']} points" for v in values)
    return Panel(title, _chart(values), f"Paired differences. {said}.")


def _values(row: int, pair: Data, names: Names) -> dict[str, Any]:
    name, context = paired.compared(pair, names)
    return {
        "row": row,
        "name": name,
        "context": context,
        "delta": 100 * pair["delta"],
        "low": 100 * pair["ci"][0],
        "high": 100 * pair["ci"][1],
        "verdict": paired.verdict(pair),
        "number": f"{signed(pair['delta'])} [{', '.join(map(signed, pair['ci']))}]",
    }


def _chart(values: Sequence[Data]) -> Chart:
    """An interval per row; above it what is compared, and below that what both have in common."""
    two_lines = any(value["context"] for value in values)
    above, below = (-15, 14) if two_lines else (-8, 8)
    verdicts = [*paired.VERDICTS]
    colours = alt.Scale(domain=verdicts, range=[BETTER, WORSE, DIM])
    signs = alt.Scale(domain=verdicts, range=["triangle-right", "triangle-left", "circle"])
    base = alt.Chart().encode(
        y=alt.Y("row:O", axis=None), color=alt.Color("verdict:N", scale=colours, legend=None)
    )
    ticks = "datum.value ? format(datum.value, '+d') : '0'"
    axis = alt.Axis(labelExpr=ticks, tickCount=6, grid=False)
    x = alt.X("delta:Q", title="points of accuracy", axis=axis)
    zero = alt.Chart(inline([{"zero": 0}])).mark_rule(color=DIM, opacity=0.4).encode(x="zero:Q")
    name = base.mark_text(align="left", yOffset=above, fontSize=12, limit=WIDTH - 104)
    context = base.mark_text(align="left", fontSize=11, limit=WIDTH)
    number = base.mark_text(align="right", yOffset=above, fontSize=12)
    layers = [
        zero,
        base.mark_rule(strokeWidth=2, yOffset=below).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1, yOffset=below).encode(
            x=x, shape=alt.Shape("verdict:N", scale=signs, legend=None)
        ),
        name.encode(x=alt.value(0), text="name:N", color=alt.value(INK)),
        number.encode(x=alt.value(WIDTH), text="number:N"),
    ]
    if two_lines:
        layers.append(context.encode(x=alt.value(0), text="context:N", color=alt.value(DIM)))
    height = alt.Step(56 if two_lines else 40)
    return alt.layer(*layers, data=inline(values)).properties(width=WIDTH, height=height)
