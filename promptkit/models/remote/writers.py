"""Generated answers, as the endpoints of different servers write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from promptkit.models.base import Finish, Generation, Request, Sampling
from promptkit.models.remote.client import Client
from promptkit.models.remote.next_tokens import reading
from promptkit.models.remote.text_request import TextRequest
from promptkit.prompts.prompt import TokenizedPrompt

Write = Callable[[Any, Sampling], Generation]
"""Writes an answer to a request; its seconds are 0."""


def write_llama_cpp(client: Client) -> Write:
    """Return how llama.cpp's `/completion` writes: from tokens, in the format of a JSON answer."""

    def write(request: Request, sampling: Sampling) -> Generation:
        ids = [*request.ids] if isinstance(request, TokenizedPrompt) else None
        body: dict[str, Any] = {
            "prompt": request.prompt.text if ids is None else ids,
            "n_predict": sampling.max_tokens,
            "stop": _stops(request),
            **_sampled(sampling),
        }
        format = request.prompt.format
        if format is not None and format.kind == "json":
            body["json_schema"] = json.loads(format.schema)
        said = client.post("/completion", body)
        with reading("/completion"):
            finish: Finish = {"limit": "length", "word": "stop"}.get(said["stop_type"], "eos")  # type: ignore[assignment]
            return _generation(request, said["content"], finish, int(said["tokens_predicted"]))

    return write


def write_completions(client: Client, model: str | None, *, tokens: bool) -> Write:
    """Return how `/v1/completions` writes, from tokens or text."""

    def write(request: Request, sampling: Sampling) -> Generation:
        ids = [*request.ids] if tokens and isinstance(request, TokenizedPrompt) else None
        body = {
            "model": model,
            "prompt": request.prompt.text if ids is None else ids,
            "max_tokens": sampling.max_tokens,
            "stop": _stops(request),
            **_sampled(sampling),
        }
        said = client.post("/v1/completions", body)
        with reading("/v1/completions"):
            choice = said["choices"][0]
            return _openai(request, choice["text"], choice, said)

    return write


def write_chat(client: Client, model: str | None) -> Write:
    """Return how `/v1/chat/completions` writes, from turns."""

    def write(request: TextRequest, sampling: Sampling) -> Generation:
        body = {
            "model": model,
            "messages": request.turns,
            "max_tokens": sampling.max_tokens,
            **_sampled(sampling),
        }
        said = client.post("/v1/chat/completions", body)
        with reading("/v1/chat/completions"):
            choice = said["choices"][0]
            return _openai(request, choice["message"]["content"] or "", choice, said)

    return write


def write_ollama(client: Client, model: str | None) -> Write:
    """Return how Ollama's `/api/generate` writes, from text without its template."""

    def write(request: Request, sampling: Sampling) -> Generation:
        options = {"num_predict": sampling.max_tokens, "stop": _stops(request)}
        body = {
            "model": model,
            "prompt": request.prompt.text,
            "raw": True,
            "stream": False,
            "options": options | _sampled(sampling),
        }
        said = client.post("/api/generate", body)
        with reading("/api/generate"):
            finish: Finish = "length" if said.get("done_reason") == "length" else "eos"
            return _generation(request, said["response"], finish, int(said.get("eval_count", 0)))

    return write


def _sampled(sampling: Sampling) -> dict[str, Any]:
    if sampling.temperature == 0:
        return {"temperature": 0}
    # Otherwise a server cuts the tail of the distribution as its own settings say.
    return {"temperature": sampling.temperature, "seed": sampling.seed, "top_p": 1.0}


def _stops(request: Request) -> list[str]:
    return [request.prompt.stop] if request.prompt.stop else []


def _openai(request: Request, text: str, choice: Any, said: Any) -> Generation:
    written = int((said.get("usage") or {}).get("completion_tokens") or 0)
    finish: Finish = "length" if choice.get("finish_reason") == "length" else "eos"
    return _generation(request, text, finish, written)


def _generation(request: Request, text: str, finish: Finish, written: int) -> Generation:
    """Return an answer up to the stop; one that a server ended there has no end of its own."""
    stop = request.prompt.stop
    if stop and stop in text:
        text, finish = text.split(stop)[0], "stop"
    return Generation(text, finish, request.tokens, max(written, 1), 0.0)
