"""The parts of a rendered prompt: pieces of text with their origins, and the turns of a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Source = Literal["template", "data", "chat"]
"""Author of a text: the template, the data, or the model's own chat template."""

Role = Literal["system", "user", "assistant"]

OR_USER = "system or user"
"""Name of a system turn that may be put into the first user turn."""

LINES = re.compile(r"[^\n]*\n|[^\n]+")


class Piece(NamedTuple):
    """A run of rendered text with one origin, or a mark between two runs."""

    text: str
    kind: Literal["template", "data", "chat", "slot", "rationale", "open", "close"]
    """`slot` is where the answer goes, `rationale` where the query's rationale goes; `open` and
    `close` bound a turn (`text` is its role)."""
    file: str | None = None
    line: int | None = None
    """Template line that wrote the text; the first of several."""
    example: str | None = None
    """Id of the example that the text belongs to."""
    field: str | None = None
    """Field that the text was read from, such as `input.name`."""
    answers: tuple[str, ...] = ()
    """For a slot, its possible texts, one per label."""
    as_json: bool = False
    """For a slot, true if a generated answer is written as JSON."""

    def lstripped(self) -> Piece:
        """Return the piece without white space at its start, and with the line of the rest."""
        text, line = self.text.lstrip(), self.line
        if line is not None and self.kind == "template":
            line += self.text[: len(self.text) - len(text)].count("\n")
        return self._replace(text=text, line=line)


@dataclass(frozen=True, slots=True)
class Span:
    """Origin of the characters `start` to `end` of a text."""

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
    """True for a system turn that may be put into the first user turn."""

    @cached_property
    def content(self) -> str:
        return "".join([piece.text for piece in self.pieces])

    @cached_property
    def core(self) -> tuple[Piece, ...]:
        """The pieces without outer white space."""
        kept = list(self.pieces)
        while kept and not kept[0].text.strip():
            kept.pop(0)
        while kept and not kept[-1].text.strip():
            kept.pop()
        if kept:
            kept[0] = kept[0].lstripped()
            kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
        return tuple(kept)


def spans_of(pieces: Iterable[Piece]) -> Iterator[Span]:
    """Yield the spans of the pieces' joined text, one per template line or datum."""
    start = 0
    for piece in pieces:
        source: Source = piece.kind if piece.kind in ("data", "chat") else "template"
        runs = LINES.findall(piece.text) if source == "template" else [piece.text]
        for offset, run in enumerate(runs):
            line = piece.line + offset if piece.line is not None else None
            yield Span(
                start, start + len(run), source, piece.file, line, piece.example, piece.field
            )
            start += len(run)
