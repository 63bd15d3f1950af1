"""White space and other characters that cannot be seen, made visible."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_QUIET = {"\n": "↵", "\t": "⇥", " ": "·", "\u200c": "⟨ZWNJ⟩", "\u200d": "⟨ZWJ⟩"}
_MARKS = {"\r": "␍", "\x7f": "␡", "\xa0": "⍽"}
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")


def is_quiet(character: str) -> bool:
    """Whether it shows in a page well enough by what it does: space, newline, joiner."""
    return character in _QUIET


def mark(character: str, *, spaces: bool) -> str | None:
    """What stands for a character that cannot be seen; None for one that can.

    Spaces, tabs and newlines can be seen well enough, and joiners by what they join, unless
    `spaces` asks for them.
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
    """Runs of characters that can be seen, and each character that cannot, with its mark."""
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
    """A text with marks for what cannot be seen and is not quiet."""
    return "".join(sign or part for part, sign in cells(text, spaces=False))


def on_one_line(text: str) -> str:
    """A text with marks for what cannot be seen, line ends and tabs included."""
    return seen(text).replace("\n", _QUIET["\n"]).replace("\t", _QUIET["\t"])


def marked(text: str, *, spaces: bool) -> str:
    """A text with marks for what cannot be seen; a newline also stays one."""
    shown = cells(text, spaces)
    return "".join(part if sign is None else sign + "\n" * (part == "\n") for part, sign in shown)
