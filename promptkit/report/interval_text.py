"""Metrics of rows with their intervals as text, and what the intervals are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric, measured
from promptkit.inference.cell import levels_of
from promptkit.report.cell_names import Data, Key, aggregates
from promptkit.text import percent
from promptkit.translation import tr


def ends_of(values: Data, name: str = "ci") -> Sequence[float]:
    """Return an interval: for new draws of shots, or for these shots where there is one draw."""
    ends: Sequence[float] = values[name] or values[f"{name}_fixed"]
    return ends


def metric_of(data: Data) -> Metric:
    """Return the metric that a comparison looks at."""
    return measured(data["metric"])


def figure(metric: Metric, row: Data) -> str:
    """Return a metric of a row with its interval; `–` where it has none."""
    ends = row.get(f"{metric.name}_ci") or row.get(f"{metric.name}_ci_fixed")
    return metric_text.figure(metric, row.get(metric.name), ends)


def accuracy(row: Data) -> str:
    """Return the accuracy of a row with its interval."""
    return figure(ACCURACY, row)


def fixed(metric: Metric, row: Data) -> str:
    """Return the interval for the shots that were drawn; empty where none are."""
    return metric_text.bracket(metric, row.get(f"{metric.name}_ci_fixed")) if row["shots"] else ""


def range_of(metric: Metric, values: Sequence[float]) -> str:
    """Return the range of a metric over draws of shots; empty where no draw has it."""
    if not values:
        return ""
    low, high = metric_text.edges(metric, min(values), max(values))
    return low if low == high else f"{low}–{high}"


def failed(data: Data) -> dict[tuple[Key, int], str]:
    """Return the number of answers that are none, by cell and number of shots.

    Their share stands behind it where another metric than accuracy is chosen, which counts them as
    wrong.
    """
    metric, seeds = metric_of(data), Counter[tuple[Key, int]]()
    seeds.update((levels_of(row), row["shots"]) for row in data["rows"] if row["seed"] is not None)
    found = {}
    for row in aggregates(data):
        place, count = (levels_of(row), row["shots"]), row["failures"]
        share = percent(count / (row["n"] * max(seeds[place], 1)))
        found[place] = f"{count:,} ({share})" if count and metric != ACCURACY else str(count)
    return found


def has_draws(rows: Sequence[Data]) -> bool:
    """Return whether some rows have an interval for new draws and another one for these shots."""
    return any(row["accuracy_ci"] not in (None, row["accuracy_ci_fixed"]) for row in rows)


def brackets(data: Data, as_drawn: bool = True) -> str:
    """Return what the intervals are about; `as_drawn` if a column of that name is shown."""
    rows = aggregates(data)
    paired = tr("A change is paired over the same queries.")
    if any(row["accuracy_ci"] is None for row in rows):
        return tr(
            "Brackets are 95 % intervals for new queries and these shots: one draw "
            "says nothing about k shots in general. {paired}",
            paired=paired,
        )
    if not has_draws(rows):
        return tr("Brackets are 95 % intervals for new queries. {paired}", paired=paired)
    column = tr("; under “as drawn”, for new queries and just the shots that were drawn")
    return tr(
        "Brackets are 95 % intervals for new queries and new draws of shots{column}. {paired}",
        column=column if as_drawn else "",
        paired=paired,
    )
