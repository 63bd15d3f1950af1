"""Exact prompts as JSON; text that several of them share is stored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

Passage = tuple[str, str]
"""Origin of a text (`template`, `data` or `chat`), and the text."""

Block = tuple[str | None, tuple[Passage, ...]]
"""Part of a prompt that belongs to one example (by its id) or to none."""


def packed(prompts: Mapping[str, Prompt]) -> dict[str, Any]:
    """Return `blocks`, each `[example, [[source, text], …]]`, and the block numbers of each prompt.

    A prompt's text is the texts of its blocks, one after another.
    """
    numbers: dict[Block, int] = {}
    places = {
        sha256: [numbers.setdefault(block, len(numbers)) for block in _blocks(_pieces(prompt))]
        for sha256, prompt in prompts.items()
    }
    return {"blocks": list(numbers), "prompts": places}


def _pieces(prompt: Prompt) -> Iterable[Piece]:
    if prompt.messages:
        return (piece for message in prompt.messages for piece in message.pieces)
    return prompt.pieces


def _blocks(pieces: Iterable[Piece]) -> Iterable[Block]:
    for example, own in groupby(pieces, key=lambda piece: piece.example):
        passages = [
            (source, "".join([piece.text for piece in same]))
            for source, same in groupby(own, key=_source)
        ]
        if any(text for _, text in passages):
            yield example, tuple((source, text) for source, text in passages if text)


def _source(piece: Piece) -> str:
    return piece.kind if piece.kind in ("data", "chat") else "template"
