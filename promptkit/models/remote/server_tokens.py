"""A server's tokenizer, where it has one: text to tokens and back, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from promptkit.errors import PromptError, shorten
from promptkit.models.remote.client import Client, NoAnswerError
from promptkit.models.tokens.reader import ControlToken
from promptkit.translation import tr

_LOOKS_LIKE_CONTROL = re.compile(r"<[^\s<>]{1,60}>|\[/?[A-Z_]{2,30}\]|<\|[^<>|]{1,60}\|>")
"""Texts that may be control tokens."""

_KEPT = 10_000


@dataclass(frozen=True)
class TokenEndpoints:
    """The two endpoints of one kind of server."""

    name: str
    """The endpoint's path, for people."""
    tokenize: Callable[[Client, str | None, str, bool], Any]
    """Asks for the tokens of a text, with control tokens in it or without."""
    detokenize: Callable[[Client, str | None, Sequence[int]], Any]
    """Asks for the text of tokens."""
    keeps_controls_apart: bool
    """True where text can be read without control tokens."""


def _llama_cpp(client: Client, model: str | None, text: str, special: bool) -> Any:
    body = {"content": text, "add_special": False, "parse_special": special}
    return client.post("/tokenize", body)["tokens"]


def _vllm(client: Client, model: str | None, text: str, special: bool) -> Any:
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    return client.post("/tokenize", body)["tokens"]


def _llama_cpp_python(client: Client, model: str | None, text: str, special: bool) -> Any:
    return client.post("/extras/tokenize", {"model": model, "input": text})["tokens"]


KINDS = (
    TokenEndpoints(
        "/tokenize",
        _llama_cpp,
        lambda client, model, ids: client.post("/detokenize", {"tokens": [*ids]})["content"],
        keeps_controls_apart=True,
    ),
    TokenEndpoints(
        "/tokenize",
        _vllm,
        lambda client, model, ids: client.post("/detokenize", {"model": model, "tokens": [*ids]})[
            "prompt"
        ],
        keeps_controls_apart=False,
    ),
    TokenEndpoints(
        "/extras/tokenize",
        _llama_cpp_python,
        lambda client, model, ids: client.post(
            "/extras/detokenize", {"model": model, "tokens": [*ids]}
        )["text"],
        keeps_controls_apart=False,
    ),
)


class ServerTokens:
    """The tokenizer of a server's model (`promptkit.models.tokens.reader.Tokenizer`).

    Args:
        client: The server.
        model: The model's name there.
        endpoints: The endpoints that it has.
        bos: The token that its prompts begin with.
        always_bos: Whether the endpoint puts it in front of every text.
        words: Texts that may be control tokens, such as a chat template.
    """

    cuts = None

    def __init__(
        self,
        client: Client,
        model: str | None,
        endpoints: TokenEndpoints,
        *,
        bos: int | None = None,
        always_bos: bool = False,
        words: str = "",
    ) -> None:
        self.client, self.model, self.endpoints = client, model, endpoints
        self.bos, self._always_bos, self._words = bos, always_bos, words
        self.bos_text = self.eos_text = ""
        self._read = lru_cache(_KEPT)(self._ask)
        self._pieces: dict[int, bytes] = {}

    @cached_property
    def controls(self) -> Mapping[str, ControlToken]:
        """The control tokens that the chat template writes, by their text.

        A server does not list its vocabulary. Where it cannot read text without control tokens,
        there are none here, and `check_data` refuses data that hold some.
        """
        if not self.endpoints.keeps_controls_apart:
            return {}
        return {text: ControlToken(self._whole(text)[0]) for text in self._controls_in(self._words)}

    def plain(self, text: str) -> list[int]:
        """Return the tokens of ordinary text."""
        return list(self._read(text, False))

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for; empty for a control token."""
        if token not in self._pieces:
            try:
                text = self.endpoints.detokenize(self.client, self.model, [token])
            except NoAnswerError:  # bytes that are no character
                text = "\ufffd"
            self._pieces[token] = str(text).encode("utf-8", "replace")
        return self._pieces[token]

    def check_data(self, text: str) -> None:
        """Raise `PromptError` for data that the server would read as a control token."""
        if found := next(iter(self._controls_in(text)), None):
            raise PromptError(
                tr(
                    "the data contain {found!r}, which this server reads as a control token "
                    "(in {text}); change the data, or use a server whose /tokenize has "
                    "parse_special, such as llama.cpp's",
                    found=found,
                    text=shorten(text),
                )
            )

    def _controls_in(self, text: str) -> list[str]:
        found = dict.fromkeys(_LOOKS_LIKE_CONTROL.findall(text))
        return [one for one in found if self._is_control(one)]

    def _is_control(self, text: str) -> bool:
        if len(self._whole(text)) != 1:
            return False
        if self.endpoints.keeps_controls_apart:
            return self._read(text, False) != self._whole(text)
        return self.piece(self._whole(text)[0]).decode("utf-8") != text

    def _whole(self, text: str) -> tuple[int, ...]:
        return self._read(text, True)

    def _ask(self, text: str, special: bool) -> tuple[int, ...]:
        ids = self.endpoints.tokenize(self.client, self.model, text, special)
        ids = tuple(map(int, ids))
        return ids[1:] if self._always_bos and ids[:1] == (self.bos,) else ids


def find_tokens(client: Client, model: str | None, words: str = "") -> ServerTokens | None:
    """Return the tokenizer of a server, None where it shows none.

    Args:
        client: The server.
        model: The model's name there.
        words: Texts that may be control tokens, such as a chat template.
    """
    once = client.trying_once()
    for endpoints in KINDS:
        try:
            first, second = (
                [*map(int, endpoints.tokenize(once, model, text, False))] for text in ("kiwi", "17")
            )
            endpoints.detokenize(once, model, second)
        except (NoAnswerError, KeyError, TypeError, ValueError):
            continue
        if not first or not second:
            continue
        always = first[0] == second[0] and min(len(first), len(second)) > 1
        bos = first[0] if always else _bos(once, model, endpoints)
        return ServerTokens(client, model, endpoints, bos=bos, always_bos=always, words=words)
    return None


def _bos(client: Client, model: str | None, endpoints: TokenEndpoints) -> int | None:
    """Return the token that llama.cpp's server, or vLLM, puts in front of a prompt."""
    bodies = (
        {"content": "kiwi", "add_special": True},
        {"model": model, "prompt": "kiwi", "add_special_tokens": True},
    )
    for body in bodies:
        try:
            wanted = [*map(int, client.post("/tokenize", body)["tokens"])]
        except (NoAnswerError, KeyError, TypeError, ValueError):
            continue
        plain = [*map(int, endpoints.tokenize(client, model, "kiwi", False))]
        return wanted[0] if wanted[1:] and wanted[0] != plain[0] else None
    return None
