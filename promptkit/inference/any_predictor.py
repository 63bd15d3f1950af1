"""Anything that predicts: what a comparison needs to know of it, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf, log
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

from promptkit.errors import TaskError, shorten
from promptkit.inference.answer_fields import UNSCORED, answered
from promptkit.inference.cell import NO_PROMPT, RAW, Cell
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.asked_language import as_asked
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr


@runtime_checkable
class AnyPredictor(Protocol):
    """A prompted model, a student, a lookup table or a server; `promptkit.Predictor` is one."""

    @property
    def identity(self) -> ModelIdentity:
        """Everything that decides its predictions, and its name in tables."""

    @property
    def usage(self) -> Usage:
        """Cost of its work so far."""

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> Sequence[Prediction]:
        """Return a prediction for each query, in their order."""


def predict_each(
    predictors: Iterable[AnyPredictor],
    queries: Sequence[Example[Any, Any]],
    seeds: Iterable[int],
    store: Store | None = None,
) -> list[list[Prediction]]:
    """Return the predictions of each predictor once per seed, since no seed changes them.

    Args:
        predictors: The predictors.
        queries: What is asked.
        seeds: The seeds.
        store: Prediction store of prompts.

    Raises:
        TaskError: Predictions are not those of the queries, in their order.
    """
    found = []
    for one in predictors:
        made = _timed(one, queries, store)
        if [prediction.id for prediction in made] != [query.id for query in queries]:
            name = shorten(one.identity.name)
            raise TaskError(
                tr("{name}: its predictions are not one for each query, in their order", name=name)
            )
        own = [*map(uncalibrated, made)]
        found += [[replace(prediction, seed=seed) for prediction in own] for seed in seeds]
    return found


def _timed(
    one: AnyPredictor, queries: Sequence[Example[Any, Any]], store: Store | None
) -> Sequence[Prediction]:
    """Return predictions with the time that they took.

    The first time may load and fill caches, so a quick predictor without a model is asked again.
    """
    tokens = one.usage.decoded_tokens
    made, seconds = _asked(one, queries, store)
    if seconds < _QUICK and one.usage.decoded_tokens == tokens:
        made, seconds = _asked(one, queries, store)
    if any(prediction.seconds for prediction in made):  # it says it itself
        return made
    return [replace(prediction, seconds=seconds / len(made)) for prediction in made]


_QUICK = 1.0  # seconds


def _asked(
    one: AnyPredictor, queries: Sequence[Example[Any, Any]], store: Store | None
) -> tuple[Sequence[Prediction], float]:
    begun = perf_counter()
    how = {"store": store} if isinstance(one, Predictor) else {}
    made = one.predict(queries, **how)
    return made, perf_counter() - begun


def uncalibrated(made: Prediction) -> Prediction:
    """Return a prediction whose probabilities, calibrated or not, count as its own."""
    if made.calibration == RAW or made.probs is None:
        return made
    logprobs = {label: log(p) if p else -inf for label, p in made.probs.items()}
    return replace(made, calibration=RAW, calibrated={}, logprobs=logprobs)


def apart(task: Task[Any, Any], query: Example[Any, Any]) -> Example[Any, Any]:
    """Return a query as it is asked, under an id that no demonstration has, unless it is that one.

    Ids of new queries say nothing about those of the pool, and an equal one would keep a
    demonstration from being a shot.
    """
    (query,) = as_asked(task, [query])
    id = query.id
    while (demo := task.demos.by_id(id)) is not None and demo.input != query.input:
        id += "'"
    return query if id == query.id else query.model_copy(update={"id": id})


def prediction_of(
    task: Task[Any, Any], query: Example[Any, Any], value: Any, *, model: str
) -> Prediction:
    """Return the prediction of a predictor that has no prompt.

    Args:
        task: The task of the query.
        query: What is asked.
        value: The answer, of the task's output type; None for a failure.
        model: The name of the predictor.
    """
    failed = value is None
    cell = Cell(model=model, template=NO_PROMPT, selection=NO_PROMPT, shots=0, seed=0)
    return Prediction(
        **cell.factors(),
        **answered(task, query, value, failed=failed),
        **UNSCORED,
        text=None,
        failure=tr("no answer to this query") if failed else None,
        shot_ids=(),
        prompt_sha256="",
        tokens=0,
        seconds=0.0,
    )
