"""What an audit is to look at, checked before any model runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptkit.auditing.audited_answers import Positive, Queries, positive_of, queries_of
from promptkit.auditing.group_columns import groups_by_column
from promptkit.auditing.groups import check_fairlearn
from promptkit.auditing.identity_terms import Terms, as_terms, queries_with
from promptkit.errors import TaskError
from promptkit.evaluation.slices import Levels
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr

BY_TERMS = "terms"
"""Name of the subgroups that terms make."""


@dataclass(frozen=True, eq=False)
class AuditPlan:
    """Queries of an audit, their groups and subgroups."""

    task: Task[Any, Any]
    queries: Queries
    positive: Positive | None
    """The positive output."""
    columns: Mapping[str, Levels]
    """Queries of each group by column."""
    subgroups: Mapping[str, Levels]
    """Queries of each subgroup whose scores are judged, by column or by terms."""
    four_fifths: bool
    swaps: bool
    """Whether the task's terms are swapped."""
    prompt_bias: bool
    """Whether the prompt's own lean is measured."""
    limit: int | None
    """Number of queries; None for all."""

    @property
    def compares(self) -> bool:
        """Return whether answers to the queries are compared with gold outputs."""
        return bool(self.columns or self.subgroups)


def audit_plan(
    task: Task[Any, Any],
    *,
    groups: Sequence[str] | str = (),
    intersections: bool = False,
    positive: str | float | None = None,
    four_fifths: bool = False,
    subgroups: str | None = None,
    terms: Terms | Sequence[str] | str | Path | None = None,
    rows: Iterable[Example[Any, Any]] | None = None,
    limit: int | None = None,
    swaps: bool = True,
    prompt_bias: bool = False,
) -> AuditPlan:
    """Return what an audit looks at; the arguments are those of `promptkit.audit`.

    Raises:
        PromptkitError: Something is wrong.
    """
    names = [groups] if isinstance(groups, str) else [*groups]
    chosen = positive_of(task, positive)
    swapped = swaps and bool(task.swaps.slots)
    compared = bool(names) or subgroups is not None or terms is not None
    if not (compared or swapped or prompt_bias or intersections or four_fifths):
        raise TaskError(
            tr(
                "nothing to audit: name columns of the tests in groups, terms for "
                "unintended bias, or terms to swap in task.toml ([audit.swap.NAME])"
            )
        )
    queries = queries_of(task, None if rows is None else [*rows], limit) if compared else ()
    columns = {}
    if names:
        check_fairlearn()
        columns = groups_by_column(task, queries, names, intersections=intersections)
    elif intersections or four_fifths:
        option = "intersections" if intersections else "four_fifths"
        raise TaskError(
            tr("{option}: of groups; name columns of the tests in groups", option=option)
        )
    scored: dict[str, Levels] = {}
    if subgroups is not None:
        scored |= groups_by_column(task, queries, [subgroups])
    if terms is not None:
        scored[BY_TERMS] = queries_with(queries, as_terms(terms))
    if scored and chosen is None:
        raise TaskError(
            tr(
                "positive: unintended bias is of the scores of one label; name one of: {labels}",
                labels=", ".join(task.labels),
            )
            if task.labels
            else tr("positive: unintended bias takes a number from which on outputs are positive")
        )
    return AuditPlan(
        task, queries, chosen, columns, scored, four_fifths, swapped, prompt_bias, limit
    )
