"""Results read as answers: the fields of a prediction that they decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from promptkit.errors import shorten
from promptkit.inference.reasoning import Response
from promptkit.models.base import Generation, Score
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import mark, tr


def most_probable(task: Task[Any, Any], probs: Mapping[str, float]) -> Any:
    """Return the value of the most probable label, of equal ones the first."""
    label = max(probs, key=probs.__getitem__)
    return task.output_type.values.get(label, label)


def most_probable_fields(
    task: Task[Any, Any], query: Example[Any, Any], probs: Mapping[str, float], tolerance: float
) -> dict[str, Any]:
    """Return the fields of a prediction of the most probable label.

    Args:
        task: The task of the query.
        query: What is asked.
        probs: Probabilities of the labels, such as calibrated ones.
        tolerance: The model's tolerance of margins.
    """
    ranked = sorted(probs.values(), reverse=True)
    margin = math.log(ranked[0] / ranked[1]) if len(ranked) > 1 and ranked[1] else None
    return {
        **answered(task, query, most_probable(task, probs), failed=False),
        "probs": probs,
        "margin": margin,
        "near_tie": margin is not None and margin <= tolerance,
    }


def answered(
    task: Task[Any, Any], query: Example[Any, Any], value: Any, *, failed: bool
) -> dict[str, Any]:
    """Return the fields of a prediction about its query, the gold output and the answer.

    Args:
        task: The task of the query.
        query: What is asked.
        value: The answer, of the task's output type.
        failed: Whether there is no answer, whatever the value is.
    """
    output, known = task.output_type, query.labelled
    judged = None
    if known:
        judged = task.judge(value, query.golds, failed=failed, example=query.id)
    return {
        "id": query.id,
        "input": dict(task.fields_of(query)),
        "gold": output.plain(query.output) if known else None,
        "label": None if failed else output.plain(value),
        "correct": judged and judged.correct,
        "measures": judged.measures if judged else {},
    }


UNSCORED: Mapping[str, Any] = dict.fromkeys(("logprobs", "probs", "margin", "near_tie", "coverage"))
"""Fields of a prediction whose labels have no scores."""


_UNREAD: Mapping[str, Any] = {name: None for name in UNSCORED if name != "near_tie"}
"""Fields of a prediction of which only the best label was wanted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a value of the output type, and what goes with it."""

    value: Any
    fields: Mapping[str, Any]
    """Fields of a prediction by name: those of `UNSCORED`, `text` and `failure`."""

    @property
    def failed(self) -> bool:
        """Return whether there is no answer, whatever the value is."""
        return self.fields["failure"] is not None

    def having(self, **fields: Any) -> Answer:
        """Return the answer with other fields."""
        return replace(self, fields={**self.fields, **fields})


def read(
    task: Task[Any, Any], query: Example[Any, Any], response: Response, tolerance: float
) -> Answer:
    """Return a response as an answer to its query.

    Args:
        task: The task of the query.
        query: What is asked.
        response: What the model said.
        tolerance: The model's tolerance of margins.
    """
    result, output = response.result, task.output_type
    if isinstance(result, Score):
        answer = scored(task, query, result, tolerance)
        # Only the best label is known for certain, and how near it is to a tie.
        best = response.request.prompt.best
        return answer.having(**_UNREAD) if best else answer
    format = response.request.prompt.format
    parse = partial(output.parse, as_json=format != output.format)
    return _generated(parse, result, format is not None)


def scored(
    task: Task[Any, Any], query: Example[Any, Any], score: Score, tolerance: float
) -> Answer:
    """Return the most probable label or option, given the score; see `read`."""
    labels: Sequence[str] = task.answers_of(query)
    peak = max(score.logprobs)
    weights = [math.exp(logprob - peak) for logprob in score.logprobs]
    total = sum(weights)
    ranked = sorted(score.logprobs, reverse=True)
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else None
    best = score.logprobs.index(peak)
    label = labels[best]
    fields = {
        "logprobs": dict(zip(labels, score.logprobs, strict=True)),
        "probs": {label: weight / total for label, weight in zip(labels, weights, strict=True)},
        "margin": margin,
        "near_tie": margin is not None and margin <= tolerance,
        "coverage": sum(map(math.exp, score.logprobs)),
        "text": None,
        "failure": tr(_UNKNOWN).format(shorten(label)) if best in score.unknown else None,
    }
    value = [label] if task.many else task.output_type.values.get(label, label)
    return Answer(value, fields)


_UNKNOWN = mark(
    "the label {} could be the best, and the server does not list the "
    "log-probability of its tokens; use a server that lists more of them"
)

_UNFINISHED = {
    "length": mark(
        "the answer was cut at its budget of tokens before it was complete; allow "
        "more of them (max_tokens)"
    ),
    "stuck": mark("the model's vocabulary has no token with which the answer's format can go on"),
}


def _generated(parse: Callable[[str], Any], generation: Generation, whole: bool) -> Answer:
    """Return a generated answer; an unfinished one of a `whole` format has no value."""
    said: dict[str, Any] = {**UNSCORED, "text": generation.text, "failure": None}
    if whole and generation.finish in ("length", "stuck"):
        return Answer(None, {**said, "failure": tr(_UNFINISHED[generation.finish])})
    try:
        return Answer(parse(generation.text.strip()), said)
    except ValueError as error:
        reason = str(error)
        if generation.finish == "length":
            reason += tr(" (the answer was cut at its budget of tokens)")
        return Answer(None, {**said, "failure": reason})


def held_back(made: Any, threshold: float) -> Any:
    """Return a prediction without its answer, where its probability is not above the threshold."""
    probability = max((made.probs or {}).values(), default=None)
    if made.failure is not None or probability is None or probability > threshold:
        return made
    reason = tr(
        "held back: a probability of {probability:.3g} is not above {threshold:.3g}",
        probability=probability,
        threshold=threshold,
    )
    wrong = None if made.correct is None else False
    return replace(made, label=None, correct=wrong, failure=reason, measures={}, abstained=True)
