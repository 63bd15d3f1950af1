"""Alignment of tokens with the characters of a text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

Range = tuple[int, int]
"""First character, and the one after the last."""


def align(text: str, pieces: Sequence[bytes]) -> list[Range] | None:
    """Return the range of characters of each piece; None if the pieces do not make the text.

    A piece that begins or ends inside a character includes it. A piece that stands for no text,
    as a BOS does, has an empty range. White space without a piece, which tokenizers drop beside
    some control tokens, is skipped.

    Args:
        text: The text.
        pieces: Bytes of its tokens, in order.
    """
    raw = text.encode("utf-8", "surrogatepass")
    begins = [0, *accumulate(len(c.encode("utf-8", "surrogatepass")) for c in text)]
    character = {begin: index for index, begin in enumerate(begins)}
    ranges: list[Range] = []
    position = 0
    for piece in pieces:
        start, length = _find(raw, position, piece)
        end = start + length
        if length == 0:
            end = start = position
        first = next(character[at] for at in range(start, -1, -1) if at in character)
        last = next(character[at] for at in range(end, len(raw) + 1) if at in character)
        ranges.append((first, last if length else first))
        position = end
    return ranges if not raw[position:].strip() else None


def _find(raw: bytes, position: int, piece: bytes) -> Range:
    """Return the start of a piece in the text and its length there; length 0 if it is absent."""
    if not piece:
        return position, 0
    if raw.startswith(piece, position):
        return position, len(piece)
    if piece[:1] == b" " and piece[1:] and raw.startswith(piece[1:], position):
        return position, len(piece) - 1  # the space that a tokenizer puts before a text
    rest = raw[position:]
    skipped = position + len(rest) - len(rest.lstrip())
    return (skipped, len(piece)) if raw.startswith(piece, skipped) else (position, 0)
