"""Tables of groups and of the gaps between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from promptkit.auditing.group_metrics import RATES, metric_of_groups
from promptkit.auditing.group_results import Group, GroupAudit, Grouping
from promptkit.auditing.group_sentences import group_name, positive_name, ratio_of, size_of
from promptkit.evaluation import metric_text
from promptkit.evaluation.slices import SMALL
from promptkit.report import conclusions
from promptkit.report.rich_tables import table, titled
from promptkit.text import p_value, visible
from promptkit.translation import tr

SHOWN = 12
"""Number of groups, and of gaps, that a terminal shows."""

COLUMNS = 5
"""Number of metrics that are columns of a table."""


def grouped(found: GroupAudit, width: int) -> Iterator[RenderableType]:
    """Yield the tables of each column's groups and gaps, and what they show in words.

    Args:
        found: The groups.
        width: Width in characters.
    """
    positive = positive_name(found.positive)
    of = "" if positive is None else tr(", positive: {positive}", positive=positive)
    for one in found.groupings:
        yield titled(tr("Groups by {by}{of}", by=one.by, of=of))
        yield from _groups(one, found.overall, width)
        if one.gaps:
            yield ""
            yield titled(tr("Gaps by {by}, the highest group less the lowest", by=one.by))
            yield from _gaps(one, width)
        yield from map(conclusions.item, one.sentences)
        yield ""


def _groups(one: Grouping, overall: Group, width: int) -> Iterator[RenderableType]:
    names = [name for name in overall.figures if "." not in name][: COLUMNS if width >= 100 else 4]
    made = table(one.by, tr("queries:"), *(f"{_short(name)}:" for name in names))
    room = max(width // 5, 12)
    for group in one.groups[:SHOWN]:
        _row(made, group.name, group, names, room)
    made.add_section()
    _row(made, group_name(overall, overall), overall, names, room)
    yield made
    if len(one.groups) > SHOWN:
        yield Text(tr("… and {count} more in audit.json", count=len(one.groups) - SHOWN), "dim")
    shown = [
        group.figures.get(name) for group in one.groups[:SHOWN] if not group.small for name in names
    ]
    if any(figure is not None and figure.small for figure in shown):
        yield Text(
            tr(
                "* of fewer than {least} queries that the rate is about: not ranked by it",
                least=SMALL,
            ),
            "dim",
        )


def _row(made: Any, name: str, group: Group, metrics: Sequence[str], room: int) -> None:
    style = "dim" if group.small else ""
    cells = []
    for each in metrics:
        figure, metric = group.figures.get(each), metric_of_groups(each)
        if figure is None:
            cells.append(Text("–", style))
            continue
        mark = " *" if figure.small and not group.small else ""
        shown = metric_text.figure(metric, figure.value, figure.ci)
        cells.append(Text(f"{shown}{mark}", "dim" if figure.small else style))
    size = f"{group.n:,}" + (tr(" (small)") if group.small else "")
    made.add_row(Text(visible(name, room), style), Text(size, style), *cells)


def _gaps(one: Grouping, width: int) -> Iterator[RenderableType]:
    heads = (tr("gap:"), tr("ratio:"), tr("highest"), tr("lowest"), tr("p, adjusted:"))
    made = table("", *heads)
    room = max(width // 7, 10)
    for gap in one.gaps[:SHOWN]:
        metric = metric_of_groups(gap.metric)
        made.add_row(
            Text(visible(metric.noun, 2 * room)),
            Text(size_of(metric, gap), "red" if gap.significant else ""),
            ratio_of(gap),
            Text(visible(gap.highest, room)),
            Text(visible(gap.lowest, room)),
            ""
            if gap.p_holm is None
            else p_value(gap.p_holm).removeprefix("p = ").removeprefix("p "),
        )
    yield made
    if len(one.gaps) > SHOWN:
        yield Text(tr("… and {count} more in audit.json", count=len(one.gaps) - SHOWN), "dim")


def _short(name: str) -> str:
    """Return a metric as a column calls it."""
    rate = name.removeprefix("macro_")
    if rate in RATES:
        short = {"selection_rate": tr("selected"), "false_positive_rate": tr("FPR")}
        return short.get(rate, tr("FNR"))
    return metric_of_groups(name).noun
