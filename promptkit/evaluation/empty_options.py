"""Labels that name an input field with the text of an option, as in multiple choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from promptkit.evaluation import caveats
from promptkit.inference.prediction import Prediction
from promptkit.tasks.task import Task


def empty_options(task: Task[Any, Any], predictions: Sequence[Sequence[Prediction]]) -> str | None:
    """Return a warning of options that are empty for some queries, and are candidates there too."""
    fields = _fields(task)
    queries = [_empty(prediction.input, fields) for prediction in predictions[0]]
    counts = Counter(label for empty in queries for label in empty)
    if not counts:
        return None
    chosen = sum(
        prediction.label is not None and str(prediction.label) in empty
        for cell in predictions
        for prediction, empty in zip(cell, queries, strict=True)
    )
    ((label, times),) = counts.most_common(1)
    every = sum(map(len, predictions))
    return caveats.empty_options(label, times, len(queries), chosen, every)


def _fields(task: Task[Any, Any]) -> Mapping[str, str]:
    """Return the input field of each label; none unless every label is the name of one."""
    names = {name.casefold(): name for name in task.types()[0].model_fields}
    labels = task.labels
    if len(labels) < 2 or not all(label.casefold() in names for label in labels):
        return {}
    return {label: names[label.casefold()] for label in labels}


def _empty(given: Mapping[str, Any], fields: Mapping[str, str]) -> set[str]:
    values = {label: given.get(field) for label, field in fields.items()}
    return {label for label, value in values.items() if value is None or not str(value).strip()}
