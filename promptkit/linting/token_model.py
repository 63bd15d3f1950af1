"""A model that shows its tokens, as the rules about tokens need it: in this process or a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from promptkit.models.base import ModelIdentity
from promptkit.models.tokens.reader import Tokenizer
from promptkit.prompts.prompt import Prompt, TokenizedPrompt


class Words(Tokenizer, Protocol):
    """A tokenizer with the texts of the marks around a prompt."""

    @property
    def bos_text(self) -> str:
        """The `bos_token` of chat templates; empty where there is none."""

    @property
    def eos_text(self) -> str:
        """The `eos_token` of chat templates; empty where there is none."""


class TokenModel(Protocol):
    """A model whose prompts are tokens."""

    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def chat_template(self) -> str | None: ...

    @property
    def vocabulary(self) -> Words: ...

    def tokenize(self, prompts: Sequence[Prompt]) -> Sequence[TokenizedPrompt]:
        """Return the prompts as tokens."""
        ...

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        ...
