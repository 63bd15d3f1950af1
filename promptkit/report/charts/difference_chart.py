"""Charts of paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.report import pair_names
from promptkit.report.cell_names import CellNames, Data, grouped
from promptkit.report.charts.panels import Panel, interval_row, intervals
from promptkit.report.interval_text import ends_of
from promptkit.text import signed

MAX_PAIRS = 16
"""Largest number of differences in one panel."""


def differences(data: Data) -> list[Panel]:
    """Return panels of paired differences with their intervals, one per factor."""
    names = CellNames(data["rows"])
    by_factor = grouped(data["pairs"], pair_names.factor_of)
    return [_forest(factor, pairs, names) for factor, pairs in by_factor.items()]


def _forest(factor: str, pairs: Sequence[Data], names: CellNames) -> Panel:
    largest = sorted(pairs, key=lambda pair: -abs(pair["delta"]))[:MAX_PAIRS]
    shown = [pair for pair in pairs if pair in largest]
    rows = [
        interval_row(
            *pair_names.compared(pair, names),
            pair["delta"],
            ends_of(pair),
            signed,
            pair_names.verdict(pair),
        )
        for pair in shown
    ]
    title = "More shots" if factor == "shots" else factor.capitalize()
    title += f", the {len(shown)} largest of {len(pairs)}" if len(shown) < len(pairs) else ""
    said = "; ".join(f"{v['name']} {v['context']}: {v['number']} points" for v in rows)
    chart = intervals(rows, "points of accuracy", signs=True)
    return Panel(title, chart, f"Paired differences. {said}.")
