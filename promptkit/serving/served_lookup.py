"""Lookup tables as a service uses them: without a task, and without waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from pydantic import ConfigDict, PydanticUserError, create_model

from promptkit.errors import LookupMissError, TaskError
from promptkit.lookup.lookup import Lookup
from promptkit.serving.served import InputAnswer, Served, info_of
from promptkit.tasks.task import Task
from promptkit.translation import tr

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file was replaced."""


def served_lookup(table: Lookup) -> Served:
    """Return a lookup table as a service uses it; it opens a file anew that was replaced.

    Args:
        table: A table without a fallback, which would need the task.
    """
    fields: dict[str, Any] = {one.name: (str if one.is_text else Any, ...) for one in table.fields}
    try:
        kind = create_model("Input", __config__=ConfigDict(extra="forbid"), **fields)
        task = Task[kind, str](name=table.file.stem)  # type: ignore[valid-type]
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise TaskError(
            tr("{file}: its input fields cannot be served: {error}", file=table.file, error=error)
        ) from None
    looked = monotonic()

    def ask(inputs: Sequence[Any]) -> list[InputAnswer]:
        nonlocal looked
        if monotonic() - looked > LOOK_EVERY:
            looked = monotonic()
            table.reload()
        return [_answer(table, one) for one in inputs]

    return Served(
        info=lambda: info_of(table, None),
        input_type=kind,
        label_schema={},
        labels=(),
        options=None,
        read=lambda given: task.fields_of(task.as_query(given)),
        ask=ask,
        usage=lambda: table.usage,
        instant=True,
    )


def _answer(table: Lookup, fields: Mapping[str, Any]) -> InputAnswer:
    try:
        found = table.find(fields)
    except LookupMissError as error:
        return InputAnswer(label=None, failure=str(error).removeprefix(f"{table.file}: "))
    probs = None if found.probs is None else dict(found.probs)
    failure = tr("held back when it was predicted") if found.abstained else None
    return InputAnswer.model_construct(**{**found._asdict(), "probs": probs, "failure": failure})
