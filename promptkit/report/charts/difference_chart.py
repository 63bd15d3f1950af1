"""Charts of paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
from promptkit.report import pair_names
from promptkit.report.cell_names import CellNames, Data, grouped
from promptkit.report.charts.panels import Panel, interval_row, intervals
from promptkit.report.interval_text import ends_of, metric_of
from promptkit.translation import tr

MAX_PAIRS = 16
"""Largest number of differences in one panel."""


def differences(data: Data) -> list[Panel]:
    """Return panels of paired differences with their intervals, one per factor."""
    names = CellNames(data["rows"])
    by_factor = grouped(data["pairs"], pair_names.factor_of)
    metric = metric_of(data)
    return [_forest(factor, pairs, names, metric) for factor, pairs in by_factor.items()]


def _forest(factor: str, pairs: Sequence[Data], names: CellNames, metric: Metric) -> Panel:
    largest = sorted(pairs, key=lambda pair: -abs(pair["delta"]))[:MAX_PAIRS]
    shown = [pair for pair in pairs if pair in largest]
    rows = [
        interval_row(
            *pair_names.compared(pair, names),
            pair["delta"],
            ends_of(pair),
            partial(metric_text.signed_end, metric, ends_of(pair)),
            pair_names.verdict(pair, metric),
            100 if metric.is_share else 1,
        )
        for pair in shown
    ]
    title = tr("More shots") if factor == "shots" else factor.capitalize()
    title += (
        tr(", the {count} largest of {all}", count=len(shown), all=len(pairs))
        if len(shown) < len(pairs)
        else ""
    )
    points = " points" if metric.is_share else f" {metric.noun}"
    said = "; ".join(f"{v['name']} {v['context']}: {v['number']}{points}" for v in rows)
    chart = intervals(rows, metric_text.unit(metric), signs="+d" if metric.is_share else "+~g")
    return Panel(title, chart, tr("Paired differences. {said}.", said=said))
