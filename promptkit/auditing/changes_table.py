"""Tables of the changes of groups from another predictor."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from promptkit.auditing.group_changes import ColumnChanges, GroupChanges, change_text
from promptkit.auditing.group_metrics import metric_of_groups
from promptkit.evaluation import metric_text
from promptkit.report import conclusions
from promptkit.report.rich_tables import table, titled
from promptkit.text import file_name, visible
from promptkit.translation import mark, tr

SHOWN = 24
"""Number of differences that a terminal shows."""

_STYLES = {mark("amplified"): "red", mark("reduced"): "green", "kept": ""}


def changed(found: GroupChanges, width: int) -> Iterator[RenderableType]:
    """Yield the tables of each column's changes, and what they show in words.

    Args:
        found: The changes.
        width: Width in characters.
    """
    for one in found.columns:
        yield titled(
            tr("Against {against}, groups by {by}", against=file_name(found.against), by=one.by)
        )
        if one.groups:
            yield from _groups(one, width)
        if one.gaps:
            yield ""
            yield titled(
                tr(
                    "Gaps by {by}, of {against} and here",
                    by=one.by,
                    against=file_name(found.against),
                )
            )
            yield _gaps(one, width)
        yield from map(conclusions.item, one.sentences)
        yield ""


def _groups(one: ColumnChanges, width: int) -> Iterator[RenderableType]:
    heads = (one.by, tr("queries:"), tr("before:"), tr("after:"), tr("change:"))
    made = table("", *heads)
    room, last = max(width // 4, 12), ""
    for change in one.groups[:SHOWN]:
        metric = metric_of_groups(change.metric)
        low, high = change.difference.ends
        shown = metric_text.change(metric, change.difference.delta, low, high)
        made.add_row(
            Text(visible(metric.noun, room) if change.metric != last else ""),
            Text(visible(change.group, room)),
            f"{change.n:,}",
            metric_text.figure(metric, change.before),
            metric_text.figure(metric, change.after),
            Text(shown, "bold" if change.difference.significant else ""),
        )
        last = change.metric
    yield made
    if len(one.groups) > SHOWN:
        yield Text(tr("… and {count} more in audit.json", count=len(one.groups) - SHOWN), "dim")


def _gaps(one: ColumnChanges, width: int) -> RenderableType:
    made = table("", tr("before:"), tr("after:"), tr("change:"), "")
    for gap in one.gaps[:SHOWN]:
        metric = metric_of_groups(gap.metric)
        verdict = tr("no significant change") if gap.verdict == "kept" else tr(gap.verdict)
        made.add_row(
            Text(visible(metric.noun, max(width // 4, 12))),
            metric_text.bare_size(metric, gap.before),
            metric_text.bare_size(metric, gap.after),
            change_text(gap),
            Text(verdict, _STYLES[gap.verdict]),
        )
    return made
