"""Terms as whole words of a text, in any script and in any case.

A word goes on over letters, digits and marks, so that `राम` is no word of `रामा`, and over hyphens
and joiners. Scripts that are written without spaces have no such boundaries.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby

from promptkit.tasks.swap_patterns import Case, Hole, Pattern, joined
from promptkit.tasks.swap_slots import SwapSlot, SwapTerm

UNSPACED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
"""Thai, Lao, Tibetan, Burmese, Khmer, Japanese and Chinese."""

_LAST_MARK = 0x1E944


@lru_cache(maxsize=1)
def _marks() -> str:
    """Return all marks, such as vowel signs, as ranges of a character class."""
    codes = (c for c in range(0x300, _LAST_MARK + 7) if unicodedata.category(chr(c))[0] == "M")
    runs = groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    ranges = ([code for _, code in run] for _, run in runs)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ranges)


@lru_cache(maxsize=4096)
def _word(text: str) -> re.Pattern[str]:
    """Return the pattern of a text as whole words, composed or decomposed."""
    inside = rf"[\w{_marks()}\u200c\u200d\-]"
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    either = "|".join(map(re.escape, sorted(forms)))
    unspaced = re.compile(f"[{UNSPACED}]")
    before = "" if unspaced.match(text[0]) else f"(?<!{inside})"
    after = f"(?![{_marks()}])" if unspaced.match(text[-1]) else f"(?!{inside})"
    return re.compile(f"{before}(?i:{either}){after}")


def identifying(slot: SwapSlot) -> Iterator[tuple[str, SwapTerm]]:
    """Yield the texts that tell which term of a slot a sentence has.

    They are the terms, and forms that no other term of the slot has: `Anna`, but not `she`.
    """
    owners: dict[str, set[str]] = {}
    for term in slot.terms:
        for text in (term.text, *term.forms.values()):
            owners.setdefault(_folded(text), set()).add(term.text)
    for term in slot.terms:
        yield term.text, term
        for text in dict.fromkeys(term.forms.values()):
            if text != term.text and len(owners[_folded(text)]) == 1:
                yield text, term


def terms_in(texts: Iterable[str], slot: SwapSlot) -> list[SwapTerm]:
    """Return the terms of a slot that stand in some texts as whole words, the longest first.

    What is part of a longer term's text counts for that one only.
    """
    known = sorted(identifying(slot), key=lambda pair: -len(pair[0]))
    found: dict[str, SwapTerm] = {}
    for text in texts:
        taken: list[tuple[int, int]] = []
        for word, term in known:
            for match in _word(word).finditer(text):
                if not any(match.start() < end and start < match.end() for start, end in taken):
                    taken.append(match.span())
                    found.setdefault(term.text, term)
    return [*found.values()]


def ambiguous(slot: SwapSlot, term: SwapTerm, texts: Iterable[str]) -> str | None:
    """Return a word of a term that two of its forms share where other terms have two words.

    `her` is the object and the possessive, of which another term has `him` and `his`: nothing
    says which one is meant.
    """
    texts = [*texts]
    for word, forms in _forms_by_text(term).items():
        others = {tuple([other.form(form) for other in slot.terms]) for form in forms}
        if len(others) > 1 and any(_word(word).search(text) for text in texts):
            return word
    return None


def with_holes(pattern: Pattern, slot: SwapSlot, term: SwapTerm) -> Pattern:
    """Return a pattern in which a term and its forms have become places of the slot."""
    by_length = sorted(_forms_by_text(term).items(), key=lambda pair: -len(pair[0]))
    pieces: list[str | Hole] = [*pattern.pieces]
    for text, forms in by_length:
        parts: list[str | Hole] = []
        for piece in pieces:
            parts += [piece] if isinstance(piece, Hole) else _split(piece, text, slot, forms[0])
        pieces = parts
    return Pattern(joined(pieces))


def _split(piece: str, text: str, slot: SwapSlot, form: str | None) -> Iterator[str | Hole]:
    end = 0
    for match in _word(text).finditer(piece):
        yield piece[end : match.start()]
        yield Hole(slot.name, form, _case(match[0], text))
        end = match.end()
    yield piece[end:]


def _forms_by_text(term: SwapTerm) -> Mapping[str, list[str | None]]:
    """Return the names of a term's forms by their text; None is the term itself."""
    found: dict[str, list[str | None]] = {term.text: [None]}
    for name, text in term.forms.items():
        found.setdefault(text, []).append(name)
    return found


def _case(found: str, text: str) -> Case:
    """Return what was done to the letters of a term."""
    one, other = (unicodedata.normalize("NFC", each) for each in (found, text))
    if one == other:
        return "as it is"
    if one == other[:1].upper() + other[1:]:
        return "capital"
    if one == other.lower():
        return "lower"
    return "upper" if one == other.upper() else "as it is"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
