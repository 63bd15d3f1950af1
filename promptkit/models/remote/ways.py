"""Ways to score the candidates of a prompt on a server, from exact ones to bounds.

A label whose log-probability a server does not show is unknown: it has the most that it can have,
and its index says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from promptkit.errors import ModelError, PromptError, shorten
from promptkit.models.planning.candidate_trie import candidate_trie
from promptkit.models.remote.client import Client
from promptkit.models.remote.next_tokens import ALL, Ask, NextTokens, read_llama_cpp, reading
from promptkit.models.remote.server_tokens import ServerTokens
from promptkit.models.remote.text_request import TextRequest
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.translation import tr

_LISTED = 200
"""Tokens that are asked for at a point, where the server lists any number."""

_FORCE = 10_000.0
"""A bias, in nats, that no logit outweighs."""

_UNDERFLOW = -103.0
"""About the logarithm of the least number in single precision, in nats."""

_SMALLEST = math.log(0.5e-4)
"""What a probability of 0 may be, where four digits are shown."""


class Scored(NamedTuple):
    """Log-probabilities of the candidates of a prompt."""

    logprobs: tuple[float, ...]
    unknown: tuple[int, ...] = ()
    """Candidates of which only the most that they can have is known."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to score candidates."""

    name: str
    """What it is, for people; a part of the identity of the model."""
    reads: str
    """What it takes: `tokens`, `text` or `turns`."""
    score: Callable[[Any], Scored]
    exact: bool = True
    """False where a label may be unknown, or the numbers are not those of whole labels."""


Look = Callable[[tuple[int, ...], Sequence[int]], Iterable[tuple[float, bool]]]
"""Returns the log-probability of each token after some tokens of a candidate, and whether it is
known."""


def _walk(request: TokenizedPrompt, look: Look) -> Scored:
    """Return the scores of candidates from the tokens at each point of their trie."""
    trie = candidate_trie(request.candidates)
    logprobs, unknown = np.zeros(trie.size), np.zeros(trie.size)
    for prefix, targets, edges in zip(trie.prefixes, trie.targets, trie.edges, strict=True):
        found = [*look(prefix, targets.tolist())]
        logprobs[edges] = [logprob for logprob, _ in found]
        unknown[edges] = [not known for _, known in found]
    return Scored(
        trie.sums(logprobs),
        tuple(index for index, count in enumerate(trie.sums(unknown)) if count),
    )


def forced(client: Client, ask: Ask) -> Callable[[TokenizedPrompt], Scored]:
    """Return a way by tokens that llama.cpp's `/completion` is forced to write.

    The log-probabilities there are those before the bias that forces a token.
    """

    def force(ids: Sequence[int], token: int) -> tuple[float, bool]:
        body = {"prompt": [*ids], "n_predict": 1, "temperature": 0, "n_probs": 1}
        said = client.post("/completion", {**body, "logit_bias": [[token, _FORCE]]})
        found = read_llama_cpp(said).by_id
        if token not in found:
            raise ModelError(
                tr("/completion: the server does not write the token {token}", token=token)
            )
        if found[token] < _UNDERFLOW:  # a probability that is 0 in single precision
            return _UNDERFLOW, False
        return found[token], True

    def score(request: TokenizedPrompt) -> Scored:
        def look(prefix: tuple[int, ...], targets: Sequence[int]) -> Iterable[tuple[float, bool]]:
            ids = [*request.ids, *prefix]
            found = ask(ids, _LISTED).by_id
            for token in targets:
                yield (found[token], True) if token in found else force(ids, token)

        return _walk(request, look)

    return score


