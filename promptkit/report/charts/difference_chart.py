"""Paired differences with their intervals, one below another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promptkit.report import pair_names as paired
from promptkit.report.cell_names import Data, Names
from promptkit.report.charts.panels import Panel, intervals
from promptkit.report.terminal import ends_of
from promptkit.text import signed

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
    return Panel(
        title, intervals(values, "points of accuracy", signs=True), f"Paired differences. {said}."
    )


def _values(row: int, pair: Data, names: Names) -> dict[str, Any]:
    name, context = paired.compared(pair, names)
    low, high = ends_of(pair)
    return {
        "row": row,
        "name": name,
        "context": context,
        "at": 100 * pair["delta"],
        "low": 100 * low,
        "high": 100 * high,
        "verdict": paired.verdict(pair),
        "number": f"{signed(pair['delta'])} [{signed(low)}, {signed(high)}]",
    }
