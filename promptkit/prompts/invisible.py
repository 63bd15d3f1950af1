"""Visible marks for white space and other invisible characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_QUIET = {"\n": "↵", "\t": "⇥", " ": "·", "\u200c": "⟨ZWNJ⟩", "\u200d": "⟨ZWJ⟩"}
_MARKS = {"\r": "␍", "\x7f": "␡", "\xa0": "⍽"}
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")


def is_quiet(character: str) -> bool:
    """Return whether a character is seen by its effect alone: a space, a newline, a joiner."""
    return character in _QUIET


def mark(character: str, *, spaces: bool) -> str | None:
    """Return the mark of an invisible character; None for a visible one.

    Spaces, tabs, newlines and joiners count as visible unless `spaces` is true.
    """
    if character in _QUIET:
        return _QUIET[character] if spaces else None
    if character in _MARKS:
        return _MARKS[character]
    if ord(character) < 0x20:
        return chr(0x2400 + ord(character))
    if unicodedata.category(character) in _UNSEEN:
        return f"⟨U+{ord(character):04X}⟩"
    return None


def cells(text: str, spaces: bool = True) -> Iterator[tuple[str, str | None]]:
    """Yield runs of visible characters with None, and each invisible character with its mark."""
    seen = ""
    for character in text:
        sign = mark(character, spaces=spaces)
        if sign is None:
            seen += character
            continue
        if seen:
            yield seen, None
        yield character, sign
        seen = ""
    if seen:
        yield seen, None


def seen(text: str) -> str:
    """Return a text with marks for invisible characters that are not quiet."""
    return "".join(sign or part for part, sign in cells(text, spaces=False))


def on_one_line(text: str) -> str:
    """Return a text with marks for invisible characters, line ends and tabs included."""
    return seen(text).replace("\n", _QUIET["\n"]).replace("\t", _QUIET["\t"])


def marked(text: str, *, spaces: bool) -> str:
    """Return a text with marks for invisible characters; a marked newline is kept, too."""
    shown = cells(text, spaces)
    return "".join(part if sign is None else sign + "\n" * (part == "\n") for part, sign in shown)
