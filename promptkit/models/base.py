"""Contract of models: requests, three calls for many of them at once, and an identity."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

from promptkit.errors import PromptError, PromptTooLongError, shorten
from promptkit.prompts.prompt import Prompt
from promptkit.translation import tr

GpuLayers = int | Literal["auto"]
"""Number of layers of a model that run on a GPU, or what was measured to be fastest."""

Weights = Literal["auto", "as-is", "f32", "f16", "bf16", "q8_0", "q4_0"]
"""What a model runs from: the fastest weights that are as precise as its file's, its file as it is,
or a type by name."""


@dataclass(frozen=True, slots=True)
class Score:
    """Log-probabilities of a closed set of candidates."""

    logprobs: tuple[float, ...]
    """Per candidate, the sum of its tokens' log-probabilities, in nats, given `ids`."""
    tokens: int
    """The tokens of the prompt."""
    seconds: float
    """This prompt's share of the time that its batch took."""
    unknown: tuple[int, ...] = ()
    """Candidates whose log-probabilities the model does not show, or that cannot be the best where
    only that is wanted: each has the most that it can have."""


Finish = Literal["stop", "eos", "length", "stuck"]
"""Why an answer ended: the stop, or a value after which only the stop may come; the model's own
end; the budget of tokens; or a format under which the model's vocabulary cannot go on."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Generated answer."""

    text: str
    """The text up to the stop, the stop left out."""
    finish: Finish
    """Reason why it ended."""
    tokens: int
    """The tokens of the prompt."""
    generated: int
    """The tokens written."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling of generated answers; the default is greedy.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> Sampling(max_tokens=8)
        Sampling(max_tokens=8, temperature=0.0, seed=0)
    """

    max_tokens: int = 64
    """Budget of tokens of an answer, 1 or more."""
    temperature: float = 0.0
    """Temperature of sampling; 0 is greedy."""
    seed: int = 0
    """Seed of sampling, 0 or more."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(
                tr("max_tokens is {max_tokens}; it is 1 or more", max_tokens=self.max_tokens)
            )
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(
                tr(
                    "temperature is {temperature}; it is 0 (greedy) or more",
                    temperature=self.temperature,
                )
            )
        if self.seed < 0:
            raise ValueError(tr("seed is {seed}; it is 0 or more", seed=self.seed))


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Identity of a model: everything that decides its numbers, its name and its tolerance."""

    name: str
    """What the user called it; never part of a key."""
    sha256: str
    """The digest of the model file's bytes."""
    architecture: str
    weights: str
    """The weight type that most of the model is stored in, such as Q4_1."""
    runtime: str
    """The library and its version."""
    context: int
    """The longest sequence, in tokens."""
    settings: str = ""
    """What else decides the numbers, such as the precision of the cache."""
    adapter: str | None = None
    """The digest of a LoRA adapter's bytes, and its scale where that is not 1."""
    tolerance: float = 0.0
    """How far, in nats, the margin between two labels may move with what else is read beside a
    prompt; never part of a key."""

    @property
    def key(self) -> Mapping[str, object]:
        """Everything that decides the numbers."""
        parts = asdict(self)
        del parts["name"], parts["tolerance"]
        return parts

    def changes(self, key: Mapping[str, object]) -> Mapping[str, str]:
        """Return the parts that are others than those of a key, each with a text on both."""
        return {
            part: tr("{part} {value}, not {other}", part=part, value=value, other=key.get(part))
            for part, value in self.key.items()
            if key.get(part) != value
        }


def runs_otherwise(changes: Mapping[str, str]) -> str:
    """Return a sentence on the changes of a model's identity."""
    return tr(
        "the model runs with {changes}, so that its scores may differ",
        changes="; ".join(changes.values()),
    )


