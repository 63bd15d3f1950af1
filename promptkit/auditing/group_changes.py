"""What one predictor kept, lost or amplified of another one's treatment of groups.

A student and its teacher, or an adapter and its base, answer the same queries: per group their
metrics are paired differences, and the gap between groups is compared by a bootstrap over the
queries of each group, the same ones for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from promptkit.auditing.audited_answers import AuditedAnswers
from promptkit.auditing.group_metrics import CALIBRATION_ERROR, metric_of_groups, metrics_of_groups
from promptkit.auditing.groups import ranked
from promptkit.evaluation import metric_text
from promptkit.evaluation.intervals import holm
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Losses, Outcomes
from promptkit.evaluation.results import Ends, SliceDifference
from promptkit.evaluation.slices import Levels
from promptkit.evaluation.targets import Differences
from promptkit.text import capital, p_value, quoted
from promptkit.translation import tr

RESAMPLES = 1999

Change = Literal["amplified", "reduced", "kept"]
"""Change of a gap, by its interval: larger, smaller, or no significant change."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A metric of one group, of both predictors."""

    group: str
    metric: str
    """Name of the metric."""
    n: int
    """Number of queries that have it in both."""
    before: float
    """Value of the other predictor."""
    after: float
    """Value of the audited one, over the same queries."""
    difference: SliceDifference
    """Paired difference, adjusted for all groups and metrics of the column."""


@dataclass(frozen=True, slots=True)
class GapChange:
    """Gap between groups, of both predictors."""

    metric: str
    before: float
    after: float
    ci: Ends
    """95 % of the gap after less the gap before, by the bootstrap."""
    verdict: Change


@dataclass(frozen=True, slots=True)
class ColumnChanges:
    """Changes of the groups by one column."""

    by: str
    groups: tuple[GroupChange, ...]
    """Groups that are not small, by metric."""
    gaps: tuple[GapChange, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """Changes of groups from another predictor, such as a teacher or a base model."""

    against: str
    """Name of the other predictor."""
    columns: tuple[ColumnChanges, ...]


def group_changes_of(
    answers: AuditedAnswers, before: AuditedAnswers, columns: Mapping[str, Levels]
) -> GroupChanges:
    """Return the changes of groups from another predictor.

    Args:
        answers: The answers that are audited.
        before: Those of the other predictor, to the same queries with as many seeds.
        columns: The queries of each group by column (`groups_by_column`).
    """
    theirs = {metric.name for metric in metrics_of_groups(before)}
    metrics = [
        metric
        for metric in metrics_of_groups(answers)
        if metric.name in theirs and metric.name != CALIBRATION_ERROR
    ]
    a, b = before.outcomes, answers.outcomes
    found = [_column(name, levels, metrics, a, b) for name, levels in columns.items()]
    return GroupChanges(before.name, tuple(found))


def _column(
    name: str, levels: Levels, metrics: Sequence[Metric], a: Outcomes, b: Outcomes
) -> ColumnChanges:
    found: list[tuple[str, Metric, int, float, float, Differences]] = []
    gaps = []
    for metric in metrics:
        parts = ranked(metric, {level: b.of(ids) for level, ids in levels.items()})
        pairs: dict[str, tuple[Losses, Losses]] = {}
        for level, after in parts.items():
            before = a.of(levels[level])
            both = metric.paired(before, after)
            difference = metric.difference(before, after)
            if both is None or difference is None:
                continue
            if not math.isfinite(difference.these.ci.high - difference.these.ci.low):
                continue
            pairs[level] = both
            old, new = (float(table.mean()) for table in both)
            found.append((level, metric, len(both[0]), old, new, difference))
        if len(pairs) > 1:
            gaps.append(_gap_change(metric, [*pairs.values()]))
    corrected = holm([each[-1].decisive.p for each in found]).tolist()
    changes = tuple(
        GroupChange(level, metric.name, n, old, new, _difference(both, p))
        for (level, metric, n, old, new, both), p in zip(found, corrected, strict=True)
    )
    return ColumnChanges(name, changes, tuple(gaps), tuple(_sentences(name, changes, gaps)))


def _difference(both: Differences, p_holm: float) -> SliceDifference:
    general = None if both.general is None else (both.general.ci.low, both.general.ci.high)
    these = both.these.ci.low, both.these.ci.high
    return SliceDifference(both.decisive.delta, general, these, both.decisive.p, p_holm)


def _gap_change(metric: Metric, pairs: Sequence[tuple[Losses, Losses]]) -> GapChange:
    """Return the change of a gap, given the shares of both predictors in each group."""
    rng = np.random.default_rng(0)
    means, drawn = [], []
    for before, after in pairs:
        values = np.stack([before.mean(axis=1), after.mean(axis=1)], axis=1)
        n = len(values)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
        means.append(values.mean(axis=0))
        drawn.append(counts @ values / n)
    before_gap, after_gap = np.ptp(np.array(means), axis=0).tolist()
    gaps = np.ptp(np.array(drawn), axis=0)
    low, high = np.quantile(gaps[:, 1] - gaps[:, 0], [0.025, 0.975]).tolist()
    change = after_gap - before_gap
    low, high = min(low, change), max(high, change)
    verdict: Change = "amplified" if low > 0 else "reduced" if high < 0 else "kept"
    return GapChange(metric.name, before_gap, after_gap, (low, high), verdict)


def change_text(change: GapChange) -> str:
    """Return a change of a gap with its interval: `+4 [-2, +9]`."""
    metric = metric_of_groups(change.metric)
    return metric_text.change(metric, change.after - change.before, *change.ci)


def _sentences(by: str, changes: Sequence[GroupChange], gaps: Sequence[GapChange]) -> Iterator[str]:
    """Yield the gaps that changed and the groups that gained or lost, in words."""
    for gap in gaps:
        if gap.verdict != "kept":
            metric = metric_of_groups(gap.metric)
            old, new = (metric_text.bare_size(metric, value) for value in (gap.before, gap.after))
            unit = tr(" points") if metric.is_share else ""
            yield tr(
                "The gap of {noun} by {by} is {verdict}: {old} → {new}{unit}, a change of "
                "{change}.",
                noun=metric.noun,
                by=by,
                verdict=tr(gap.verdict),
                old=old,
                new=new,
                unit=unit,
                change=change_text(gap),
            )
    if gaps and all(gap.verdict == "kept" for gap in gaps):
        yield tr("No gap by {by} changed significantly.", by=by)
    apart = [change for change in changes if change.difference.significant]
    for change in apart:
        metric = metric_of_groups(change.metric)
        low, high = change.difference.ends
        shown = metric_text.change(metric, change.difference.delta, low, high)
        yield tr(
            "{metric} of {group}: {shown}, significant (Holm-adjusted {p}).",
            metric=capital(metric.noun),
            group=quoted(change.group),
            shown=shown,
            p=p_value(change.difference.p_holm),
        )
    if changes and not apart:
        yield tr("No metric of a group by {by} differs significantly between the two.", by=by)
    if not changes:
        yield tr("Every group by {by} is too small to compare.", by=by)
