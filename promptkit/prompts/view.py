"""Previews of prompts: runs of text of one origin and the same tokens, and lengths of the parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, NamedTuple

from promptkit.graphemes import clusters
from promptkit.prompts.pieces import Message, Span
from promptkit.prompts.token_spans import Range, align
from promptkit.translation import tr

Part = Literal["template", "task", "shot", "query", "chat"]
"""Owner of a text: the template, the task's own data, an example, or the chat template."""


class Token(NamedTuple):
    """One token: its number in the vocabulary, and the bytes it stands for."""

    id: int
    piece: bytes

    @property
    def text(self) -> str:
        """The token's bytes as readable text; bytes that are no character as `\\x..`."""
        return self.piece.decode("utf-8", "backslashreplace")


class PromptTokens(NamedTuple):
    """Tokens that a model reads a prompt as."""

    model: str
    """Name of the model."""
    prompt: tuple[Token, ...]
    candidates: tuple[tuple[Token, ...], ...]
    """Per candidate, its tokens after the prefix that all candidates share."""


class TextRun(NamedTuple):
    """A run of text of one origin, in the same tokens."""

    text: str
    part: Part
    shot: int | None = None
    """Number of the shot that the text belongs to, counted from 1."""
    is_data: bool = False
    file: str | None = None
    line: int | None = None
    example: str | None = None
    field: str | None = None
    tokens: tuple[int, ...] = ()
    """Positions of its tokens among the prompt's."""

    @property
    def owner(self) -> str:
        """The part that the text belongs to, in words."""
        if self.part == "shot":
            return tr("shot {shot} ({example})", shot=self.shot, example=self.example)
        if self.part == "query":
            return tr("query ({example})", example=self.example)
        return {"template": tr("template"), "task": tr("task"), "chat": tr("chat template")}[
            self.part
        ]

    @property
    def place(self) -> str:
        """File and line of the template."""
        return ":".join(str(part) for part in (self.file, self.line) if part is not None)


class PartCost(NamedTuple):
    """Length of one part of the prompt."""

    owner: str
    part: Part
    shot: int | None
    characters: int
    tokens: int | None
    """None without a model."""


class CandidatePreview(NamedTuple):
    """A text that may follow the prompt."""

    text: str
    tokens: tuple[Token, ...]
    """Tokens after the prefix that all candidates share; empty without a model."""


@dataclass(frozen=True)
class Preview:
    """A prompt as a reader sees it."""

    query: str | None
    shots: int
    runs: tuple[TextRun, ...]
    tokens: tuple[Token, ...]
    """Empty without a model."""
    costs: tuple[PartCost, ...]
    candidates: tuple[CandidatePreview, ...]
    """Empty where the answer is generated."""
    stop: str
    model: str | None = None

    @property
    def text(self) -> str:
        """The prompt's text; turns without a model's chat template have their roles above them."""
        return "".join(run.text for run in self.runs)


def build_preview(
    text: str,
    spans: Sequence[Span],
    messages: Sequence[Message],
    *,
    query: str | None,
    shots: Sequence[str],
    candidates: Sequence[str],
    stop: str,
    tokens: PromptTokens | None = None,
) -> Preview:
    """Return the preview of a prompt.

    Args:
        text: The prompt's text.
        spans: Origins of the text, without gaps.
        messages: Turns that make the text; empty where it is raw.
        query: Id of the query.
        shots: Ids of the shots, in order.
        candidates: Texts that may follow; empty where the answer is generated.
        stop: Text that ends an answer.
        tokens: Tokens of the text and of the candidates; None without a model.
    """
    ranges = align(text, [token.piece for token in tokens.prompt]) if tokens is not None else None
    cover = _cover(len(text), ranges or ())
    unseen = [
        TextRun("", "chat", tokens=(index,))  # such as a BOS, which stands for no text
        for index, (start, _) in enumerate(ranges or ())
        if start == 0 and not any(index in covering for covering in cover)
    ]
    numbers = {id: number for number, id in enumerate(shots, 1)}
    owners = [_owner(span, numbers, query) for span in spans]
    runs = (*unseen, *_runs(text, spans, owners, cover, _headings(messages)))
    own = tokens.candidates if tokens is not None else [()] * len(candidates)
    return Preview(
        query=query,
        shots=len(shots),
        runs=runs,
        tokens=tokens.prompt if tokens is not None else (),
        costs=tuple(_costs(runs, known=ranges is not None)),
        candidates=tuple(CandidatePreview(*pair) for pair in zip(candidates, own, strict=True)),
        stop=stop,
        model=tokens.model if tokens is not None else None,
    )


def _runs(
    text: str,
    spans: Sequence[Span],
    owners: Sequence[tuple[Part, int | None]],
    cover: Sequence[tuple[int, ...]],
    headings: dict[int, str],
) -> Iterator[TextRun]:
    """Yield the runs; one ends where other tokens begin, and never within a grapheme cluster."""
    inside = _inside(text)
    for span, (part, shot) in zip(spans, owners, strict=True):
        start = span.start
        while start < span.end:
            if start in headings:
                yield TextRun(headings.pop(start), "chat")
            end = start + 1
            while end < span.end and end not in headings:
                if cover[end] != cover[start] and end not in inside:
                    break
                end += 1
            tokens = dict.fromkeys(token for own in cover[start:end] for token in own)
            file = PurePath(span.file).name if span.file else None
            yield TextRun(
                *(text[start:end], part, shot, span.source == "data", file, span.line),
                *(span.example, span.field, tuple(tokens)),
            )
            start = end
    for heading in headings.values():
        yield TextRun(heading, "chat")


def _inside(text: str) -> set[int]:
    """Return the places within grapheme clusters."""
    inside: set[int] = set()
    if not text.isascii():
        place = 0
        for cluster in clusters(text):
            inside.update(range(place + 1, place + len(cluster)))
            place += len(cluster)
    return inside


def _cover(length: int, ranges: Sequence[Range]) -> list[tuple[int, ...]]:
    """Return the tokens that each character belongs to."""
    cover: list[tuple[int, ...]] = [()] * length
    for index, (start, end) in enumerate(ranges):
        for at in range(start, end):
            cover[at] += (index,)
    return cover


def _headings(messages: Sequence[Message]) -> dict[int, str]:
    """Return the roles of turns that have no chat template yet, by the start of their text."""
    headings: dict[int, str] = {}
    at = 0
    for index, message in enumerate(messages):
        newline = "\n" if index else ""
        headings[at] = headings.get(at, "") + f"{newline}[{message.role}]\n"
        at += len(message.content)
    return headings


def _owner(span: Span, shots: dict[str, int], query: str | None) -> tuple[Part, int | None]:
    if span.source == "chat":
        return "chat", None
    if span.example is None:
        return ("task" if span.source == "data" else "template"), None
    if span.example in shots:
        return "shot", shots[span.example]
    return ("query" if span.example == query else "task"), None


def _costs(runs: Sequence[TextRun], *, known: bool) -> Iterator[PartCost]:
    """Yield the length of each part and shot, in order; a token counts where it begins."""
    owners: dict[str, list[TextRun]] = {}
    for run in runs:
        owners.setdefault(run.owner, []).append(run)
    first = {token: run.owner for run in reversed(runs) for token in run.tokens}
    for owner, own in owners.items():
        tokens = {token for run in own for token in run.tokens if first[token] == owner}
        characters = sum(len(run.text) for run in own)
        count = len(tokens) if known else None
        yield PartCost(owner, own[0].part, own[0].shot, characters, count)
