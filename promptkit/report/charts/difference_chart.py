"""Charts of paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promptkit.report import pair_names
from promptkit.report.cell_names import CellNames, Data
from promptkit.report.charts.panels import Panel, intervals
from promptkit.report.interval_text import ends_of
from promptkit.text import signed

MAX_PAIRS = 16
"""Largest number of differences in one panel."""


def differences(data: Data) -> list[Panel]:
    """Return panels of paired differences with their intervals, one per factor."""
    by_factor: dict[str, list[Data]] = {}
    for pair in data["pairs"]:
        by_factor.setdefault(pair_names.factor_of(pair), []).append(pair)
    names = CellNames(data["rows"])
    return [_forest(factor, pairs, names) for factor, pairs in by_factor.items()]


def _forest(factor: str, pairs: Sequence[Data], names: CellNames) -> Panel:
    largest = sorted(pairs, key=lambda pair: -abs(pair["delta"]))[:MAX_PAIRS]
    shown = [pair for pair in pairs if pair in largest]
    values = [_values(row, pair, names) for row, pair in enumerate(shown)]
    title = "More shots" if factor == "shots" else factor.capitalize()
    title += f", the {len(shown)} largest of {len(pairs)}" if len(shown) < len(pairs) else ""
    said = "; ".join(f"{v['name']} {v['context']}: {v['number']} points" for v in values)
    return Panel(
        title, intervals(values, "points of accuracy", signs=True), f"Paired differences. {said}."
    )


def _values(row: int, pair: Data, names: CellNames) -> dict[str, Any]:
    name, context = pair_names.compared(pair, names)
    low, high = ends_of(pair)
    return {
        "row": row,
        "name": name,
        "context": context,
        "at": 100 * pair["delta"],
        "low": 100 * low,
        "high": 100 * high,
        "verdict": pair_names.verdict(pair),
        "number": f"{signed(pair['delta'])} [{signed(low)}, {signed(high)}]",
    }
