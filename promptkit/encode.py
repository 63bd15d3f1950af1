"""Prompts to token ids: prompt and label together, one BOS, no control token out of data.

A tokenizer may merge the end of a prompt with the beginning of a label, so every candidate is
tokenized together with its prompt, and the branch point is the longest token prefix that all
candidates share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

from promptkit.errors import PromptError, shorten
from promptkit.prompts import Piece, Prompt, TokenizedPrompt


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that only a template can ask for."""

    id: int
    strips_left: bool = False
    """The tokenizer drops white space in front of it."""
    strips_right: bool = False


class Tokenizer(Protocol):
    """What encoding needs of a model's vocabulary."""

    @property
    def controls(self) -> Mapping[str, ControlToken]:
        """The control tokens by their text."""
        ...

    @property
    def bos(self) -> int | None:
        """The token the model wants at the beginning, if it wants one."""
        ...

    def plain(self, text: str) -> list[int]:
        """The tokens of ordinary text, never a control token."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for."""
        ...


class Encoder:
    """Encodes prompts for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, prompt: Prompt) -> TokenizedPrompt:
        """The prompt's tokens and its candidates'.

        Raises `PromptError` for labels that clash, and for text that is not Unicode.
        """
        try:
            return self._encode(prompt)
        except UnicodeEncodeError as error:
            raise PromptError(
                f"{_name(prompt)}: {error.object[error.start : error.end]!r} in "
                f"{shorten(error.object)} is half of a surrogate pair, not a character"
            ) from None

    def _encode(self, prompt: Prompt) -> TokenizedPrompt:
        ids = self._ids(prompt.pieces)
        if prompt.candidates is None:
            if not ids:
                raise PromptError(f"{_name(prompt)}: the prompt is empty")
            return TokenizedPrompt(prompt, tuple(ids))
        whole = [self._ids([*prompt.pieces, _data(label)]) for label in prompt.candidates]
        if _clash(whole):
            whole = [
                self._with_stop(prompt, label, ids)
                for label, ids in zip(prompt.candidates, whole, strict=True)
            ]
            if pair := _clash(whole):
                first, second = (prompt.candidates[index] for index in pair)
                raise PromptError(
                    f"{_name(prompt)}: this model's tokens cannot tell the labels "
                    f"{first!r} and {second!r} apart; rename one"
                )
        branch = common_prefix([*whole, ids]) if len(whole) == 1 else common_prefix(whole)
        branch = min(branch, min(map(len, whole)) - 1)
        if branch < 1:
            raise PromptError(
                f"{_name(prompt)}: nothing stands in front of the answer, and this model has no "
                "token for a beginning; put some text before {{ output }}"
            )
        return TokenizedPrompt(
            prompt,
            tuple(whole[0][:branch]),
            tuple(tuple(sequence[branch:]) for sequence in whole),
        )

    def _with_stop(self, prompt: Prompt, label: str, ids: list[int]) -> list[int]:
        """The label's tokens and the stop's first, so that a label ends where it ends."""
        if not prompt.stop:
            raise PromptError(
                f"{_name(prompt)}: one label begins another, and nothing in the template ends an "
                "answer; let a newline follow {{ output }}"
            )
        stop = Piece(prompt.stop, "chat" if prompt.stop_is_chat else "template")
        whole = self._ids([*prompt.pieces, _data(label), stop])
        shared = common_prefix([whole, ids])
        # Where label and stop merge, the first token past the label's last byte is the stop's.
        rest = sum(len(self._tokenizer.piece(token)) for token in ids[shared:])
        for end in range(shared, len(whole)):
            rest -= len(self._tokenizer.piece(whole[end])) or 1
            if rest < 0:
                return whole[: end + 1]
        raise PromptError(f"{_name(prompt)}: the stop {prompt.stop!r} has no token of its own")

    def _ids(self, pieces: Iterable[Piece]) -> list[int]:
        """The tokens of the pieces as one text: control tokens only where no data is."""
        text, data = _text_and_data(pieces)
        ids: list[int] = []
        start = 0
        for begin, end, control in self._controls_in(text, data):
            left = text[start:begin]
            if control.strips_left:
                left = left.rstrip(_SPACE)
            ids += self._plain(left)
            ids.append(control.id)
            start = end
            if control.strips_right:
                start += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        ids += self._plain(text[start:])
        bos = self._tokenizer.bos
        return [bos, *ids] if bos is not None and ids[:1] != [bos] else ids

    def _plain(self, text: str) -> list[int]:
        return self._tokenizer.plain(text) if text else []

    def _controls_in(
        self, text: str, data: Sequence[tuple[int, int]]
    ) -> Iterable[tuple[int, int, ControlToken]]:
        """The control tokens that stand wholly in text of templates, between the data."""
        if self._pattern is None:
            return
        begin = 0
        for start, end in (*data, (len(text), len(text))):
            for match in self._pattern.finditer(text, begin, start):
                yield *match.span(), self._tokenizer.controls[match[0]]
            begin = end

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        longest_first = sorted(filter(None, self._tokenizer.controls), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


_SPACE = " \t\n\v\f\r"  # what C's isspace() strips


def common_prefix(sequences: Sequence[list[int]] | Sequence[tuple[int, ...]]) -> int:
    """How many leading tokens all sequences share."""
    first, last = min(sequences), max(sequences)  # the two that differ soonest
    for index, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return index
    return min(len(first), len(last))


def _clash(sequences: Sequence[list[int]]) -> tuple[int, int] | None:
    """Two sequences of which one begins the other, if there are any."""
    # In order, a sequence stands right in front of those that it begins.
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    for i, j in pairwise(order):
        if sequences[j][: len(sequences[i])] == sequences[i]:
            return min(i, j), max(i, j)
    return None


def _text_and_data(pieces: Iterable[Piece]) -> tuple[str, list[tuple[int, int]]]:
    """The pieces' text, and the ranges of it that are data."""
    texts: list[str] = []
    data: list[tuple[int, int]] = []
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        if piece.kind == "data" and piece.text:
            data.append((start, end))
        texts.append(piece.text)
        start = end
    return "".join(texts), data


def _data(text: str) -> Piece:
    return Piece(text, "data")


def _name(prompt: Prompt) -> str:
    return f"example {shorten(prompt.query)}, {len(prompt.shots)} shots"
