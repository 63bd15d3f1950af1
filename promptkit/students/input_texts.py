"""Texts of inputs, as students read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task


def input_texts(task: Task[Any, Any], queries: Iterable[Example[Any, Any]]) -> list[str]:
    """Return the text of each input: the values of its fields, one a line.

    Texts stand there as they are. A number or a truth value comes with the name of its field, as in
    `year_1994`, so that it is a word of its own; what is not known is left out.

    Args:
        task: Task of the inputs.
        queries: Examples of the task.

    Example:
        >>> from promptkit import load_task
        >>> task = load_task("examples/fruit")
        >>> input_texts(task, task.tests[:1])
        ['lemon']
    """
    return [input_text(task.fields_of(query)) for query in queries]


def input_text(fields: Mapping[str, Any]) -> str:
    """Return the text of an input, given its fields as JSON has them."""
    if len(fields) == 1:
        (value,) = fields.values()
        if isinstance(value, str):
            return value
    return "\n".join(_lines("", fields))


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _lines(inner, item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _lines(name, item)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield f"{name}_{str(value).lower()}"
