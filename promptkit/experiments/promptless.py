"""Predictors without a prompt in a comparison: those that are given, and trained baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from promptkit.baselines.trained_baselines import TrainedBaseline
from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.against_baselines import Trained
from promptkit.experiments.grid import Grid, check_distinct
from promptkit.experiments.seen_tests import check_labels
from promptkit.inference.any_predictor import AnyPredictor, predict_each
from promptkit.inference.batch import Announce, Cost
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr


def check_others(task: Task[Any, Any], grid: Grid, predictors: Sequence[AnyPredictor]) -> None:
    """Raise `TaskError` for predictors that cannot stand beside a grid."""
    for one in predictors:
        prompted = isinstance(one, Predictor) and not isinstance(one, FrozenPredictor)
        if prompted or not isinstance(one, AnyPredictor):
            raise TaskError(
                tr(
                    "predictors: {one} cannot stand beside the grid; a prompted model is given "
                    "by models, templates and shots",
                    one=shorten(one),
                )
            )
    names = [model.identity.name for model in grid.models]
    check_distinct("models", names + [one.identity.name for one in predictors])
    check_labels(task, predictors)


MANY = 1000
"""Rows of a pool from which training takes so long that it is announced."""


class Others(NamedTuple):
    """Predictions without prompts."""

    predictions: list[list[Prediction]]
    """Those of each predictor and seed, then once those of each baseline, which no seed changes."""
    cost: Cost
    """Cost of the predictors."""
    trained: Trained
    """The baselines, with the number of labelled rows of each."""


def predict_beside(
    predictors: Sequence[AnyPredictor],
    trained: Sequence[TrainedBaseline],
    queries: Sequence[Example[Any, Any]],
    seeds: Sequence[int],
    store: Store,
    announce: Announce | None,
) -> Others:
    """Return the predictions of predictors beside a grid and of trained baselines."""
    before = [replace(one.usage) for one in predictors]
    made = predict_each(predictors, queries, seeds, store)
    cost = Cost()
    for one, then in zip(predictors, before, strict=True):
        cost += Cost(
            decoded_tokens=one.usage.decoded_tokens - then.decoded_tokens,
            decode_seconds=one.usage.decode_seconds - then.decode_seconds,
        )
    rows = len(trained[0].task.demos) if trained else 0
    if rows >= MANY and announce is not None:
        announce(
            tr(
                "training {baselines} on the pool of {rows:,} rows",
                baselines=counted(len(trained), "baseline", "baselines"),
                rows=rows,
            )
        )
    made += predict_each(trained, queries, seeds[:1])
    return Others(made, cost, {one.identity.name: one.profile.labels for one in trained})
