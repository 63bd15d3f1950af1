"""Numbers, metrics and queries as the lines of gates show them."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.evaluation.intervals import Interval
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Outcomes
from promptkit.inference.cell import FACTORS, Cell
from promptkit.text import places, plain, visible
from promptkit.translation import tr, trn

MAX_ITEMS = 5
"""Number of queries that a message names."""


def common_queries(now: Outcomes, before: Outcomes, common: Sequence[str]) -> str:
    """Return the number of queries that both runs have, and of all of each where they differ."""
    counts = tr(" ({now:,} now, {then:,} then)", now=len(now.queries), then=len(before.queries))
    same = len(common) == len(now.queries) == len(before.queries)
    return tr("{count:,} common queries{sizes}", count=len(common), sizes="" if same else counts)


def other_levels(now: Cell, before: Cell) -> str:
    """Return the levels of the saved cell that differ."""
    levels = ((name, getattr(before, name), getattr(now, name)) for name in FACTORS)
    then = [f"{name} {old}" for name, old, new in levels if old != new]
    return tr(" (then {then})", then=", ".join(then)) if then else ""


def changed_items(broke: Sequence[str], mended: Sequence[str]) -> str:
    """Return the queries that only one of two runs answers right."""
    text = ""
    for what, ids in ((tr("broke"), broke), (tr("mended"), mended)):
        if ids:
            shown = ", ".join(visible(id, 40) for id in ids[:MAX_ITEMS])
            more = (
                tr(" and {count} more", count=len(ids) - MAX_ITEMS) if len(ids) > MAX_ITEMS else ""
            )
            text += f"; {what} {shown}{more}"
    return text


def metric_name(metric: Metric) -> str:
    """Return the name of a metric in a line."""
    return tr(metric.name.replace("_", " "))


def bound_text(metric: Metric, value: float) -> str:
    """Return a bound of a metric: `50 %`, `1.2`."""
    return f"{100 * value:g} %" if metric.is_share else f"{value:g}"


def margin_text(metric: Metric, margin: float) -> str:
    """Return a difference that is allowed: `2 points`, `0.1`."""
    if not metric.is_share:
        return f"{margin:g}"
    shown = f"{100 * margin:g}"
    return trn("{shown} point", "{shown} points", 1 if shown == "1" else 2, shown=shown)


def estimate_text(metric: Metric, estimate: float, interval: Interval) -> str:
    """Return an estimate with its interval: `41.3 % [31.0, 52.4]`."""
    low, high = interval.low, interval.high
    if metric.is_share:
        return f"{100 * estimate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    digits = min(max(places(high - low), 3), 6)
    one, *ends = (plain(value, digits) for value in (estimate, low, high))
    return f"{one} [{', '.join(ends)}]"
