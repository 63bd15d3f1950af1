"""A rendered prompt as a value: its text, where every character came from, and what may follow.

A template renders into *pieces*; a `Prompt` keeps them. The text before the answer slot is
what the model reads, the text after it is the stop. A model makes a `TokenizedPrompt` of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from promptkit.prompts.answer_format import AnswerFormat

Source = Literal["template", "data", "chat"]
"""Who wrote the text: the template's author, the data, or the model's own chat template."""

Role = Literal["system", "user", "assistant"]

OR_USER = "system or user"
"""The name of a system turn that may stand in the first user turn."""

_LINES = re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    """A run of rendered text with one origin, or a mark between two runs."""

    text: str
    kind: Literal["template", "data", "chat", "slot", "open", "close"]
    """`slot` is where the answer goes; `open` and `close` bound a turn (`text` is its role)."""
    file: str | None = None
    line: int | None = None
    """The template line that put the text here (for several lines, the first)."""
    example: str | None = None
    """The id of the example that the text belongs to."""
    field: str | None = None
    """The field the text was read from, such as `input.name`."""
    answers: tuple[str, ...] = ()
    """For a slot, what may stand there, a text per label."""
    as_json: bool = False
    """For a slot, whether a generated answer is written as JSON."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where the characters `start` to `end` of a text came from."""

    start: int
    end: int
    source: Source
    file: str | None = None
    line: int | None = None
    example: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class Message:
    """One turn of a chat; the last one may be the beginning of the model's own turn."""

    role: Role
    pieces: tuple[Piece, ...]
    or_user: bool = False
    """Whether a system turn may stand in front of the first user turn, in the same turn."""

    @cached_property
    def content(self) -> str:
        return "".join([piece.text for piece in self.pieces])

    @cached_property
    def core(self) -> tuple[Piece, ...]:
        """The pieces without the white space around them."""
        kept = list(self.pieces)
        while kept and not kept[0].text.strip():
            kept.pop(0)
        while kept and not kept[-1].text.strip():
            kept.pop()
        if kept:
            first = kept[0]
            text = first.text.lstrip()
            skipped = first.text[: len(first.text) - len(text)].count("\n")
            line = None if first.line is None else first.line + skipped
            kept[0] = first._replace(text=text, line=line)
            kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
        return tuple(kept)


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

    def _repr_html_(self) -> str:
        """The prompt in a notebook, in the colours of its parts."""
        from promptkit.prompts.html import fragment
        from promptkit.prompts.view import preview

        return fragment(preview(self))

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


def spans_of(pieces: Iterable[Piece]) -> Iterator[Span]:
    """The pieces' spans in the text they make together, one per template line or datum."""
    start = 0
    for piece in pieces:
        source: Source = piece.kind if piece.kind in ("data", "chat") else "template"
        runs = _LINES.findall(piece.text) if source == "template" else [piece.text]
        for offset, run in enumerate(runs):
            line = piece.line + offset if piece.line is not None else None
            yield Span(
                start, start + len(run), source, piece.file, line, piece.example, piece.field
            )
            start += len(run)
