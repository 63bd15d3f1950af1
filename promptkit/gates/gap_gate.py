"""Gates on gaps: how far groups of the tests may be apart in a metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptkit.auditing.audited_answers import AuditedAnswers, Positive, positive_of
from promptkit.auditing.group_columns import groups_by_column
from promptkit.auditing.group_gaps import gap_of
from promptkit.auditing.group_metrics import ERRORS, metrics_of_groups
from promptkit.auditing.group_results import Gap
from promptkit.auditing.group_sentences import size_of
from promptkit.auditing.groups import ranked
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.slices import SMALL, Levels
from promptkit.gates.gate import Gate, Sides
from promptkit.gates.gate_text import margin_text
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import did_you_mean, quoted
from promptkit.translation import tr


@dataclass(frozen=True)
class GapBounds:
    """Upper bounds on the gaps between groups.

    Raises:
        TaskError: No groups are named, or a bound is no number of 0 or more.
    """

    most: float | Mapping[str, float]
    """Bound on the gaps of accuracy, false-positive and false-negative rate; or bounds by metric of
    groups, such as `selection_rate`."""
    groups: Sequence[str] = ()
    """Columns of the tests that name groups."""
    positive: str | float | None = None
    """Label that the rates are about; as for `promptkit.audit`."""
    by_metric: Mapping[str, float] = field(init=False, repr=False)
    """Bounds by metric."""

    def __post_init__(self) -> None:
        most = self.most
        bounds = most if isinstance(most, Mapping) else dict.fromkeys(ERRORS, most)
        for name, value in bounds.items():
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            if not numeric or not 0 <= value < math.inf:
                raise TaskError(
                    tr(
                        "max_gap {name}: {value} is not a number of 0 or more",
                        name=name,
                        value=shorten(value),
                    )
                )
        if not self.groups:
            raise TaskError(
                tr("max_gap: name the columns of the tests that name groups, in groups")
            )
        object.__setattr__(self, "by_metric", bounds)

    def checked(self, task: Task[Any, Any], queries: Sequence[Example[Any, Any]]) -> GroupsChecked:
        """Return the groups of the queries. Raises `TaskError` where something does not fit."""
        return GroupsChecked(
            self,
            positive_of(task, self.positive),
            groups_by_column(task, queries, self.groups),
        )


@dataclass(frozen=True)
class GroupsChecked:
    """Groups whose gaps are bounded."""

    bounds: GapBounds
    positive: Positive | None
    columns: Mapping[str, Levels]

    def of(self, answers: AuditedAnswers) -> GroupGates:
        """Return the gates on the answers of a cell.

        Raises:
            TaskError: A metric that is named is none of these answers.
        """
        known = {metric.name: metric for metric in metrics_of_groups(answers)}
        found = []
        for name, bound in self.bounds.by_metric.items():
            own = name if name in known else f"macro_{name}"
            if own in known:
                found.append((known[own], bound))
            elif isinstance(self.bounds.most, Mapping):
                hint = did_you_mean(name, known, lead="; ")
                raise TaskError(
                    tr(
                        "max_gap {name}: these answers have no such metric of groups; choose one "
                        "of: {known}{hint}",
                        name=shorten(name),
                        known=", ".join(known),
                        hint=hint,
                    )
                )
        if not found:
            raise TaskError(
                tr(
                    "max_gap: these answers have other metrics; name one, such as {next}=0.05",
                    next=next(iter(known)),
                )
            )
        return GroupGates(answers, self.columns, found)


@dataclass(frozen=True)
class GroupGates:
    """Gates on the gaps between groups in one cell."""

    answers: AuditedAnswers
    columns: Mapping[str, Levels]
    metrics: Sequence[tuple[Metric, float]]
    """Metrics with the bounds on their gaps."""

    @property
    def count(self) -> int:
        """Number of gates."""
        return len(self.columns) * len(self.metrics)

    def gates(self, *, level: float, strict: bool) -> Iterator[Gate]:
        """Yield a gate for each column and metric.

        Args:
            level: The confidence level of the intervals that decide.
            strict: Pass only if the whole interval is on the right side.
        """
        for column, levels in self.columns.items():
            parts = {name: self.answers.outcomes.of(ids) for name, ids in levels.items()}
            for metric, bound in self.metrics:
                gap = gap_of(metric, ranked(metric, parts), level=level)
                yield _gate(self.answers, column, metric, bound, gap, level, strict)


def _gate(
    answers: AuditedAnswers,
    column: str,
    metric: Metric,
    bound: float,
    gap: Gap | None,
    level: float,
    strict: bool,
) -> Gate:
    one = answers.outcomes
    limit = margin_text(metric, bound)
    most = metric.most - metric.least
    if gap is None or gap.ci is None:
        estimate, ends = 0.0 if gap is None else gap.value, (0.0, most)
        reason = tr(
            "fewer than two groups have {SMALL} queries that it is about: not decided", SMALL=SMALL
        )
        passed = not strict
    else:
        estimate, ends = gap.value, gap.ci
        sides = Sides(bound - gap.value, bound - ends[1], bound - ends[0])
        passed = sides.passes(strict)
        verdict = sides.verdict(tr("above {limit}", limit=limit), strict)
        reason = tr(
            "{size_of} between {highest} and {lowest}, of {size}{verdict}",
            size_of=size_of(metric, gap),
            highest=quoted(gap.highest),
            lowest=quoted(gap.lowest),
            size=one.size,
            verdict=verdict,
        )
    return Gate(
        name=tr(
            "gap of {noun} by {column} at most {limit}",
            noun=metric.noun,
            column=column,
            limit=limit,
        ),
        cell=one.cell,
        passed=passed,
        reason=reason,
        metric=f"gap.{metric.name}",
        estimate=estimate,
        ci=ends,
        level=level,
        bound=bound,
        queries=one.correct.shape[0],
        seeds=one.correct.shape[1],
    )