def continued(ask: Ask, words: ServerTokens, most: int) -> Callable[[TokenizedPrompt], Scored]:
    """Return a way by the next tokens after the prompt and each beginning of a candidate, as text.

    Args:
        ask: Lists the next tokens after a text.
        words: The tokenizer of the server.
        most: The most tokens that the server lists.
    """

    def score(request: TokenizedPrompt) -> Scored:
        before = _text_before(request, words)

        def look(prefix: tuple[int, ...], targets: Sequence[int]) -> Iterable[tuple[float, bool]]:
            raw = before + b"".join(map(words.piece, prefix))
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:  # within a character, where no text ends
                return [(0.0, False)] * len(targets)
            names = [words.piece(token).decode("utf-8", "replace") for token in targets]
            found = ask(text, min(most, _LISTED))
            if most == ALL and not all(
                _listed(found, *one) for one in zip(targets, names, strict=True)
            ):
                found = ask(text, ALL)
            return [_number(found, token, name) for token, name in zip(targets, names, strict=True)]

        return _walk(request, look)

    return score


def _listed(found: NextTokens, token: int, name: str) -> bool:
    return token in found.by_id or name in found.logprobs


def _number(found: NextTokens, token: int, name: str) -> tuple[float, bool]:
    """Return the log-probability of a token; the most that it can have where it is not listed."""
    if token in found.by_id:
        return found.by_id[token], True
    if name in found.logprobs and name and "\ufffd" not in name:
        return found.logprobs[name], True
    return found.most, False


def _text_before(request: TokenizedPrompt, words: ServerTokens) -> bytes:
    """Return the text of the tokens that all candidates share."""
    prompt = request.prompt
    for label, ids in zip(prompt.candidates or (), request.candidates, strict=True):
        tail = b"".join(map(words.piece, ids))
        whole = (prompt.text + label).encode()
        for text in (whole, whole + words.piece(ids[-1])):  # which may be the stop's first
            if text.endswith(tail):
                return text[: len(text) - len(tail)]
    raise ModelError(
        tr(
            "example {query}: the server's tokens do not spell its labels",
            query=shorten(prompt.query),
        )
    )


def echoed(client: Client, model: str | None) -> Callable[[TokenizedPrompt], Scored]:
    """Return a way by the log-probabilities of the prompt's own tokens, given as tokens."""

    def score(request: TokenizedPrompt) -> Scored:
        sequences = [[*request.ids, *own] for own in request.candidates]
        read = echo(client, model, sequences)
        found = []
        for own, sequence, logprobs in zip(request.candidates, sequences, read, strict=True):
            if not 0 <= len(sequence) - len(logprobs) <= 1:  # one may be left out: the first
                raise ModelError(
                    tr(
                        "/v1/completions: the server echoes {count} of {total} tokens",
                        count=len(logprobs),
                        total=len(sequence),
                    )
                )
            found.append(math.fsum(one for _, one in logprobs[-len(own) :]))
        return Scored(tuple(found))

    return score


def echoed_text(client: Client, model: str | None) -> Callable[[TextRequest], Scored]:
    """Return a way by the log-probabilities of the prompt's own tokens, given as text."""

    def score(request: TextRequest) -> Scored:
        text = request.prompt.text
        read = [echo(client, model, text + ending)[0] for ending in request.endings]
        names = [[name for name, _ in one] for one in read]
        branch = 0
        while len({tuple(one[: branch + 1]) for one in names}) == 1 and all(
            len(one) > branch + 1 for one in names
        ):
            branch += 1
        if len(names) == 1:  # no other label says where it begins
            branch = _first_token_of(names[0], len(text))
        return Scored(tuple(math.fsum(one for _, one in each[branch:]) for each in read))

    return score


def _first_token_of(names: Sequence[str], length: int) -> int:
    """Return the index of the token that reaches past a length."""
    end = 0
    for index, name in enumerate(names):
        end += len(name)
        if end > length:
            return index
    return len(names) - 1


