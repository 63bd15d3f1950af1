"""Ordinary text to tokens, cut into parts, so that what many texts share is tokenized once.

Tokenizing is slow, and prompts repeat: the same shots in front of every query, the same query
after other shots and in front of every label. A tokenizer says behind which newlines a text may
be cut: where the tokens on one side do not depend on what stands on the other, but for the
newline itself and the character behind it. A part is tokenized between these two, and their own
tokens are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

KEPT = 2**15
"""How many parts are kept, the last ones used."""

_LEFT = ("a", "1", ".", " \t", "\r", "\n", " \n \n")
_RIGHT = ("Text", "s", "12345", "'s", "- b")
PROBE = "".join(f"{left}\n{right}" for left in _LEFT for right in _RIGHT)
"""A text that is hard to cut."""


class Parts:
    """The tokens of texts that are cut behind the newlines that `line_start` matches."""

    def __init__(
        self, plain: Callable[[str], list[int]], line_start: re.Pattern[str] | None
    ) -> None:
        """`plain` tokenizes a text; without `line_start` nothing is cut."""
        self._plain, self._line_start = plain, line_start
        self._kept = lru_cache(KEPT)(self._between)
        self._length = lru_cache(KEPT)(lambda text: len(plain(text)))

    def tokens(self, text: str, *, continued: bool = False, before: str = "") -> list[int]:
        """The tokens of a text, which may lie between two cuts.

        `continued` says whether a cut is in front of it; `before` is the character that follows
        it where a cut is behind it.
        """
        if self._line_start is None:
            return self._plain(text)
        ids: list[int] = []
        start = 0
        for match in self._line_start.finditer(text):
            end = match.end()
            ids += self._kept(text[start:end], continued, text[end])
            start, continued = end, True
        ids += self._kept(text[start:], continued, before)
        return ids

    def last_cut(self, text: str, start: int = 0) -> int | None:
        """The last place behind `start` where `text` can be cut, if there is one."""
        if self._line_start is None:
            return None
        at = len(text)
        while (at := text.rfind("\n", start, at)) >= 0:
            if self._line_start.match(text, at):
                return at + 1
        return None

    def _between(self, part: str, continued: bool, before: str) -> tuple[int, ...]:
        newline = "\n" if continued else ""
        ids = self._plain(f"{newline}{part}{before}")
        first = self._length(newline) if newline else 0
        last = len(ids)
        if before:
            last -= self._length(f"\n{before}") - self._length("\n")
        return tuple(ids[first:last])
