"""Queries with their options in other orders, whose scores are averaged with their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from promptkit.errors import TaskError
from promptkit.inference.batch import CellRequests
from promptkit.models.base import Request
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import listed
from promptkit.translation import tr

_NAME = "orders="


class Turned(NamedTuple):
    """A query's requests with its options in other orders."""

    requests: Sequence[Request]
    columns: Sequence[Sequence[int]]
    """For each request, the place of each option in it, in the order of the query."""


def methods_of(count: int, task: Task[Any, Any]) -> tuple[str, ...]:
    """Return the name of the average over orders of options as a calibration; none for one order.

    Args:
        count: Number of cyclic orders of the options of each query, the given one included.
        task: The task.

    Raises:
        TaskError: The count is not one, or the queries of the task have no options of their own.
    """
    if not isinstance(count, int) or count < 1:
        raise TaskError(
            tr("option_orders is {count!r}; it is a whole number, 1 or more", count=count)
        )
    if count > 1 and task.options is None:
        raise TaskError(
            tr(
                "option_orders is {count}, and the queries of {name!r} have no options of "
                'their own (options = "FIELD" in [output] of task.toml)',
                count=count,
                name=task.name,
            )
        )
    return (f"{_NAME}{count}",) if count > 1 else ()


def count_of(method: str) -> int | None:
    """Return the number of orders of a calibration by its name; None for another one."""
    return int(method.removeprefix(_NAME)) if method.startswith(_NAME) else None


def shifts(options: int, count: int) -> list[int]:
    """Return by how many places options are moved in each further order, evenly spaced.

    With at least as many orders as options, each option is once in every place.
    """
    orders = min(options, count)
    return [number * options // orders for number in range(1, orders)]


def turned(cell: CellRequests, count: int) -> list[Turned] | None:
    """Return the requests of each query of a cell in other orders; None if no prompt differs.

    They have the shots of the query's own prompt, whose options keep their order.

    Args:
        cell: The requests of a cell.
        count: Number of orders, the given one included.
    """
    task, prompts, columns = cell.predictor.task, list[list[Prompt]](), list[list[list[int]]]()
    shots = {ids: _shots(task, ids) for ids in {one.prompt.shots for one in cell.requests}}
    for query, request in zip(cell.queries, cell.requests, strict=True):
        size = len(task.answers_of(query))
        moves = shifts(size, count)
        prompts.append(
            [
                cell.renderer.render(_moved(task, query, by), shots[request.prompt.shots])
                for by in moves
            ]
        )
        columns.append([[(place - by) % size for place in range(size)] for by in moves])
    requests = iter(cell.predictor.requests([one for own in prompts for one in own]))
    found = [
        Turned([next(requests) for _ in own], places)
        for own, places in zip(prompts, columns, strict=True)
    ]
    return found if any(_differ(cell.requests, found)) else None


def without_effect(cells: Sequence[CellRequests]) -> str:
    """Return why the average over orders is left out for cells whose prompts show no order."""
    names = [*dict.fromkeys(cell.predictor.template.name for cell in cells)]
    return tr(
        "the prompts of {names} do not depend on the order of the options; it "
        "needs a template that lists them, such as letters.j2",
        names=listed(names),
    )


def _shots(task: Task[Any, Any], ids: Sequence[str]) -> tuple[Example[Any, Any], ...]:
    return tuple([demo for demo in map(task.demos.by_id, ids) if demo is not None])


def _moved(task: Task[Any, Any], query: Example[Any, Any], by: int) -> Example[Any, Any]:
    """Return a query with its options moved to the front by some places, the first ones last."""
    options = task.answers_of(query)
    field = {task.options or "": [*options[by:], *options[:by]]}
    update = {
        "input": query.input.model_copy(update=field),
        "id": f"{query.id} order {by}",
    }
    return query.model_copy(update=update)


def _differ(requests: Sequence[Request], found: Sequence[Turned]) -> Iterator[bool]:
    for own, others in zip(requests, found, strict=True):
        yield from (one.prompt.text != own.prompt.text for one in others.requests)