@dataclass(frozen=True)
class LoadedFrom:
    """How a model was loaded: the arguments of `load_model` that decide its numbers."""

    name: str
    weights: Weights
    exact: bool
    adapters: tuple[tuple[str, float], ...] = ()
    """Paths of adapters and their scales."""
    gpu_layers: int = 0

    def adapted(self, path: str, scale: float) -> LoadedFrom:
        """Return how the model with one more adapter was loaded."""
        return replace(self, adapters=(*self.adapters, (path, scale)))


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a running model, in bytes, for any number of prompts."""

    weights: int
    cache: int
    """Of keys and values; what recurrent models keep instead is small, and not counted."""
    logits: int

    def __str__(self) -> str:
        parts = (
            tr("{size:,.0f} MB of {name}", size=getattr(self, name) / 1e6, name=tr(name))
            for name in self.__slots__
        )
        return ", ".join(parts)


@dataclass(slots=True)
class Usage:
    """Cost of the work so far; a model adds to it as it runs."""

    decoded_tokens: int = 0
    """Tokens that were decoded."""
    decode_seconds: float = 0.0
    """The time inside the runtime."""


class UsageByThread(threading.local):
    """The usage of each thread, so that a comparison reports what its own work cost."""

    def __init__(self) -> None:
        self.usage = Usage()

    @contextmanager
    def counting(self, total: Usage) -> Iterator[None]:
        """Add to the usage of this thread what a counter of all threads grows by meanwhile."""
        tokens, seconds = total.decoded_tokens, total.decode_seconds
        try:
            yield
        finally:
            self.usage.decoded_tokens += total.decoded_tokens - tokens
            self.usage.decode_seconds += total.decode_seconds - seconds


class Request(Protocol):
    """A prompt as one model is asked it, by token ids or by text: its key and its cost.

    `promptkit.prompts.prompt.TokenizedPrompt` is one.
    """

    @property
    def prompt(self) -> Prompt:
        """The prompt as raw text."""
        ...

    @property
    def tokens(self) -> int:
        """Number of tokens of the prompt; an estimate where the model does not show them."""
        ...

    @property
    def candidate_tokens(self) -> Sequence[int]:
        """Per candidate, the number of its tokens; empty where the answer is generated."""
        ...

    @property
    def naive_tokens(self) -> int:
        """Number of tokens of a loop that decodes the prompt anew for every candidate."""
        ...

    @property
    def content(self) -> bytes:
        """The part of the key that says what is asked: different for different results."""
        ...

    def sequences(self) -> Iterable[bytes]:
        """Return the sequences to decode, `TOKEN_BYTES` a token; common beginnings are shared."""
        ...


@runtime_checkable
class Model(Protocol):
    """A language model: three calls, each for many prompts, and an identity.

    Example:
        >>> from promptkit import FakeModel
        >>> isinstance(FakeModel(), Model)
        True
    """

    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def usage(self) -> Usage: ...

    def tokenize(self, prompts: Sequence[Prompt]) -> Sequence[Request]:
        """Return the prompts as requests to this model.

        Raises:
            PromptError: A prompt cannot be asked, such as one that does not fit the context.
        """
        ...

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        ...

    def score(self, requests: Sequence[Any], /) -> Iterator[tuple[int, Score]]:
        """Score every candidate of its own requests; yield (index, score) as they are made.

        Of a prompt of which only the best is wanted (`Prompt.best`), candidates that cannot be it
        may stay unknown.
        """
        ...

    def generate(
        self, requests: Sequence[Any], /, sampling: Sampling = ...
    ) -> Iterator[tuple[int, Generation]]:
        """Generate an answer to its own requests; yield (index, generation) as they are made."""
        ...


@runtime_checkable
class JointModel(Model, Protocol):
    """A model that also scores and generates in one call."""

    @property
    def shares_batches(self) -> bool:
        """True where such a call decodes its requests together, which makes a few more cheap."""
        ...

    def answer(
        self, requests: Sequence[Any], /, sampling: Sampling = ...
    ) -> Iterator[tuple[int, Score | Generation]]:
        """Score requests that have candidates, and generate an answer to every other one."""
        ...


def check_fits(request: Request, context: int, budget: int = 0) -> None:
    """Raise where a prompt and the longest answer take more tokens than a context has.

    Args:
        request: The prompt as the model reads it.
        context: The longest sequence of the model, in tokens.
        budget: The most tokens of a generated answer.

    Raises:
        PromptTooLongError: They do not fit.
    """
    answer = max([budget, *request.candidate_tokens])
    if request.tokens + answer > context:
        shots = len(request.prompt.shots)
        raise PromptTooLongError(
            tr(
                "example {query} with {shots} shots: {tokens} tokens of prompt and "
                "{answer} of answer do not fit the context of {context}; ask for fewer "
                "shots, a shorter answer or a larger context",
                query=shorten(request.prompt.query),
                shots=shots,
                tokens=request.tokens,
                answer=answer,
                context=context,
            )
        )


def check_scored(request: Request, context: int) -> None:
    """Raise where candidates cannot be scored after a prompt.

    Args:
        request: The prompt as the model reads it.
        context: The longest sequence of the model, in tokens.

    Raises:
        PromptError: It does not fit the context, or has no candidates.
    """
    check_fits(request, context)
    if not request.candidate_tokens:
        name = shorten(request.prompt.query)
        raise PromptError(
            tr("example {name}: no candidates to score; generate its answer", name=name)
        )
