"""The request shape of decision APIs, `POST /v1/systemone`: a state, questions with options.

A service answers one question, that of its predictor. So a question is accepted if its options are
the predictor's labels; what it asks in words does not reach the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from promptkit.serving.refusal import RefusalError, flaw
from promptkit.serving.served import InputAnswer, Served
from promptkit.tasks.pydantic_messages import said_of
from promptkit.text import listed
from promptkit.translation import tr

_TRUE, _FALSE = ("true", "yes"), ("false", "no")

Words = str | dict[str, Any] | list[Any] | None


class ChoiceQuestion(BaseModel):
    """Question for one of several options, which are the keys of `criteria`."""

    type: Literal["choice"]
    instructions: Words = None
    criteria: dict[str, Words] = Field(min_length=1, max_length=255)


class ScoreQuestion(BaseModel):
    """Question for one of several ordered levels, from 0."""

    type: Literal["score"]
    instructions: Words = None
    criteria: list[Words] = Field(min_length=2, max_length=10)


class NoulQuestion(BaseModel):
    """Question that is answered by yes or no."""

    type: Literal["noul"]
    instructions: Words = None
    criteria: dict[str, Words] | None = None


SystemOneQuestion = Annotated[
    ChoiceQuestion | ScoreQuestion | NoulQuestion, Field(discriminator="type")
]


class SystemOneRequest(BaseModel):
    """State and the questions about it."""

    state: str | dict[str, Any] | list[Any]
    questions: dict[str, SystemOneQuestion] = Field(min_length=1, max_length=100)
    model: str | None = None


class ChoiceDecision(BaseModel):
    """Answer to a question for one of several options."""

    type: Literal["choice"] = "choice"
    choice: str
    probabilities: dict[str, float]
    confidence: float = Field(description="0 for equal probabilities, 1 for a certain answer.")
    abstained: bool = Field(description="The predictor itself would have held it back.")


class ScoreDecision(BaseModel):
    """Answer to a question for one of several levels."""

    type: Literal["score"] = "score"
    score: float = Field(description="Expected level.")
    legend: dict[str, Words]
    probabilities: dict[str, float]
    confidence: float
    abstained: bool


class NoulDecision(BaseModel):
    """Answer to a question that is answered by yes or no."""

    type: Literal["noul"] = "noul"
    noul: float = Field(description="Probability of yes.")
    abstained: bool


class TokenUsage(BaseModel):
    """Tokens of the prompts."""

    input_tokens: int
    output_tokens: int = 0


class SystemOneResponse(BaseModel):
    """Answers to the questions, by their names."""

    model: str
    answers: dict[str, ChoiceDecision | ScoreDecision | NoulDecision]
    usage: TokenUsage


def request_of(data: Any) -> SystemOneRequest:
    """Return a request out of JSON. Raises `RefusalError`."""
    try:
        return SystemOneRequest.model_validate(data)
    except ValidationError as error:
        items = error.errors(include_url=False)
        flaws = [flaw(item["loc"], said_of(item), item["input"]) for item in items]
        raise RefusalError(422, flaws) from None


def input_for(served: Served, request: SystemOneRequest, name: str) -> Mapping[str, Any]:
    """Return the fields of the input that asks a question.

    Raises:
        RefusalError: The question's options are not the labels, or a text is no input.
    """
    question = request.questions[name]
    place = ["questions", name]
    fields = [*served.input_type.model_fields]
    values: dict[str, Any] = {}
    if served.options is not None:
        if not isinstance(question, ChoiceQuestion):
            raise RefusalError(
                422, [flaw(place, tr("this predictor answers questions of type choice"))]
            )
        values[served.options] = [*question.criteria]
        fields.remove(served.options)
    else:
        _check_options(served, question, place)
    if isinstance(request.state, Mapping):
        return {**request.state, **values}
    if len(fields) != 1:
        reason = tr("the state is an object of the input's fields: {fields}", fields=listed(fields))
        raise RefusalError(422, [flaw(["state"], reason)])
    return {fields[0]: request.state, **values}


def _check_options(served: Served, question: SystemOneQuestion, place: Sequence[str]) -> None:
    labels = served.labels
    if not labels:
        raise RefusalError(
            422, [flaw(place, tr("this predictor has no labels with probabilities"))]
        )
    match question:
        case ChoiceQuestion() if {*question.criteria} != {*labels}:
            reason = tr(
                "the options are not the labels of this predictor: {labels}", labels=listed(labels)
            )
        case ScoreQuestion() if len(question.criteria) != len(labels) or _levels(labels) is None:
            reason = tr(
                "the labels of this predictor are no such levels: {labels}", labels=listed(labels)
            )
        case NoulQuestion() if _yes(labels) is None:
            reason = tr(
                "the labels of this predictor are not true and false: {labels}",
                labels=listed(labels),
            )
        case _:
            return
    raise RefusalError(422, [flaw([*place, "criteria"], reason)])


def decision_of(
    question: SystemOneQuestion, answer: InputAnswer
) -> ChoiceDecision | ScoreDecision | NoulDecision:
    """Return an answer as a decision. Raises `RefusalError` for one without probabilities."""
    probs = answer.probs
    if not probs:
        raise RefusalError(422, answer.failure or tr("this predictor gives no probabilities"))
    if isinstance(question, NoulQuestion):
        yes = _yes([*probs])
        assert yes is not None
        return NoulDecision(noul=probs[yes], abstained=answer.abstained)
    if isinstance(question, ScoreQuestion):
        levels = _levels([*probs])
        assert levels is not None
        ranked = [probs[label] for label in levels]
        return ScoreDecision(
            score=sum(level * p for level, p in enumerate(ranked)),
            legend={str(level): words for level, words in enumerate(question.criteria)},
            probabilities={str(level): p for level, p in enumerate(ranked)},
            confidence=_confidence_of_levels(ranked),
            abstained=answer.abstained,
        )
    return ChoiceDecision(
        choice=max(probs, key=probs.__getitem__),
        probabilities={option: probs[option] for option in question.criteria},
        confidence=_confidence([*probs.values()]),
        abstained=answer.abstained,
    )


def _yes(labels: Sequence[str]) -> str | None:
    """Return the label that says yes, of two of which the other says no."""
    for words in zip(_TRUE, _FALSE, strict=True):
        if sorted(label.lower() for label in labels) == sorted(words):
            return next(label for label in labels if label.lower() == words[0])
    return None


def _levels(labels: Sequence[str]) -> list[str] | None:
    """Return labels that are whole numbers in their order."""
    try:
        return sorted(labels, key=int)
    except ValueError:
        return None


def _confidence(probs: Sequence[float]) -> float:
    """Return how far the largest probability is from equal ones, from 0 to 1."""
    if len(probs) < 2:
        return 1.0
    equal = 1 / len(probs)
    return max(0.0, (max(probs) - equal) / (1 - equal))


def _confidence_of_levels(probs: Sequence[float]) -> float:
    """Return how near levels are to the most probable one, against equal probabilities."""
    best, count = probs.index(max(probs)), len(probs)
    distance = sum(p * abs(level - best) for level, p in enumerate(probs))
    equal = sum(abs(level - (count - 1) / 2) for level in range(count)) / count
    return max(0.0, 1 - distance / equal)
