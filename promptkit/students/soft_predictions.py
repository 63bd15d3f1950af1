"""Predictions of predictors that have no prompt, out of arrays of probabilities or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.inference.answer_fields import UNSCORED, answered
from promptkit.inference.cell import NO_PROMPT, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import mark

Queries = Sequence[Example[Any, Any]]


def label_predictions(
    task: Task[Any, Any],
    queries: Queries,
    logprobs: NDArray[np.float64],
    *,
    model: str,
    seconds: float = 0.0,
) -> list[Prediction]:
    """Return predictions of the most probable labels, of equal ones the first.

    Args:
        task: A task of labels.
        queries: What is asked.
        logprobs: Log-probabilities, finite and normalised over the labels, (queries, labels).
        model: Name of the predictor.
        seconds: Time that all of them took.
    """
    labels = task.labels
    values = [*task.output_type.values.values()]
    plain = [*map(task.output_type.plain, values)]
    common = _common(model, len(queries), seconds)
    best = logprobs.argmax(axis=1).tolist()
    ranked = np.sort(logprobs, axis=1)
    margins = (ranked[:, -1] - ranked[:, -2]).tolist() if len(labels) > 1 else [None] * len(best)
    rows = zip(queries, best, margins, logprobs.tolist(), np.exp(logprobs).tolist(), strict=True)
    return [
        Prediction(
            **common,
            **(
                answered(task, query, values[chosen], failed=False)
                if query.labelled
                else _unjudged(task, query, plain[chosen])
            ),
            logprobs=dict(zip(labels, row, strict=True)),
            probs=dict(zip(labels, shares, strict=True)),
            margin=margin,
            near_tie=False,
            coverage=1.0,
            failure=None,
        )
        for query, chosen, margin, row, shares in rows
    ]


def _unjudged(task: Task[Any, Any], query: Example[Any, Any], label: Any) -> dict[str, Any]:
    """Return what `answered` does of a query whose gold output is not known, in less time."""
    fields = dict(task.fields_of(query))
    rest = {"gold": None, "label": label, "correct": None, "measures": {}}
    return {"id": query.id, "input": fields, **rest}


def number_predictions(
    task: Task[Any, Any],
    queries: Queries,
    numbers: NDArray[np.float64],
    *,
    model: str,
    seconds: float = 0.0,
) -> list[Prediction]:
    """Return predictions of numbers; a failure where a number is none of the task's outputs.

    Args:
        task: A task of int or float.
        queries: What is asked.
        numbers: One for each query, (queries,); rounded where outputs are whole.
        model: Name of the predictor.
        seconds: Time that all of them took.
    """
    common = {**_common(model, len(queries), seconds), **UNSCORED}
    values = [*_values(task, numbers)]
    return [
        Prediction(
            **common,
            **answered(task, query, value, failed=value is None),
            failure=mark("not a number that the task allows") if value is None else None,
        )
        for query, value in zip(queries, values, strict=True)
    ]


def _common(model: str, count: int, seconds: float) -> dict[str, Any]:
    """Return the fields that all predictions share."""
    cell = Cell(model=model, template=NO_PROMPT, selection=NO_PROMPT, shots=0, seed=0)
    share = seconds / count if count else 0.0
    rest = {"text": None, "shot_ids": (), "prompt_sha256": "", "tokens": 0, "seconds": share}
    return {**cell.factors(), **rest}


def _values(task: Task[Any, Any], numbers: NDArray[np.float64]) -> Iterator[Any]:
    """Yield numbers as outputs of a task; None for one that it does not allow."""
    output = task.output_type
    whole = output.schema.get("type") == "integer"
    for number in numbers.tolist():
        try:
            yield output.validate(round(number) if whole else number)
        except ValueError:
            yield None
