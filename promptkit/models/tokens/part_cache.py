"""Ordinary text to tokens, cut into parts, so that a part of many texts is tokenized once.

Tokenizing is slow, and prompts repeat: the same shots in front of every query, the same query
after other shots and in front of every label. A tokenizer says where a text may be cut (`Cuts`):
where the tokens on one side do not depend on the other side, but for the character beside the cut.
A part is tokenized together with these two characters, and their own tokens are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

KEPT = 2**15
"""Parts that are kept, the last ones used."""

_LEFT = ("a", "1", ".", " \t", "\r", "\n", " \n \n")
_RIGHT = ("Text", "s", "12345", "'s", "- b")
PROBE = "".join(f"{left}\n{right} " for left in _LEFT for right in _RIGHT)
"""A text that is hard to cut."""


class Cuts(NamedTuple):
    """The places where a tokenizer lets ordinary text be cut."""

    line: re.Pattern[str]
    """Matches a newline after which it may."""
    word: re.Pattern[str]
    """Matches a character after which it may, a space and a word following."""


class Parts:
    """The tokens of texts that are cut at `cuts`; nowhere, without them."""

    def __init__(self, plain: Callable[[str], list[int]], cuts: Cuts | None) -> None:
        """Keep the parts of one tokenizer; `plain` tokenizes a text."""
        self._plain, self._cuts = plain, cuts
        self._kept = lru_cache(KEPT)(self._between)
        self._length = lru_cache(KEPT)(lambda text: len(plain(text)))

    def tokens(self, text: str, *, after: str = "", before: str = "") -> list[int]:
        """Return the tokens of a text that may lie between two cuts.

        `after` is the character in front of the first cut, `before` the one after the second.
        """
        if self._cuts is None:
            return self._plain(text)
        ids: list[int] = []
        start = 0
        for match in self._cuts.line.finditer(text):
            end = match.end()
            ids += self._kept(text[start:end], after, text[end])
            start, after = end, "\n"
        ids += self._kept(text[start:], after, before)
        return ids

    def last_line(self, text: str, start: int = 0) -> int | None:
        """Return the beginning of the last line that may be cut off, after `start`, if any."""
        if self._cuts is None:
            return None
        at = len(text)
        while (at := text.rfind("\n", start, at)) >= 0:
            if self._cuts.line.match(text, at):
                return at + 1
        return None

    def joint(self, left: str, right: str) -> str | None:
        """Return the argument `before` of `tokens` for a cut between a character and a text.

        None where a text may not be cut there; empty where it does not matter to the left.
        """
        if self._cuts is None:
            return None
        both = left + right
        if self._cuts.line.match(both):
            return right[0]
        return "" if self._cuts.word.match(both) else None

    def _between(self, part: str, after: str, before: str) -> tuple[int, ...]:
        ids = self._plain(f"{after}{part}{before}")
        first = self._length(after) if after else 0
        last = len(ids)
        if before:  # a line's first character, which may be a word's first when it is alone
            last -= self._length(f"\n{before}") - self._length("\n")
        return tuple(ids[first:last])
