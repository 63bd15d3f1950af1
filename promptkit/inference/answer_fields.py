"""Fields of a prediction, from what a model said about a query."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptkit.models.base import Generation, Score
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task


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


def scored(labels: Sequence[str], score: Score, tolerance: float) -> dict[str, Any]:
    """Return the fields of a scored answer; `tolerance` is that of the model, in nats."""
    peak = max(score.logprobs)
    weights = [math.exp(logprob - peak) for logprob in score.logprobs]
    total = sum(weights)
    ranked = sorted(score.logprobs, reverse=True)
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else None
    return {
        "label": labels[score.logprobs.index(peak)],
        "logprobs": dict(zip(labels, score.logprobs, strict=True)),
        "probs": {label: weight / total for label, weight in zip(labels, weights, strict=True)},
        "margin": margin,
        "near_tie": margin is not None and margin <= tolerance,
        "coverage": sum(map(math.exp, score.logprobs)),
        "text": None,
        "failure": None,
    }


_UNFINISHED = {
    "length": "the answer was cut at its budget of tokens before it was complete; "
    "allow more of them (max_tokens)",
    "stuck": "the model's vocabulary has no token with which the answer's format can go on",
}


def generated(
    parse: Callable[[str], Any], generation: Generation, whole: bool
) -> tuple[dict[str, Any], Any]:
    """Return the fields of a generated answer and its value; an unfinished one of a `whole` format
    has none."""
    said: dict[str, Any] = {**UNSCORED, "text": generation.text, "failure": None}
    if whole and generation.finish in ("length", "stuck"):
        said["failure"] = _UNFINISHED[generation.finish]
        return said, None
    try:
        return said, parse(generation.text.strip())
    except ValueError as error:
        said["failure"] = str(error)
        if generation.finish == "length":
            said["failure"] += " (the answer was cut at its budget of tokens)"
        return said, None


def held_back(made: Any, threshold: float) -> Any:
    """Return a prediction without its answer, where its probability is not above the threshold."""
    probability = max((made.probs or {}).values(), default=None)
    if made.failure is not None or probability is None or probability > threshold:
        return made
    reason = f"held back: a probability of {probability:.3g} is not above {threshold:.3g}"
    wrong = None if made.correct is None else False
    return replace(made, label=None, correct=wrong, failure=reason, measures={}, abstained=True)
