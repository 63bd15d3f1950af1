"""Predictors as a service uses them: what they read, what they answer, and who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

import promptkit
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Prediction
from promptkit.models.base import Usage
from promptkit.tasks.task import Task
from promptkit.translation import tr


class PredictorInfo(BaseModel):
    """Predictor that answers."""

    model_config = ConfigDict(frozen=True)

    name: str
    task: str | None
    sha256: str = Field(description="Digest of the model's file, or of the lookup table.")
    architecture: str
    weights: str
    runtime: str
    promptkit: str = Field(description="Version of promptkit.")


class InputAnswer(BaseModel):
    """Answer to one input of a list."""

    label: Any = Field(description="Label or value; null where there is none.")
    probs: dict[str, float] | None = Field(
        default=None, description="Probability of each label; null where labels have no scores."
    )
    margin: float | None = Field(
        default=None, description="Distance of the best label from the second, in nats."
    )
    coverage: float | None = Field(default=None, description="Probability of all labels together.")
    abstained: bool = Field(default=False, description="The answer was held back: too improbable.")
    failure: str | None = Field(default=None, description="Reason why there is no label.")
    text: str | None = Field(default=None, description="Generated text.")
    match: str | None = Field(
        default=None,
        description="How a lookup table found it: exact, normalised or default.",
    )
    _tokens: int = 0

    @property
    def tokens(self) -> int:
        """Number of tokens of the prompt."""
        return self._tokens


class SingleAnswer(InputAnswer):
    """Answer to an input, and who answers."""

    predictor: PredictorInfo


class AnswerList(BaseModel):
    """Answers to a list of inputs, in their order, and who answers."""

    answers: list[InputAnswer]
    predictor: PredictorInfo


@dataclass(frozen=True)
class Served:
    """A predictor with what a service needs to know of it; `served` makes one."""

    info: Callable[[], PredictorInfo]
    input_type: type[BaseModel]
    label_schema: Mapping[str, Any]
    """JSON Schema of labels."""
    labels: tuple[str, ...]
    """Labels, where they are the same for all inputs and have probabilities."""
    options: str | None
    """Field of the options that an input is answered with."""
    read: Callable[[Any], Any]
    """Makes an input of its fields. Raises `DataError`."""
    ask: Callable[[Sequence[Any]], Sequence[InputAnswer]]
    """Answers inputs; only one thread calls it."""
    usage: Callable[[], Usage]
    """Cost of the work so far."""
    instant: bool = False
    """Whether an answer takes less time than to hand it to another thread."""


def served(predictor: AnyPredictor, task: Task[Any, Any] | None = None) -> Served:
    """Return a predictor as a service uses it.

    Args:
        predictor: Any predictor.
        task: Task of its inputs; by default its own.

    Raises:
        TaskError: The predictor has no task.
    """
    task = task if task is not None else getattr(predictor, "task", None)
    if task is None:
        raise TaskError(
            tr("{name}: a service needs its task, as task=...", name=predictor.identity.name)
        )
    return Served(
        info=lambda: info_of(predictor, task.name),
        input_type=task.types()[0],
        label_schema=_label_schema(task),
        labels=() if task.many else task.labels,
        options=task.options,
        read=task.as_query,
        ask=lambda queries: [*map(_answer, predictor.predict(queries))],
        usage=lambda: predictor.usage,
    )


def info_of(predictor: AnyPredictor, task: str | None) -> PredictorInfo:
    """Return who a predictor is."""
    identity = predictor.identity
    return PredictorInfo(
        name=identity.name,
        task=task,
        sha256=identity.sha256,
        architecture=identity.architecture,
        weights=identity.weights,
        runtime=identity.runtime,
        promptkit=promptkit.__version__,
    )


def _answer(made: Prediction) -> InputAnswer:
    names = ("label", "margin", "coverage", "abstained", "failure", "text")
    answer = InputAnswer.model_construct(
        probs=None if made.probs is None else dict(made.probs),
        **{name: getattr(made, name) for name in names},
    )
    answer._tokens = made.tokens
    return answer


def _label_schema(task: Task[Any, Any]) -> Mapping[str, Any]:
    output = task.output_type
    if output.values:
        return {"enum": [*map(output.plain, output.values.values())]}
    try:
        return output.schema
    except TaskError:
        return {}
