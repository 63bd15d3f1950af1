"""Invisible characters, and words that mix letters of scripts that look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from promptkit.graphemes import JOINERS, is_joined, is_unspaced
from promptkit.translation import tr

_WORD = re.compile(r"[^\W\d_]+")
_SUSPECTS = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffd"
    "\U000e0000-\U000e01ef]"
)
_SPACES = frozenset("\xa0\u2007\u202f")
"""Spaces that do not break a line: French and Swiss typography sets them on purpose."""
_OPENING, _CLOSING = frozenset("«‹"), frozenset("»›!?:;%")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069")
_ALIKE = ("LATIN", "CYRILLIC", "GREEK")


def invisible(text: str) -> Iterator[tuple[int, str]]:
    """Yield the offset and name of invisible characters that the text around does not explain."""
    if text.isascii() and text.isprintable():
        return
    for match in _SUSPECTS.finditer(text):
        at, char = match.start(), match.group()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if not _belongs(char, before, after, text):
            name = unicodedata.name(char, "").lower() or tr("control character")
            yield at, f"U+{ord(char):04X} {name}"


def mixed(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield words that mix scripts whose letters look alike: offset, word, the rarer letters."""
    if text.isascii():
        return
    for match in _WORD.finditer(text):
        word = match.group()
        if word.isascii() or len(word) < 2:
            continue
        scripts: dict[str, list[str]] = {}
        for char in word:
            scripts.setdefault(script(char), []).append(char)
        found = {name: chars for name, chars in scripts.items() if name in _ALIKE}
        # A Greek letter in front of a short word is a unit or a variable, as in μm.
        is_unit = "GREEK" in found and len(word) < 4
        if len(found) > 1 and not is_unit:
            rarer = min(found, key=lambda name: len(found[name]))
            odd = ", ".join(f"{c!r} ({unicodedata.name(c).lower()})" for c in found[rarer][:3])
            yield match.start(), word, odd


@lru_cache(maxsize=4096)
def script(char: str) -> str:
    """The script of a letter, by the first word of its name, such as LATIN or DEVANAGARI."""
    return unicodedata.name(char, "?").split()[0]


def _belongs(char: str, before: str, after: str, text: str) -> bool:
    if char in _SPACES:
        near = before in _OPENING or after in _CLOSING
        return near or (before.isdigit() and (after.isdigit() or after.isalpha()))
    if char in JOINERS:
        return is_joined(before, char, after)
    if char == "\u200b":  # where a line may end in scripts without spaces
        return is_unspaced(before) and is_unspaced(after)
    if char in _DIRECTIONS:
        return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    if "\ufe00" <= char <= "\ufe0f":  # how the symbol in front is drawn
        return bool(before) and (not before.isascii() or before in "#*0123456789")
    if "\u2028" <= char <= "\u2029":
        return False
    if "\U000e0020" <= char <= "\U000e007f":  # the flags of England, Scotland, Wales
        return "\U0001f3f4" in text
    return "\u2000" <= char <= "\u200a" and char != "\u200a" and before.isdigit()
