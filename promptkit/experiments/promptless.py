"""Predictors without a prompt in a comparison: those that are given, and trained baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.against_baselines import Trained
from promptkit.experiments.grid import Grid, check_distinct
from promptkit.experiments.seen_tests import check_labels
from promptkit.inference.any_predictor import AnyPredictor, predict_each
from promptkit.inference.batch import Announce, Cost
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.students.trained_baselines import TrainedBaseline
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import counted


def check_others(task: Task[Any, Any], grid: Grid, predictors: Sequence[AnyPredictor]) -> None:
    """Raise `TaskError` for predictors that cannot stand beside a grid."""
    for one in predictors:
        prompted = isinstance(one, Predictor) and not isinstance(one, FrozenPredictor)
        if prompted or not isinstance(one, AnyPredictor):
            raise TaskError(
                f"predictors: {shorten(one)} cannot stand beside the grid; a prompted model is "
                "given by models, templates and shots"
            )
    names = [model.identity.name for model in grid.models]
    check_distinct("models", names + [one.identity.name for one in predictors])
    check_labels(task, predictors)


def predict_others(
    predictors: Sequence[AnyPredictor], queries: Sequence[Example[Any, Any]], seeds: Iterable[int]
) -> tuple[list[list[Prediction]], Cost]:
    """Return the predictions of predictors without prompts, and what they took."""
    before = [replace(one.usage) for one in predictors]
    made = predict_each(predictors, queries, seeds)
    cost = Cost()
    for one, then in zip(predictors, before, strict=True):
        cost += Cost(
            decoded_tokens=one.usage.decoded_tokens - then.decoded_tokens,
            decode_seconds=one.usage.decode_seconds - then.decode_seconds,
        )
    return made, cost


def predict_trained(
    trained: Sequence[TrainedBaseline],
    queries: Sequence[Example[Any, Any]],
    seed: int,
    announce: Announce | None,
) -> tuple[list[list[Prediction]], Trained]:
    """Return the predictions of trained baselines, once, and the number of rows of each.

    No seed changes them, and there are many: they are no part of the cost of the prompts.
    """
    if trained and announce is not None:
        rows = counted(len(trained[0].task.demos), "row")
        announce(f"training {counted(len(trained), 'baseline')} on the pool of {rows}")
    made = predict_each(trained, queries, [seed])
    return made, {one.identity.name: one.profile.labels for one in trained}