def echo(client: Client, model: str | None, prompt: Any) -> list[list[tuple[str, float]]]:
    """Return the tokens of prompts with their log-probabilities, the first with 0.

    Args:
        client: The server.
        model: The model's name there.
        prompt: A text, or lists of tokens.

    Raises:
        ModelError: The server echoes no log-probabilities.
    """
    # One token is written, since 0 of them means any number to some servers.
    body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
    said = client.post("/v1/completions", {**body, "logprobs": 1, "echo": True})
    with reading(tr("/v1/completions with echo")):
        choices = sorted(said["choices"], key=lambda choice: choice.get("index", 0))
        usage = said.get("usage") or {}
        written = usage.get("completion_tokens", len(choices)) // max(len(choices), 1)
        found = []
        for choice in choices:
            logprobs = choice["logprobs"]
            pairs = [*zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)]
            kept = pairs[: len(pairs) - written] if written else pairs
            if not kept or any(one is None for _, one in kept[1:]):
                raise ValueError
            found.append([(str(name), float(one or 0.0)) for name, one in kept])
        return found


def spelled(ask: Ask, most: int) -> Callable[[TextRequest], Scored]:
    """Return a way by the next tokens after a text whose tokens are not shown.

    Of the tokens with which a label can go on, the longest is taken, as tokenizers do.
    """

    def score(request: TextRequest) -> Scored:
        sums, unknown = [0.0] * len(request.endings), set()

        def go_on(text: str, left: Mapping[int, str]) -> None:
            found = ask(text, min(most, _LISTED))
            following: dict[str, dict[int, str]] = {}
            for index, rest in left.items():
                token = _longest(found.logprobs, rest)
                if token is None and most == ALL:
                    found = ask(text, ALL)
                    token = _longest(found.logprobs, rest)
                if token is None:
                    unknown.add(index)
                    sums[index] += found.most
                    continue
                sums[index] += found.logprobs[token]
                if len(rest) > len(token):
                    following.setdefault(token, {})[index] = rest[len(token) :]
            for token, rests in following.items():
                go_on(text + token, rests)

        go_on(request.prompt.text, dict(enumerate(request.endings)))
        return Scored(tuple(sums), tuple(sorted(unknown)))

    return score


def _longest(tokens: Iterable[str], text: str) -> str | None:
    return max((one for one in tokens if one and text.startswith(one)), key=len, default=None)


def first_tokens(ask: Ask, most: int) -> Callable[[TextRequest], Scored]:
    """Return a way by the first token of a chat's answer, which has to tell the labels apart."""

    def score(request: TextRequest) -> Scored:
        found = ask(request.turns, most)
        names = {name.lstrip(): one for name, one in reversed([*found.logprobs.items()])}
        labels = [ending.strip() for ending in request.endings]
        starts = [_longest(names, label) for label in labels]
        for index, start in enumerate(starts):
            if start is not None and start in starts[:index]:
                other = labels[starts.index(start)]
                raise PromptError(
                    tr(
                        "the labels {other!r} and {labels!r} begin with the same token {start!r}, "
                        "and this server does not go on from it; compare with --verbalizer words "
                        "that begin apart, or use a server with /v1/completions",
                        other=other,
                        labels=labels[index],
                        start=start,
                    )
                )
        return Scored(
            tuple(found.most if one is None else names[one] for one in starts),
            tuple(index for index, one in enumerate(starts) if one is None),
        )

    return score


def decided(client: Client) -> Callable[[TextRequest], Scored]:
    """Return a way by the probabilities of a decision model; the prompt is its state."""

    def score(request: TextRequest) -> Scored:
        labels = [label.strip() for label in request.prompt.candidates or ()]
        found = decide(client, request.prompt.text, "Which one goes on the text?", labels)
        return Scored(
            tuple(math.log(one) if one > 0 else _SMALLEST for one in found),
            tuple(index for index, one in enumerate(found) if one <= 0),
        )

    return score


def decide(client: Client, state: str, question: str, labels: Sequence[str]) -> list[float]:
    """Return the probability of each label, as `/v1/systemone` decides.

    Raises:
        ModelError: Its answer has other labels, or no probabilities.
    """
    asked = {"type": "choice", "instructions": question, "criteria": dict.fromkeys(labels)}
    said = client.post("/v1/systemone", {"state": state, "questions": {"answer": asked}})
    with reading("/v1/systemone"):
        found = said["answers"]["answer"]["probabilities"]
        return [float(found[label]) for label in labels]
