"""Tasks of a scale as tasks of numbers, for students that answer with an expectation."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from promptkit.errors import TaskError
from promptkit.tasks.examples import Example
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task
from promptkit.translation import tr


def scale_of(task: Task[Any, Any]) -> NDArray[np.float64]:
    """Return the numbers that labels stand for. Raises `TaskError` where some are none."""
    numbers = [number_of(label) for label in task.labels]
    if not numbers or None in numbers or task.many:
        raise TaskError(
            tr(
                "{name}: an expected number is that of a scale, whose labels are all numbers",
                name=task.name,
            )
        )
    return np.array(numbers, np.float64)


def number_task(task: Task[Any, Any]) -> Task[Any, Any]:
    """Return a task of a scale as one of numbers within its ends, with its tests.

    Args:
        task: The task.

    Raises:
        TaskError: Its labels are not all numbers.
    """
    scale = scale_of(task)
    kind: Any = Annotated[float, Field(ge=float(scale.min()), le=float(scale.max()))]
    made: Any = Task[task.types()[0], kind]  # type: ignore[misc]
    value_of = dict(zip(task.labels, scale.tolist(), strict=True))
    tests = [
        Example(
            input=test.input,
            id=test.id,
            metadata=test.metadata,
            output=value_of[task.output_type.text(test.output)],
        )
        for test in task.tests
        if test.labelled
    ]
    own = {"name": task.name, "instruction": task.instruction}
    return made(**own, near_duplicates=task.near_duplicates, tests=tests)  # type: ignore[no-any-return]
