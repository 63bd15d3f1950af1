"""Answers of a lookup table as predictions, in a comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.inference.any_predictor import AnyPredictor, prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.lookup.lookup_entries import StoredAnswer
from promptkit.models.base import ModelIdentity
from promptkit.tasks.examples import Example, canonical_text
from promptkit.tasks.task import Task
from promptkit.translation import tr


def predicted(
    task: Task[Any, Any],
    name: str,
    query: Example[Any, Any],
    found: StoredAnswer | Prediction | None,
) -> Prediction:
    """Return the prediction of a query that a lookup table of this name has found.

    `found` is the answer of the table, the prediction of its fallback, or None for neither.

    Raises `TaskError` for an answer that is none of the task.
    """
    if isinstance(found, Prediction):
        own = prediction_of(task, query, None, model=name)
        return replace(found, **own.factors())
    if found is None or found.abstained:
        made = prediction_of(task, query, None, model=name)
    else:
        try:
            value = task.output_type.validate(found.label)
        except ValueError as error:
            label = shorten(found.label)
            raise TaskError(
                tr(
                    "{name}: the answer {label} is none of the task: {error}",
                    name=name,
                    label=label,
                    error=error,
                )
            ) from None
        made = prediction_of(task, query, value, model=name)
    if found is None:
        return made
    failure = "held back when it was predicted" if found.abstained else made.failure
    return replace(
        made,
        failure=failure,
        probs=found.probs,
        margin=found.margin,
        coverage=found.coverage,
        text=found.text,
        abstained=found.abstained,
    )


def identity_of(
    name: str, sha256: str, fallback: AnyPredictor | None, default: Any
) -> ModelIdentity:
    """Return the identity of a lookup table, whose answers its fallback or default complete."""
    rest = ""
    if fallback is not None:
        rest = f"otherwise {canonical_text(fallback.identity.key)}"
    elif default is not ...:
        rest = f"otherwise {json.dumps(default, sort_keys=True)}"
    return ModelIdentity(name, sha256, "lookup table", "", "promptkit", 0, rest)
