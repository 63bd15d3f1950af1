"""Log-probabilities of the next token, as the endpoints of different servers write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from promptkit.errors import ModelError
from promptkit.models.remote.client import Client
from promptkit.translation import tr

ALL = 1_000_000
"""A number of tokens that no vocabulary has."""


@dataclass(frozen=True, slots=True)
class NextTokens:
    """Log-probabilities of the most probable next tokens."""

    logprobs: Mapping[str, float]
    """By the token's text."""
    text: str
    """The text that was written."""
    tokens: int
    """The tokens of the prompt, as the server counts them; 0 where it does not."""
    by_id: Mapping[int, float]
    """By the token's id, where the server says it."""

    @property
    def most(self) -> float:
        """What a token that is not there has at most."""
        listed = [*self.logprobs.values()] or [0.0]
        left = 1 - sum(map(math.exp, listed))
        return min(min(listed), math.log(left) if left > 0 else min(listed))

    @property
    def is_stubbed(self) -> bool:
        """True where the numbers are no log-probabilities: all the same, or impossible."""
        return is_stubbed(self.logprobs.values())


def is_stubbed(numbers: Iterable[float]) -> bool:
    """Return whether numbers cannot be log-probabilities: all the same, not finite, above 0."""
    listed = [*numbers]
    if not listed or not all(math.isfinite(one) and one <= 0.01 for one in listed):
        return True
    return not any(listed) if len(listed) == 1 else len(set(listed)) == 1


Ask = Callable[[Any, int], NextTokens]
"""Returns so many of the most probable tokens after a prompt."""


def completions(client: Client, model: str | None) -> Ask:
    """Return how `/v1/completions` is asked, with text or tokens."""

    def ask(prompt: Any, count: int) -> NextTokens:
        body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
        said = client.post("/v1/completions", {**body, "logprobs": count})
        return read_choice(said)

    return ask


def llama_cpp(client: Client) -> Ask:
    """Return how llama.cpp's `/completion` is asked."""

    def ask(prompt: Any, count: int) -> NextTokens:
        body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": count}
        return read_llama_cpp(client.post("/completion", body))

    return ask


def ollama(client: Client, model: str | None) -> Ask:
    """Return how Ollama's `/api/generate` is asked, without its template."""

    def ask(prompt: Any, count: int) -> NextTokens:
        body = {
            "model": model,
            "prompt": prompt,
            "raw": True,
            "stream": False,
            "logprobs": True,
            "top_logprobs": count,
            "options": {"num_predict": 1, "temperature": 0},
        }
        said = client.post("/api/generate", body)
        with reading("/api/generate"):
            logprobs, by_id = _listed(said["logprobs"][0])
            return NextTokens(
                logprobs, said["response"], int(said.get("prompt_eval_count", 0)), by_id
            )

    return ask


def chat(client: Client, model: str | None) -> Ask:
    """Return how `/v1/chat/completions` is asked, with turns."""

    def ask(prompt: Any, count: int) -> NextTokens:
        body = {"model": model, "messages": prompt, "max_tokens": 1, "temperature": 0}
        body |= {"logprobs": True, "top_logprobs": count}
        said = client.post("/v1/chat/completions", body)
        with reading("/v1/chat/completions"):
            choice = said["choices"][0]
            logprobs, by_id = _listed(choice["logprobs"]["content"][0])
            text = choice["message"].get("content") or ""
            return NextTokens(logprobs, text, _prompt_tokens(said), by_id)

    return ask


def read_choice(said: Any) -> NextTokens:
    """Return the next tokens of an answer of `/v1/completions`, in either of its forms."""
    with reading("/v1/completions"):
        choice = said["choices"][0]
        found = choice["logprobs"]
        if found.get("content"):
            logprobs, by_id = _listed(found["content"][0])
        else:
            logprobs, by_id = dict(found["top_logprobs"][0]), {}
            logprobs.setdefault(found["tokens"][0], found["token_logprobs"][0])
        numbers = {text: float(logprob) for text, logprob in logprobs.items()}
        return NextTokens(numbers, choice["text"], _prompt_tokens(said), by_id)


def read_llama_cpp(said: Any) -> NextTokens:
    """Return the next tokens of an answer of llama.cpp's `/completion`."""
    with reading("/completion"):
        logprobs, by_id = _listed(said["completion_probabilities"][0])
        return NextTokens(logprobs, said["content"], int(said.get("tokens_evaluated", 0)), by_id)


def _prompt_tokens(said: Mapping[str, Any]) -> int:
    return int((said.get("usage") or {}).get("prompt_tokens") or 0)


def _listed(first: Mapping[str, Any]) -> tuple[dict[str, float], dict[int, float]]:
    """Return log-probabilities by text and by id; the token that was written is one of them."""
    logprobs: dict[str, float] = {}
    by_id: dict[int, float] = {}
    for token in (first, *(first.get("top_logprobs") or ())):
        logprob = float(token["logprob"])
        raw: Sequence[int] | None = token.get("bytes")
        text = bytes(raw).decode("utf-8", "replace") if raw else str(token["token"])
        logprobs.setdefault(text, logprob)
        if isinstance(token.get("id"), int):
            by_id.setdefault(token["id"], logprob)
    return logprobs, by_id


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what a missing or misshapen part of an answer raises into an error with its path."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise ModelError(tr("{path}: its answer holds no log-probabilities", path=path)) from None
