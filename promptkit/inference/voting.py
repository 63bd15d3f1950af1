"""Votes of several samples of an answer: self-consistency.

Generated answers have a vote each, and equal answers are counted together: their share of the votes
is their probability. Scored labels have probabilities already, whose mean over the samples is the
probability of a label whatever the rationale is, so that no vote is rounded to one label.

Wang, Wei, Schuurmans, Le, Chi, Narang, Chowdhery and Zhou, "Self-consistency improves chain of
thought reasoning in language models", ICLR 2023.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from promptkit.inference.answer_fields import Answer, read, scored
from promptkit.inference.reasoning import Response, Samples, text_of
from promptkit.models.base import Score
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class Vote:
    """Answer of one of several samples, with what was generated before it."""

    label: Any
    """Answer; None after a failure."""
    text: str | None = None
    """Generated text of the answer; None for scored labels."""
    failure: str | None = None
    """Reason why there is no answer; None where there is one."""
    rationale: str | None = None
    """Rationale before the answer."""
    thought: str | None = None
    """Thought before the answer."""
    probability: float | None = None
    """Probability of the answer in this sample, where labels are scored."""


def pooled(samples: Samples) -> Score:
    """Return the scores of the candidates of a request over all its samples.

    The probabilities, normalised over the candidates, are averaged, so that each sample counts as
    much as another; so is the probability mass of all candidates.

    Args:
        samples: The responses to the request; a single one is its score.

    Raises:
        TypeError: The answers were generated.
    """
    scores = [one.result for one in samples if isinstance(one.result, Score)]
    if len(scores) < len(samples):
        raise TypeError(tr("generated answers have no scores"))
    if len(scores) == 1:
        return scores[0]
    tables = [[math.exp(one) for one in score.logprobs] for score in scores]
    masses = [math.fsum(row) for row in tables]
    mass = fmean(masses)
    shares = [
        fmean(p / total for p, total in zip(column, masses, strict=True))
        for column in zip(*tables, strict=True)
    ]
    return Score(
        tuple([math.log(mass * share) if share > 0 else -math.inf for share in shares]),
        scores[0].tokens,
        math.fsum(score.seconds for score in scores),
        tuple(sorted({index for score in scores for index in score.unknown})),
    )


def elected(
    task: Task[Any, Any], query: Example[Any, Any], samples: Samples, tolerance: float
) -> tuple[int, Answer, tuple[Vote, ...]]:
    """Return the answer that samples vote for.

    Args:
        task: The task of the query.
        query: What is asked.
        samples: The responses, one or more.
        tolerance: The model's tolerance of margins.

    Returns:
        The place of a sample that gave the answer, the answer, and the votes; a single response is
        the answer, without votes.
    """
    answers = [read(task, query, one, tolerance) for one in samples]
    if len(samples) == 1:
        return 0, answers[0], ()
    votes = tuple([_vote(task, *pair) for pair in zip(samples, answers, strict=True)])
    if isinstance(samples[0].result, Score):
        answer = scored(task, query, pooled(samples), tolerance)
        label = max(answer.fields["probs"], key=answer.fields["probs"].__getitem__)
        own = [one.fields["probs"][label] for one in answers]
        return own.index(max(own)), answer, votes
    return *_of_generated(task, answers), votes


def _of_generated(task: Task[Any, Any], answers: Sequence[Answer]) -> tuple[int, Answer]:
    """Return the most common of generated answers, and the place of the first that is just so.

    Of texts that are counted together, the one that is written most often stands for them.
    """
    given = [one for one in answers if not one.failed]
    if not given:
        first = answers[0].fields["failure"]
        failure = tr(
            "none of {count} samples gave an answer; the first: {first}",
            count=len(answers),
            first=first,
        )
        return 0, answers[0].having(failure=failure)
    groups: dict[str, Counter[str]] = {}
    for one in given:
        written = task.output_type.text(one.value)
        groups.setdefault(task.judge.form(one.value), Counter())[written] += 1
    ranked = sorted(groups.values(), key=lambda group: -group.total())  # of equals the first
    shares = {group.most_common(1)[0][0]: group.total() / len(answers) for group in ranked}
    winner = next(iter(shares))
    place = next(
        place
        for place, one in enumerate(answers)
        if not one.failed and task.output_type.text(one.value) == winner
    )
    return place, answers[place].having(probs=shares)


def _vote(task: Task[Any, Any], response: Response, answer: Answer) -> Vote:
    fields, failed = answer.fields, answer.failed
    return Vote(
        label=None if failed else task.output_type.plain(answer.value),
        text=fields["text"],
        failure=fields["failure"],
        rationale=text_of(response.rationale),
        thought=text_of(response.thought),
        probability=max(fields["probs"].values()) if fields["probs"] else None,
    )
