"""What a server can do, found out with a known prompt; the most exact way is taken.

Servers differ in what they leave out, and some answer with numbers that are not what they are
called. So nothing is believed that the known prompt does not show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptkit.errors import ModelError, shorten
from promptkit.models.remote import ways
from promptkit.models.remote.client import Client, NoAnswerError
from promptkit.models.remote.next_tokens import (
    ALL,
    Ask,
    chat,
    completions,
    is_stubbed,
    llama_cpp,
    ollama,
    read_llama_cpp,
)
from promptkit.models.remote.server_tokens import ServerTokens
from promptkit.models.remote.ways import Way
from promptkit.models.remote.writers import (
    Write,
    write_chat,
    write_completions,
    write_llama_cpp,
    write_ollama,
)
from promptkit.translation import tr

KNOWN = "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is"
"""A text that any model goes on from in the same way."""

_QUESTION = [{"role": "user", "content": "Say the capital of Spain in one word."}]

CLOSE = 0.3
"""How far the same log-probability may lie apart in two answers, in nats, for another batch."""

_COUNTS = (20, 5, 2)
"""Numbers of listed tokens that servers allow: vLLM, OpenAI, and hardly any."""


class StubbedError(ModelError):
    """Numbers that are no log-probabilities."""


@dataclass
class Abilities:
    """What a server can do."""

    way: Way | None
    """The way to score candidates; None where there is none."""
    write: Write | None
    """The way to write answers; None where there is none."""
    reads: str = "text"
    """What requests are: `tokens`, `text` or `turns`."""
    refused: list[str] = field(default_factory=list)
    """Per other way, why it is not taken."""
    is_stubbed: bool = False
    """True where the server answered with numbers that are no log-probabilities."""


def probe(client: Client, model: str | None, words: ServerTokens | None) -> Abilities:
    """Return what a server can do, and how.

    Args:
        client: The server.
        model: The model's name there.
        words: The server's tokenizer, if it shows one.
    """
    once = client.trying_once()
    found = Abilities(None, None)
    steps: tuple[Callable[[], Way], ...] = (
        lambda: _forced(client, once, words),
        lambda: _echoed(client, once, model, words),
        lambda: _listed(client, once, model, words),
        lambda: _ollama(client, once, model),
        lambda: _chat(client, once, model),
        lambda: _decided(client, once),
    )
    for step in steps:
        try:
            found.way = step()
            break
        except ModelError as error:
            found.is_stubbed |= isinstance(error, StubbedError)
            found.refused.append(str(error).removeprefix(client.address.root))
    for reads, write in _writers(client, once, model, words):
        if found.way is None or (found.way.reads == "turns") == (reads == "turns"):
            found.write, found.reads = write, reads
            break
    if found.way is not None:
        found.reads = found.way.reads
    return found


def _forced(client: Client, once: Client, words: ServerTokens | None) -> Way:
    """Return the way by llama.cpp's `/completion`, whose numbers do not change when forced."""
    if words is None:
        raise ModelError(tr("/completion: the server shows no tokens"))
    ids = _with_bos(words)
    found = llama_cpp(once)(ids, 10)
    _check(found.logprobs.values(), "/completion")
    token, logprob = min(found.by_id.items(), key=lambda one: one[1], default=(None, 0.0))
    if token is None:
        raise ModelError(tr("/completion: the server does not say the ids of tokens"))
    body = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": 1}
    said = once.post("/completion", {**body, "logit_bias": [[token, 10_000.0]]})
    forced = read_llama_cpp(said).by_id.get(token)
    if forced is None or abs(forced - logprob) > CLOSE:
        raise ModelError(tr("/completion: a token that is forced has another log-probability"))
    return Way("forced tokens of /completion", "tokens", ways.forced(client, llama_cpp(client)))


def _echoed(client: Client, once: Client, model: str | None, words: ServerTokens | None) -> Way:
    """Return the way by `echo`, whose numbers are those of the tokens that they stand beside."""
    next_one = completions(once, model)(KNOWN, 1)
    logprob = next_one.logprobs.get(next_one.text)
    read = ways.echo(once, model, KNOWN + next_one.text)[0]
    numbers = [one for _, one in read[1:]]
    _check(numbers, tr("/v1/completions with echo"))
    if len(numbers) < 5:
        raise ModelError(tr("/v1/completions with echo: the server does not echo the prompt"))
    if logprob is None or abs(numbers[-1] - logprob) > CLOSE:
        raise ModelError(
            tr(
                "/v1/completions with echo: its numbers are not those of the tokens they "
                "stand beside ({text!r} has {numbers:.2f} there, and {logprob:.2f} when "
                "written)",
                text=next_one.text,
                numbers=numbers[-1],
                logprob=logprob or 0,
            )
        )
    if words is not None:
        try:
            by_ids = ways.echo(once, model, [_with_bos(words)] * 2)
            if len(by_ids) == 2 and abs(by_ids[0][-1][1] - read[-2][1]) <= CLOSE:
                return Way("echo, from tokens", "tokens", ways.echoed(client, model))
        except ModelError:
            pass
    return Way("echo, from text", "text", ways.echoed_text(client, model))


