"""Inputs that a predictor learnt from, by digests that its card can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.task import Task

POOL_INPUTS = "pool_inputs"
"""Field of a student's card with the digest of each input that it learnt from, so that a comparison
can say where the tests are among them."""


def input_digests(task: Task[Any, Any], examples: Iterable[Example[Any, Any]]) -> list[str]:
    """Return a short digest of the input of each example.

    Args:
        task: The task of the examples.
        examples: Examples, with or without a gold output.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> input_digests(task, task.tests[:1])
        ['31b4352beb45']
    """
    fields = (canonical(dict(task.fields_of(one))) for one in examples)
    return [hashlib.sha256(one).hexdigest()[:12] for one in fields]
