"""An audit as titled tables of text, which the page and the card show alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptkit.auditing.audit_block import AuditBlock
from promptkit.auditing.audit_parts import AuditParts
from promptkit.auditing.bias_table import area_text
from promptkit.auditing.bias_table import sentences as bias_sentences
from promptkit.auditing.group_changes import ColumnChanges, GroupChanges
from promptkit.auditing.group_metrics import metric_of_groups
from promptkit.auditing.group_results import Group, GroupAudit, Grouping
from promptkit.auditing.group_sentences import group_name, positive_name, ratio_of, size_of
from promptkit.auditing.prompt_bias_blocks import prompt_bias_blocks
from promptkit.auditing.swap_blocks import swap_blocks
from promptkit.auditing.unintended_bias import KINDS, UnintendedBias
from promptkit.evaluation import metric_text
from promptkit.text import file_name, p_value
from promptkit.translation import tr

COLUMNS = 6
"""Number of metrics that are columns of a table."""


def audit_blocks(audit: AuditParts) -> Iterator[AuditBlock]:
    """Yield the tables of an audit, in the order of its parts.

    Args:
        audit: The audit.
    """
    if audit.groups is not None:
        yield from _of_groups(audit.groups)
    yield from map(_of_bias, audit.unintended)
    if audit.changes is not None:
        yield from _of_changes(audit.changes)
    if audit.swaps is not None:
        yield from swap_blocks(audit.swaps)
    if audit.prompt is not None:
        yield from prompt_bias_blocks(audit.prompt)


def _of_groups(found: GroupAudit) -> Iterator[AuditBlock]:
    for one in found.groupings:
        names = shown_metrics(found)[:COLUMNS]
        nouns = (metric_of_groups(name).noun for name in names)
        heads = (one.by, tr("queries:"), *(f"{noun}:" for noun in nouns))
        rows = [_group(group, names, found.overall) for group in (*one.groups, found.overall)]
        yield AuditBlock(title_of_groups(found, one), one.sentences, heads, tuple(rows))
        if one.gaps:
            yield _of_gaps(one)


def shown_metrics(found: GroupAudit) -> list[str]:
    """Return the metrics of groups that are no rates of single labels."""
    return [name for name in found.overall.figures if "." not in name]


def _group(group: Group, names: Sequence[str], overall: Group) -> tuple[str, ...]:
    cells = []
    for name in names:
        figure = group.figures.get(name)
        text = "–"
        if figure is not None:
            text = metric_text.figure(metric_of_groups(name), figure.value, figure.ci)
            text += tr(" (small)") if figure.small and not group.small else ""
        cells.append(text)
    size = f"{group.n:,}" + (tr(" (small)") if group.small else "")
    return (group_name(group, overall), size, *cells)


def _of_gaps(one: Grouping) -> AuditBlock:
    rows = []
    for gap in one.gaps:
        metric = metric_of_groups(gap.metric)
        p = "" if gap.p_holm is None else p_value(gap.p_holm).removeprefix("p ").removeprefix("= ")
        noun, size = metric.noun, size_of(metric, gap)
        rows.append((noun, size, ratio_of(gap), gap.highest, gap.lowest, p))
    names = (tr("metric"), tr("gap:"), tr("ratio:"), tr("highest"), tr("lowest"))
    heads = (*names, tr("p, corrected:"))
    return AuditBlock(tr("Gaps by {by}", by=one.by), (), heads, tuple(rows))


def title_of_groups(found: GroupAudit, one: Grouping) -> str:
    """Return the title of the groups by a column."""
    positive = positive_name(found.positive)
    of = "" if positive is None else tr(", positive: {positive}", positive=positive)
    return tr("Groups by {by}{of}", by=one.by, of=of)


def _of_bias(found: UnintendedBias) -> AuditBlock:
    rows = [
        (
            one.name + (tr(" (small)") if one.small else ""),
            f"{one.n:,}",
            f"{one.positives:,}",
            *(area_text(getattr(one, kind)) for kind in KINDS),
        )
        for one in found.subgroups
    ]
    means = (found.subgroup_mean, found.bpsn_mean, found.bnsp_mean)
    rows.append(
        (tr("generalised mean, p = {power:g}", power=found.power), "", "", *map(area_text, means))
    )
    heads = (
        found.by,
        tr("queries:"),
        tr("positive:"),
        tr("subgroup AUC:"),
        tr("BPSN AUC:"),
        tr("BNSP AUC:"),
    )
    title = tr(
        "Unintended bias by {by}, scores of {positive}",
        by=found.by,
        positive=positive_name(found.positive),
    )
    return AuditBlock(title, tuple(bias_sentences(found)), heads, tuple(rows))


def _of_changes(found: GroupChanges) -> Iterator[AuditBlock]:
    other = file_name(found.against)
    for one in found.columns:
        rows = []
        for change in one.groups:
            metric, ends = metric_of_groups(change.metric), change.difference.ends
            figures = (metric_text.figure(metric, each) for each in (change.before, change.after))
            said = metric_text.change(metric, change.difference.delta, *ends)
            rows.append((metric.noun, change.group, f"{change.n:,}", *figures, said))
        heads = (tr("metric"), one.by, tr("queries:"), tr("before:"), tr("after:"), tr("change:"))
        title = tr("Against {other}, groups by {by}", other=other, by=one.by)
        yield AuditBlock(title, one.sentences, heads, tuple(rows))
        if one.gaps:
            yield _of_gap_changes(one, other)


def _of_gap_changes(one: ColumnChanges, other: str) -> AuditBlock:
    rows = []
    for gap in one.gaps:
        metric = metric_of_groups(gap.metric)
        figures = (metric_text.figure(metric, each) for each in (gap.before, gap.after))
        said = metric_text.change(metric, gap.after - gap.before, *gap.ci)
        verdict = tr("no significant change") if gap.verdict == "kept" else tr(gap.verdict)
        rows.append((metric.noun, *figures, said, verdict))
    heads = (tr("metric"), tr("before:"), tr("after:"), tr("change:"), tr("verdict"))
    return AuditBlock(
        tr("Gaps by {by}, of {other} and here", by=one.by, other=other), (), heads, tuple(rows)
    )
