"""Predictors that are compared with a grid: fit for the task, and new to its tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.students.input_texts import input_texts
from promptkit.students.seen_inputs import digests_in, text_digests
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import counted, percent
from promptkit.translation import tr


def check_labels(task: Task[Any, Any], predictors: Sequence[AnyPredictor]) -> None:
    """Raise `TaskError` for a predictor of a task with other labels."""
    for one in predictors:
        own = getattr(one, "task", None)
        if isinstance(own, Task) and {*own.labels} != {*task.labels}:
            labels = ", ".join(map(shorten, [*own.labels][:8])) or "none"
            raise TaskError(
                tr(
                    "{name} was made for another task, {own!r}, whose labels are {labels}; "
                    "compare it on that task's tests",
                    name=shorten(one.identity.name),
                    own=own.name,
                    labels=labels,
                )
            )


def seen_warnings(
    task: Task[Any, Any], predictors: Sequence[AnyPredictor], queries: Sequence[Example[Any, Any]]
) -> Iterator[str]:
    """Yield a warning for each predictor that learnt from inputs of the tests."""
    digests: list[str] = []
    for one in predictors:
        pool = _pool(one)
        if not pool:
            continue
        digests = digests or text_digests(input_texts(task, queries))
        if seen := sum(digest in pool for digest in digests):
            yield tr(
                "{name} learnt from {inputs} of the {count:,} tests ({percent}), so that "
                "its figures say little about new inputs; make it from a pool without the "
                "tests",
                name=shorten(one.identity.name),
                inputs=counted(seen, "input", "inputs"),
                count=len(digests),
                percent=percent(seen / len(digests)),
            )


def _pool(predictor: AnyPredictor) -> frozenset[str]:
    """Return the digests of what a predictor or its steps learnt from, where cards have them."""
    steps = [step.predictor for step in getattr(predictor, "steps", ())]
    every = (predictor, *(getattr(step, "__dict__", {}).get("loaded", step) for step in steps))
    return frozenset().union(*(digests_in(getattr(one, "card", None)) for one in every))
