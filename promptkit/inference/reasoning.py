"""Texts that a model generates before an answer, one sample or several: thoughts and rationales.

A prompt that asks for one knows the prompt that comes after it (`Prompt.after`). All thoughts of a
round are generated together, then all rationales, then the answers are asked; the samples of a
query differ in their numbers only, so that they share their prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from promptkit.errors import TaskError
from promptkit.inference.store import Result
from promptkit.models.base import Generation, Model, Request, Sampling
from promptkit.prompts.prompt import Asks
from promptkit.translation import tr

RATIONALE_TOKENS = 128
"""Budget of tokens of a rationale where nobody says so."""

TEMPERATURE = 0.7
"""Temperature of several samples where answers are greedy, that of Wang et al. (2023)."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much a model may generate before an answer, and how often.

    Raises:
        TaskError: A number is out of its range.
    """

    rationale_tokens: int = RATIONALE_TOKENS
    """Budget of tokens of a rationale, where the template asks for one."""
    samples: int = 1
    """Number of samples, whose answers vote."""
    think: int = 0
    """Budget of tokens of a thought; 0 for a model that is not to think."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("rationale_tokens", self.rationale_tokens, 1),
            ("rationales", self.samples, 1),
            ("think", self.think, 0),
        ):
            if value < least:
                raise TaskError(
                    tr(
                        "{name} is {value}; it is {least} or more",
                        name=name,
                        value=value,
                        least=least,
                    )
                )

    def sampling(self, asks: Asks, answers: Sampling) -> Sampling:
        """Return the sampling of a text, given that of the answers."""
        if asks == "answer":
            return answers
        warm = answers.temperature or (TEMPERATURE if self.samples > 1 else 0.0)
        budget = self.think if asks == "thought" else self.rationale_tokens
        return replace(answers, max_tokens=budget, temperature=warm)


class ModelRequests(NamedTuple):
    """Requests to one model."""

    model: Model
    sampling: Sampling
    """How answers without candidates are generated."""
    requests: Sequence[Request]
    reasoning: Reasoning = Reasoning()
    """What may be generated before the answers."""


class Response(NamedTuple):
    """Answer to a request, and what was generated before it."""

    request: Request
    """Request of the answer."""
    result: Result
    rationale: Generation | None = None
    thought: Generation | None = None

    @property
    def seconds(self) -> float:
        """Time that all of it took."""
        return sum(one.seconds for one in (self.result, self.rationale, self.thought) if one)


def text_of(generation: Generation | None) -> str | None:
    """Return a generated text without white space around it."""
    return None if generation is None else generation.text.strip()


Samples = Sequence[Response]
"""Responses to one request: one, or as many as were sampled."""

AskModels = Callable[[Sequence[ModelRequests]], Sequence[Sequence[Result]]]
"""A function that returns the results of requests, in their order."""


def respond(asked: Sequence[ModelRequests], ask: AskModels) -> list[list[Samples]]:
    """Return the responses to all requests, asking first for what comes before an answer.

    Args:
        asked: The requests; of one that asks for a thought or a rationale, samples are made.
        ask: Called with requests that need no results of each other: at most for all thoughts, for
            all rationales, and for all answers.
    """
    if not any(one.prompt.then for part in asked for one in part.requests):
        results = ask(asked)
        return [
            [(Response(*pair),) for pair in zip(part.requests, own, strict=True)]
            for part, own in zip(asked, results, strict=True)
        ]
    counts = [[_samples(part, one) for one in part.requests] for part in asked]
    parts = [
        part._replace(requests=_sampled(part, own)) for part, own in zip(asked, counts, strict=True)
    ]
    parts, thoughts = _generated(parts, "thought", ask)
    parts, rationales = _generated(parts, "rationale", ask)
    made = [
        map(Response, part.requests, own, reasons, thought)
        for part, own, reasons, thought in zip(parts, ask(parts), rationales, thoughts, strict=True)
    ]
    return [
        [tuple(islice(rest, count)) for count in own]
        for rest, own in zip(made, counts, strict=True)
    ]


def _samples(part: ModelRequests, request: Request) -> int:
    return part.reasoning.samples if request.prompt.then else 1


def _sampled(part: ModelRequests, counts: Sequence[int]) -> list[Request]:
    """Return the requests, each as often as it is sampled, with the numbers of the samples."""
    made: list[Request] = []
    for request, count in zip(part.requests, counts, strict=True):
        others = [replace(request.prompt, sample=number) for number in range(1, count)]
        made += [request, *(part.model.tokenize(others) if others else ())]
    return made


def _generated(
    parts: Sequence[ModelRequests], asks: Asks, ask: AskModels
) -> tuple[list[ModelRequests], list[list[Generation | None]]]:
    """Return the requests after a thought or a rationale, and what was generated."""
    if not any(one.prompt.asks == asks for part in parts for one in part.requests):
        return [*parts], [[None] * len(part.requests) for part in parts]
    before = [_asking(part, asks) for part in parts]
    results = ask(before)
    after: list[ModelRequests] = []
    found: list[list[Generation | None]] = []
    for part, asked, own in zip(parts, before, results, strict=True):
        texts = [one for one in own if isinstance(one, Generation)]
        prompts = [r.prompt.after(one.text) for r, one in zip(asked.requests, texts, strict=True)]
        rest = zip(part.model.tokenize(prompts) if prompts else (), texts, strict=True)
        pairs = [next(rest) if one.prompt.asks == asks else (one, None) for one in part.requests]
        after.append(part._replace(requests=[request for request, _ in pairs]))
        found.append([text for _, text in pairs])
    return after, found


def _asking(part: ModelRequests, asks: Asks) -> ModelRequests:
    """Return the requests that ask for a thought or rationale, with its sampling."""
    requests = [one for one in part.requests if one.prompt.asks == asks]
    if not requests:
        return part._replace(requests=())
    return part._replace(requests=requests, sampling=part.reasoning.sampling(asks, part.sampling))


def generations(responses: Iterable[Samples]) -> list[Generation]:
    """Return all thoughts and rationales of some responses."""
    every = chain.from_iterable((r.thought, r.rationale) for samples in responses for r in samples)
    return [one for one in every if one is not None]
