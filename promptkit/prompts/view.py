"""A prompt as a value to look at: runs of text, each of one origin and one token, and the costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

from promptkit.preview.lines import read_by, token_ids
from promptkit.prompts.token_spans import Range, align

if TYPE_CHECKING:
    from promptkit.models.base import Model
    from promptkit.prompts.prompt import Prompt, Span

Part = Literal["template", "task", "shot", "query", "chat"]
"""Who a text belongs to: the template, the task's own data, an example, or the chat template."""


class Token(NamedTuple):
    """One token: its number in the vocabulary, and what it stands for."""

    id: int
    piece: bytes

    @property
    def text(self) -> str:
        """What it stands for, readable; bytes that are no character as `\\x..`."""
        return self.piece.decode("utf-8", "backslashreplace")


class Run(NamedTuple):
    """A run of text of one origin, in the same tokens."""

    text: str
    part: Part
    shot: int | None = None
    """Which shot it belongs to, counted from 1."""
    is_data: bool = False
    file: str | None = None
    line: int | None = None
    example: str | None = None
    field: str | None = None
    tokens: tuple[int, ...] = ()
    """The places of its tokens among the prompt's."""

    @property
    def owner(self) -> str:
        """Whose text it is, in words."""
        if self.part == "shot":
            return f"shot {self.shot} ({self.example})"
        if self.part == "query":
            return f"query ({self.example})"
        return {"template": "template", "task": "task", "chat": "chat template"}[self.part]

    @property
    def place(self) -> str:
        """The template's line."""
        return ":".join(str(part) for part in (self.file, self.line) if part is not None)


class Cost(NamedTuple):
    """What a part of the prompt costs."""

    owner: str
    part: Part
    shot: int | None
    characters: int
    tokens: int | None
    """None without a model."""


class Answer(NamedTuple):
    """A text that may follow the prompt."""

    text: str
    tokens: tuple[Token, ...]
    """Those that the model is asked for: the ones after what all answers share."""


@dataclass(frozen=True)
class Preview:
    """A prompt to look at."""

    query: str | None
    shots: int
    runs: tuple[Run, ...]
    tokens: tuple[Token, ...]
    """Empty without a model."""
    costs: tuple[Cost, ...]
    answers: tuple[Answer, ...]
    """Empty where the answer is generated."""
    stop: str
    model: str | None = None

    @property
    def text(self) -> str:
        """The prompt's text; turns without a model's chat template have their roles above them."""
        return "".join(run.text for run in self.runs)


def preview(prompt: Prompt, model: Model | None = None) -> Preview:
    """What there is to see of a prompt, as a model reads it if there is one."""
    raw = read_by(prompt, model)
    tokens: tuple[Token, ...] = ()
    ranges: list[Range] | None = None
    if model is not None:
        tokens = tuple(Token(id, model.piece(id)) for id in token_ids(prompt, model))
        ranges = align(raw.text, [token.piece for token in tokens])
    runs = tuple(_runs(raw, ranges))
    return Preview(
        query=prompt.query,
        shots=len(prompt.shots),
        runs=runs,
        tokens=tokens,
        costs=tuple(_costs(runs, known=ranges is not None)),
        answers=tuple(_answers(prompt, model)),
        stop=raw.stop,
        model=model.identity.name if model is not None else None,
    )


def _runs(prompt: Prompt, ranges: Sequence[Range] | None) -> Iterator[Run]:
    owners = {id: number for number, id in enumerate(prompt.shots, 1)}
    text, cover = prompt.text, _cover(len(prompt.text), ranges or ())
    heads = _heads(prompt)
    for index, (start, _) in enumerate(ranges or ()):
        if start == 0 and not any(index in tokens for tokens in cover):
            yield Run("", "chat", tokens=(index,))
    for span in prompt.spans:
        part, shot = _part(span, owners, prompt.query)
        start = span.start
        while start < span.end:
            if start in heads:
                yield Run(heads.pop(start), "chat")
            end = start + 1
            while end < span.end and cover[end] == cover[start] and end not in heads:
                end += 1
            file = PurePath(span.file).name if span.file else None
            yield Run(
                *(text[start:end], part, shot, span.source == "data", file, span.line),
                *(span.example, span.field, cover[start]),
            )
            start = end
    for head in heads.values():
        yield Run(head, "chat")


def _cover(length: int, ranges: Sequence[Range]) -> list[tuple[int, ...]]:
    """For every character, the tokens that it belongs to."""
    cover: list[tuple[int, ...]] = [()] * length
    for index, (start, end) in enumerate(ranges):
        for at in range(start, end):
            cover[at] += (index,)
    return cover


def _heads(prompt: Prompt) -> dict[int, str]:
    """The roles of turns that have no chat template yet, by where their text begins."""
    heads: dict[int, str] = {}
    at = 0
    for index, message in enumerate(prompt.messages):
        newline = "\n" if index else ""
        heads[at] = heads.get(at, "") + f"{newline}[{message.role}]\n"
        at += len(message.content)
    return heads


def _part(span: Span, shots: dict[str, int], query: str | None) -> tuple[Part, int | None]:
    if span.source == "chat":
        return "chat", None
    if span.example is None:
        return ("task" if span.source == "data" else "template"), None
    if span.example in shots:
        return "shot", shots[span.example]
    return ("query" if span.example == query else "task"), None


def _costs(runs: Sequence[Run], *, known: bool) -> Iterator[Cost]:
    """One per part and per shot, in their order; a token counts where it begins."""
    owners: dict[str, list[Run]] = {}
    for run in runs:
        owners.setdefault(run.owner, []).append(run)
    counted: set[int] = set()
    first = {token: run.owner for run in reversed(runs) for token in run.tokens}
    for owner, own in owners.items():
        tokens = {token for run in own for token in run.tokens if first[token] == owner} - counted
        counted |= tokens
        characters = sum(len(run.text) for run in own)
        count = len(tokens) if known else None
        yield Cost(owner, own[0].part, own[0].shot, characters, count)


def _answers(prompt: Prompt, model: Model | None) -> Iterator[Answer]:
    if prompt.candidates is None:
        return
    ids: Sequence[tuple[int, ...]] = [()] * len(prompt.candidates)
    if model is not None:
        ids = model.tokenize([prompt])[0].candidates
    for text, own in zip(prompt.candidates, ids, strict=True):
        tokens = tuple(Token(id, model.piece(id)) for id in own) if model is not None else ()
        yield Answer(text, tokens)
