"""Cells and queries that two runs have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptkit.errors import DataError, Problem, shorten
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.metric_bias import selection_bias
from promptkit.evaluation.outcomes import Outcomes
from promptkit.inference.cell import FACTORS, Cell, describe
from promptkit.inference.cell import distinct as distinct_cells
from promptkit.tasks.examples import canonical
from promptkit.translation import tr


def chosen_for(
    every: Sequence[Outcomes], one: Outcomes, ids: Sequence[str], metric: Metric = ACCURACY
) -> tuple[int, float]:
    """Return among how many cells of a run one was the best, and its selection bias.

    Args:
        every: The outcomes of all cells of the run.
        one: One of them.
        ids: The queries that it is judged by.
        metric: What it is judged by.

    Returns:
        The number of distinct cells and the selection bias of the metric
        (`promptkit.evaluation.metric_bias`); 1 and 0 for a cell that was not the best.
    """
    distinct = {*distinct_cells([other.cell for other in every])}
    cells = [other.of(ids) for other in every if other.cell in distinct]
    values = [value for cell in cells if (value := metric.value(cell)) is not None]
    own = metric.value(one.of(ids))
    if own is None or metric.sign * own < max(metric.sign * value for value in values):
        return 1, 0.0
    bias = selection_bias(cells, metric)
    return (1, 0.0) if bias is None else (len(cells), bias)


def shared(
    now: Mapping[str, tuple[Any, Any]], before: Mapping[str, tuple[Any, Any]], than: str
) -> list[str]:
    """Return the ids of the queries that two runs have in common, in the order of the first.

    Args:
        now: Input and gold output of each query by its id.
        before: Those of the other run.
        than: A name of the other run for messages.

    Raises:
        DataError: There is none, or one of them has another input or gold output.
    """
    common = [id for id in now if id in before]
    if not common:
        some = ", ".join(map(shorten, [*before][:3]))
        raise DataError(
            [
                Problem(
                    tr(
                        "none of the queries stands in {than}, which asked {some} …; compare anew",
                        than=than,
                        some=some,
                    )
                )
            ]
        )
    for id in common:
        for what, mine, theirs in zip(
            ("input", tr("gold output")), now[id], before[id], strict=True
        ):
            if canonical(mine) != canonical(theirs):
                reason = tr(
                    "the {what} is another than in {than}, {theirs}; what changed cannot be "
                    "told from a new question: compare anew, or give it another id",
                    what=what,
                    than=than,
                    theirs=shorten(theirs),
                )
                raise DataError([Problem(reason, example=id, value=mine)])
    return common


def matched(now: Sequence[Outcomes], before: Sequence[Outcomes], than: str) -> Iterator[Outcomes]:
    """Yield for each cell the one of the other run that it is compared with.

    That is the one with the same levels of all factors and as many shots. A factor of which both
    runs have one level only may differ: it is the change that is tested.

    Args:
        now: The outcomes of the cells.
        before: Those of the other run.
        than: A name of the other run for messages.

    Raises:
        DataError: There is no such cell.
    """
    changed = [
        name
        for name in FACTORS
        if len(_values(now, name) | _values(before, name)) > 1
        and len(_values(now, name)) == len(_values(before, name)) == 1
    ]

    def key(cell: Cell) -> tuple[Any, ...]:
        return (cell.shots, *(getattr(cell, name) for name in FACTORS if name not in changed))

    there = {key(one.cell): one for one in before}
    for mine in now:
        if key(mine.cell) not in there:
            have = "; ".join(describe(one.cell) for one in before[:8])
            more = tr("; and {count} more", count=len(before) - 8) if len(before) > 8 else ""
            reason = tr(
                "{than} has no {describe}; it has {have}{more}",
                than=than,
                describe=describe(mine.cell),
                have=have,
                more=more,
            )
            raise DataError([Problem(reason)])
        yield there[key(mine.cell)]


def _values(run: Sequence[Outcomes], factor: str) -> set[Any]:
    return {getattr(one.cell, factor) for one in run}