def _listed(client: Client, once: Client, model: str | None, words: ServerTokens | None) -> Way:
    """Return the way by the next tokens that `/v1/completions` lists."""
    most = _most(completions(once, model), KNOWN, "/v1/completions")
    ask = completions(client, model)
    shown = _shown(most, "next tokens")
    if words is not None:
        return Way(shown, "tokens", ways.continued(ask, words, most), exact=most == ALL)
    return Way(f"{shown}, from text", "text", ways.spelled(ask, most), exact=False)


def _ollama(client: Client, once: Client, model: str | None) -> Way:
    most = _most(ollama(once, model), KNOWN, "/api/generate")
    name = f"{_shown(most, 'next tokens')} of /api/generate"
    return Way(name, "text", ways.spelled(ollama(client, model), most), exact=False)


def _chat(client: Client, once: Client, model: str | None) -> Way:
    most = _most(chat(once, model), _QUESTION, "/v1/chat/completions")
    name = f"{_shown(most, 'first tokens')} of a chat's answer"
    return Way(name, "turns", ways.first_tokens(chat(client, model), most), exact=False)


def _shown(most: int, what: str) -> str:
    return f"all {what}" if most == ALL else f"the {most} most probable {what}"


def _decided(client: Client, once: Client) -> Way:
    labels = ["Madrid", "a fruit"]
    found = ways.decide(once, KNOWN, "How does it go on?", labels)
    if found[0] == found[1]:
        raise StubbedError(tr("/v1/systemone: the same probability for everything"))
    name = "/v1/systemone: a decision model reads the prompt as its state"
    return Way(name, "text", ways.decided(client), exact=False)


def _most(ask: Ask, prompt: Any, path: str) -> int:
    """Return the most next tokens that a server lists."""
    refusal: ModelError | None = None
    for count in _COUNTS:
        try:
            found = ask(prompt, count)
        except NoAnswerError as error:
            if error.status is None or error.status == 404:
                raise
            refusal = error
            continue
        _check(found.logprobs.values(), path)
        if len(found.logprobs) < 2:
            raise ModelError(tr("{path}: the server ignores logprobs", path=path))
        if len(found.logprobs) < count:
            return len(found.logprobs)
        return ALL if count == _COUNTS[0] and _lists_all(ask, prompt) else count
    raise refusal or ModelError(tr("{path}: no log-probabilities", path=path))


def _lists_all(ask: Ask, prompt: Any) -> bool:
    """Return whether all next tokens can be listed: their probabilities come to 1."""
    try:
        logprobs = ask(prompt, ALL).logprobs
    except ModelError:
        return False
    return len(logprobs) > max(_COUNTS) and abs(sum(map(math.exp, logprobs.values())) - 1) < 0.02


def _check(numbers: Any, path: str) -> None:
    """Raise `StubbedError` for numbers that are no log-probabilities."""
    listed = [*numbers]
    if is_stubbed(listed):
        shown = tr("{listed} for every token", listed=listed[0]) if listed else tr("none")
        if len(set(listed)) > 1:
            shown = tr("some are above 0 or no numbers")
        raise StubbedError(
            tr("{path}: its log-probabilities are none: {shown}", path=path, shown=shown)
        )


def _with_bos(words: ServerTokens) -> list[int]:
    bos = [words.bos] if words.bos is not None else []
    return [*bos, *words.plain(KNOWN)]


def _writers(
    client: Client, once: Client, model: str | None, words: ServerTokens | None
) -> Iterator[tuple[str, Write]]:
    """Yield the ways to write answers that the server has, the best first, and what they read."""
    short = {"max_tokens": 1, "temperature": 0, "model": model}
    if words is not None and _answers(
        once, "/completion", {"prompt": _with_bos(words), "n_predict": 1}, "content"
    ):
        yield "tokens", write_llama_cpp(client)
    if words is not None and _answers(
        once, "/v1/completions", {**short, "prompt": _with_bos(words)}, "choices"
    ):
        yield "tokens", write_completions(client, model, tokens=True)
    if _answers(once, "/v1/completions", {**short, "prompt": KNOWN}, "choices"):
        yield "text", write_completions(client, model, tokens=False)
    raw = {"model": model, "prompt": KNOWN, "raw": True, "stream": False}
    if _answers(once, "/api/generate", {**raw, "options": {"num_predict": 1}}, "response"):
        yield "text", write_ollama(client, model)
    if _answers(once, "/v1/chat/completions", {**short, "messages": _QUESTION}, "choices"):
        yield "turns", write_chat(client, model)


def _answers(client: Client, path: str, body: Mapping[str, Any], part: str) -> bool:
    try:
        return bool(client.post(path, body)[part])
    except (ModelError, KeyError, TypeError):
        return False


def why_not(refused: list[str]) -> str:
    """Return why no way is taken, in one line each."""
    return "".join(f"\n  {shorten(one, 200)[1:-1]}" for one in refused)
