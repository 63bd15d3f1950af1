"""Judgement of one answer against the gold outputs: right or wrong, and its measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from promptkit.errors import DataError, Problem, TaskError
from promptkit.tasks.answer_texts import token_f1
from promptkit.tasks.measures import Scorer, Scoring
from promptkit.tasks.output_type import OutputType


class Judgement(NamedTuple):
    """Correctness of an answer and its measures by name."""

    correct: bool
    measures: dict[str, float]


def judge(
    scoring: Scoring,
    output: OutputType,
    value: Any,
    golds: Sequence[Any],
    *,
    failed: bool = False,
    example: str | None = None,
) -> Judgement:
    """Return the judgement of an answer.

    Args:
        scoring: What counts as right.
        output: The output type of the task.
        value: The answer, of the output type.
        golds: The gold outputs, any of which is right; the best of them gives each measure.
        failed: Whether there is no answer, whatever the value is.
        example: The id of the query, for messages.

    Raises:
        DataError: A scorer raised an exception, or returned no number from 0 to 1.
    """
    same = not failed and any(output.same(value, gold) for gold in golds)
    said = None if failed else output.plain(value)
    forms = [output.plain(gold) for gold in golds]
    measures = scoring.measures(said, forms[0])
    if output.labels or not output.is_text:
        found = Judgement(same, measures)
    else:
        found = _text(scoring, said, forms, same)
    if scoring.scorer is None:
        return found
    scores = [0.0 if failed else _score(scoring.scorer, value, gold, example) for gold in golds]
    # Calibrated labels are compared with the gold label alone, and raw ones as they are.
    correct = found.correct if output.labels else max(scores) == 1
    return Judgement(correct, {**found.measures, "score": max(scores)})


def _text(scoring: Scoring, said: str | None, golds: Sequence[str], same: bool) -> Judgement:
    """Return the judgement of a text, of which `same` says whether it equals a gold one."""
    f1 = max(0.0 if said is None else token_f1(said, gold, scoring.language) for gold in golds)
    measures = {"token_f1": f1}
    if scoring.match == "exact":
        return Judgement(same, measures)
    correct = said is not None and any(scoring.matches(said, gold) for gold in golds)
    return Judgement(correct, {**measures, "exact_match": float(same)})


def _score(scorer: Scorer, value: Any, gold: Any, example: str | None) -> float:
    name = getattr(scorer, "__name__", type(scorer).__name__)
    try:
        score = float(scorer(value, gold))
    except TaskError:
        raise
    except Exception as error:
        reason = f"the scorer {name!r} raised {type(error).__name__}: {error}"
        raise DataError([Problem(reason, example=example, value=value)]) from error
    if not 0 <= score <= 1 or math.isnan(score):
        reason = f"the scorer {name!r} returned {score}; a score is a number from 0 to 1"
        raise DataError([Problem(reason, example=example, value=value)])
    return score
