"""Charts of an audit: a dot and an interval for each group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from promptkit.auditing.audit_blocks import shown_metrics, title_of_groups
from promptkit.auditing.audit_parts import AuditParts
from promptkit.auditing.group_metrics import ERRORS, RATES, metric_of_groups
from promptkit.auditing.group_results import Group, GroupAudit, Grouping
from promptkit.auditing.swap_charts import swap_panels
from promptkit.evaluation import metric_text
from promptkit.report.charts.panels import Panel, interval_row, intervals
from promptkit.text import counted, visible
from promptkit.translation import tr

MOST = 16
"""Largest number of groups in one panel."""

NAME = 60
"""Largest number of characters of a name in a chart."""

PANELS = 4
"""Largest number of panels of a column of groups."""


def group_panels(found: GroupAudit, one: Grouping) -> list[Panel]:
    """Return a panel for each of the first metrics of the groups by a column.

    Args:
        found: All groups.
        one: The groups by the column.
    """
    known = shown_metrics(found)
    chosen = [name for name in known if name.removeprefix("macro_") in {*ERRORS, *RATES}]
    panels = [panel for name in chosen or known for panel in _panel(one, name)]
    return panels[:PANELS]


def _panel(one: Grouping, name: str) -> Iterator[Panel]:
    """Yield the panel of a metric, where two groups or more have it with an interval."""
    metric = metric_of_groups(name)
    rows = []
    for group in one.groups[:MOST]:
        figure = group.figures.get(name)
        if figure is None or figure.ci is None:
            continue
        write = partial(metric_text.within, metric, figure.ci)
        about = counted(figure.n, "query", "queries") + (tr(", small") if figure.small else "")
        unit = 100 if metric.is_share else 1
        rows.append(
            interval_row(
                visible(group.name, NAME),
                about,
                figure.value,
                figure.ci,
                write,
                _verdict(group, name),
                unit,
            )
        )
    if len(rows) < 2:
        return
    noun = metric.noun
    title = tr("{noun} in percent", noun=noun) if metric.is_share else noun
    said = "; ".join(f"{row['name']} ({row['context']}): {row['number']}" for row in rows)
    yield Panel(
        noun,
        intervals(rows, title),
        tr("{noun} by {by}. {said}.", noun=noun, by=visible(one.by, NAME), said=said),
    )


def _verdict(group: Group, name: str) -> str:
    """Return whether a group is significantly apart from the rest, as the chart's signs have it."""
    rest, metric = group.figures[name].rest, metric_of_groups(name)
    if rest is None or not rest.significant:
        return "not significant"
    if metric.larger_is_better is None:
        return ""
    return "better" if (rest.delta > 0) == metric.larger_is_better else "worse"


def panels_by_title(audit: AuditParts) -> dict[str, list[Panel]]:
    """Return the panels of an audit, by the title of the table that they belong to.

    Args:
        audit: The audit.
    """
    panels = {} if audit.swaps is None else swap_panels(audit.swaps)
    if (found := audit.groups) is not None:
        panels |= {title_of_groups(found, one): group_panels(found, one) for one in found.groupings}
    return panels
