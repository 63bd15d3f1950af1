"""A rendered prompt as a value: its text, the origin of every character, and possible answers.

A template renders into *pieces*; a `Prompt` keeps them. The text before the answer slot is
what the model reads, the text after it is the stop. A model makes a `TokenizedPrompt` of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from promptkit.prompts.answer_format import AnswerFormat
from promptkit.prompts.html import fragment
from promptkit.prompts.pieces import Message, Piece, Span, spans_of
from promptkit.prompts.view import Preview, PromptTokens, build_preview


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads, and what may come after it.

    A raw prompt has `pieces` only. A prompt with roles has `messages`, which become pieces once
    the model's chat template is known (`promptkit.prompts.chat_template.apply`).
    """

    pieces: tuple[Piece, ...] = ()
    """The text before the answer."""
    messages: tuple[Message, ...] = ()
    """The turns before the answer; empty for a raw prompt."""
    candidates: tuple[str, ...] | None = None
    """The texts that may follow, space in front included; None where the answer is generated."""
    lead: str = ""
    """The space in front of the answer, which belongs to the answer."""
    stop: str = ""
    """The text that ends an answer."""
    stop_is_chat: bool = False
    """Whether the stop comes from the model's chat template, so that it may be a control token."""
    format: AnswerFormat | None = None
    """What a generated answer must look like; None where it may be any text."""
    shots: tuple[str, ...] = ()
    """The ids of the demonstrations shown, in order."""
    query: str | None = None
    """The id of the example that is asked."""

    @property
    def text(self) -> str:
        """The prompt; for turns without a chat template yet, their contents one after another."""
        if self.messages:
            return "".join([message.content for message in self.messages])
        return "".join([piece.text for piece in self.pieces])

    @property
    def spans(self) -> tuple[Span, ...]:
        """Spans of `text`, without gaps, cut where the template line changes."""
        if self.messages:
            return tuple(spans_of(p for message in self.messages for p in message.pieces))
        return tuple(spans_of(self.pieces))

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def with_pieces(self, pieces: Sequence[Piece], *, stop: str, stop_is_chat: bool) -> Prompt:
        """The same prompt as raw text."""
        return replace(
            self, pieces=tuple(pieces), messages=(), stop=stop, stop_is_chat=stop_is_chat
        )

    def preview(self, tokens: PromptTokens | None = None) -> Preview:
        """Return what a reader sees of the prompt: its parts with their origins and costs."""
        return build_preview(
            self.text,
            self.spans,
            self.messages,
            query=self.query,
            shots=self.shots,
            candidates=self.candidates or (),
            stop=self.stop,
            tokens=tokens,
        )

    def _repr_html_(self) -> str:
        """Return the prompt as HTML for a notebook, in the colours of its parts."""
        return fragment(self.preview())

    def __str__(self) -> str:
        if not self.messages:
            return self.text
        return "\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as token ids, and what is asked of it."""

    prompt: Prompt
    """The prompt as raw text, the model's chat template applied."""
    ids: tuple[int, ...]
    """The tokens that every candidate shares, at least one."""
    candidates: tuple[tuple[int, ...], ...] = ()
    """Per candidate, the tokens after the branch point; empty where the answer is generated."""

    @property
    def naive_tokens(self) -> int:
        """The tokens of a loop that reads the prompt anew for every candidate."""
        if not self.candidates:
            return len(self.ids)
        return sum(len(self.ids) + len(candidate) for candidate in self.candidates)
