"""Places where a vocabulary lets text be cut for the part cache, read off its tokens and merges.

SentencePiece merges whatever makes a token, BPE what its list of merges holds. Where neither goes
over a place between two characters, what is merged on one side does not depend on the other. The
pre-tokenizers of llama.cpp, which split a text into words before BPE merges, do not look further
over the end of a line, or over a single space between two words, than to the next character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from promptkit.models.tokens.part_cache import Cuts

_SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [byte for byte in range(256) if byte not in _SHOWN]
BYTE_LETTERS = {byte: chr(byte) for byte in _SHOWN} | {
    byte: chr(256 + rank) for rank, byte in enumerate(_HIDDEN)
}
"""The letter that stands for a byte in byte-level BPE (GPT-2's `bytes_to_unicode`)."""


def find_cuts(
    tokens: Iterable[str], merges: Iterable[str], *, byte_level: bool, spaced: Iterable[str] = ()
) -> Cuts | None:
    """Return the places where text may be cut; None where there are none.

    `spaced` are tokens that are found before anything is merged, and after which a space is put.
    """
    newline, space = ("\nĊ", " Ġ") if byte_level else ("\n", " ▁")
    texts = "\0".join([*tokens, *(merge.replace(" ", "", 1) for merge in merges)])
    after_line = set(re.findall(f"[{newline}]([^{newline}\0])", texts))
    spaces = re.finditer(f"[{space}](?<=[^{space}\0].)", texts)
    before_space = {texts[match.start() - 1] for match in spaces}
    ends = {text[-1] for text in spaced}
    if "\n" in ends:
        return None
    word = _characters(before_space | ends, byte_level)
    return Cuts(
        line=re.compile(rf"\n(?={_characters(after_line, byte_level)})"),
        word=re.compile(rf"{word}(?= {_characters(set(), byte_level)})"),
    )


def _characters(without: set[str], byte_level: bool) -> str:
    """Return a pattern of any character that is not a space, `without` some.

    Those beyond ASCII are in it only together: in byte-level BPE letters stand for parts of them.
    """
    of_ascii = {BYTE_LETTERS[byte] for byte in range(128)} if byte_level else {"▁"}
    shown = "".join(char for char in map(chr, range(33, 127)) if char not in without)
    classes = [f"[{re.escape(shown)}]"] if shown else []
    if all(char.isascii() for char in without - of_ascii):
        classes.append(r"[^\W\0-\x7f]")
    return f"(?:{'|'.join(classes) or '(?!)'})"
