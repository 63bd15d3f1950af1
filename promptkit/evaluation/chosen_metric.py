"""Metric that a comparison looks at: chosen by name, or the default of the kind of task."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.evaluation.metric import ACCURACY, BY_NAME, Metric, metric_named
from promptkit.evaluation.outcomes import ByCell, outcomes
from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr

ASKED = 8
"""Number of tests whose gold outputs say which metrics their answers can have."""


def default_metric(task: Task[Any, Any]) -> Metric:
    """Return the metric that fits the kind of a task: the MAE of numbers, the micro-F1 of lists of
    labels, else the accuracy.

    Labels that are numbers are labels: their accuracy.

    Args:
        task: The task.

    Example:
        >>> from promptkit import load_task
        >>> default_metric(load_task("examples/fruit")).name
        'accuracy'
    """
    if task.many:
        return BY_NAME["micro_f1"]
    return BY_NAME["mae"] if task.output_type.is_number else ACCURACY


def known_metric(task: Task[Any, Any], name: str, *, votes: bool = False) -> Metric:
    """Return a metric of a task's answers by its name, before any model runs.

    Args:
        task: The task; its tests say which measures they have.
        name: The name, such as `mae`.
        votes: Whether samples vote, so that generated answers have probabilities.

    Raises:
        TaskError: Its answers have no such metric.
    """
    found = [*outcomes(_right(task, votes), task.output_type.label_of).values()]
    return metric_named(name, found[0]) if found else BY_NAME.get(name, ACCURACY)


def chosen_metric(task: Task[Any, Any], name: str | None, *, votes: bool = False) -> Metric:
    """Return the metric that cells are chosen by.

    Args:
        task: The task.
        name: The name of the metric; None for the default of the kind.
        votes: Whether samples vote, so that generated answers have probabilities.

    Raises:
        TaskError: Its answers have no such metric, or none of its values is the best.
    """
    if name is None:
        return default_metric(task)
    metric = known_metric(task, name, votes=votes)
    if metric.larger_is_better is None:
        raise TaskError(
            tr(
                "metric {name}: neither a larger nor a smaller one is better, so that "
                "cells cannot be compared by it; choose mae, which counts errors in both "
                "directions",
                name=shorten(name),
            )
        )
    return metric


def usable_metric(metric: Metric, by_cell: ByCell, *, chosen: bool) -> Metric:
    """Return a metric that some cell has: the accuracy, where none has the default one.

    Args:
        metric: The metric.
        by_cell: The outcomes of a comparison.
        chosen: Whether somebody asked for just this metric.

    Raises:
        TaskError: No cell has the chosen metric.
    """
    if any(metric.value(one) is not None for one in by_cell.values()):
        return metric
    if not chosen:
        return ACCURACY
    raise TaskError(
        tr(
            "metric {name}: no cell has one, since {reason}; what was computed is "
            "stored, so choose another metric and run this again",
            name=shorten(metric.name),
            reason=_reason(metric),
        )
    )


def _reason(metric: Metric) -> str:
    if metric.name in ("pearson", "spearman"):
        return tr("all answers of a cell, or all gold numbers, are the same")
    return tr("no seed has an answer that it can be computed from")


def _right(task: Task[Any, Any], votes: bool) -> list[Prediction]:
    """Return predictions of the gold outputs of the first tests, or of the pool without tests."""
    known = (query for query in chain(task.tests, task.demos) if query.labelled)
    return [
        replace(prediction_of(task, query, query.output, model=""), **_scores(task, query, votes))
        for query in islice(known, ASKED)
    ]


def _scores(task: Task[Any, Any], query: Example[Any, Any], votes: bool) -> dict[str, Any]:
    """Return the fields of a prediction whose labels are equally probable; without labels, those of
    one that all samples vote for, or none."""
    labels = task.answers_of(query)
    if not labels:
        return {"probs": {task.output_type.text(query.output): 1.0}} if votes else {}
    return {"logprobs": dict.fromkeys(labels, -math.log(len(labels))), "coverage": 1.0}
