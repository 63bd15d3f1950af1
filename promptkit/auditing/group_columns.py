"""Groups of queries by columns, and by two columns together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from promptkit.errors import TaskError
from promptkit.evaluation.slices import Levels, levels_by_column
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr


def groups_by_column(
    task: Task[Any, Any],
    queries: Sequence[Example[Any, Any]],
    names: Sequence[str],
    *,
    intersections: bool = False,
) -> dict[str, Levels]:
    """Return the ids of the queries of each group, by column.

    Args:
        task: The task of the queries.
        queries: What is asked.
        names: Columns of the tests: input fields or other columns.
        intersections: Whether there are also the groups by each two of these columns.

    Raises:
        TaskError: There is no such column, it has too many values or a single one, or fewer than
            two columns have intersections.
    """
    found = levels_by_column(task, queries, names)
    for name, levels in found.items():
        if len(levels) < 2:
            (level,) = levels
            raise TaskError(
                tr(
                    "groups by {name!r}: all {queries} are in one group, {level!r}, and "
                    "nothing can be compared; name another column",
                    name=name,
                    queries=counted(len(queries), "query", "queries"),
                    level=level,
                )
            )
    if intersections and len(found) < 2:
        raise TaskError(tr("intersections are of two columns; name another one in groups"))
    pairs = combinations([*found], 2) if intersections else ()
    return found | {f"{a} × {b}": _crossed(found[a], found[b]) for a, b in pairs}


def _crossed(one: Levels, other: Levels) -> Levels:
    """Return the groups by two columns, without those of no query."""
    found = {}
    for level, ids in one.items():
        for second, others in other.items():
            inside = {*others}
            if both := [id for id in ids if id in inside]:
                found[f"{level} × {second}"] = both
    return dict(sorted(found.items(), key=lambda group: -len(group[1])))
