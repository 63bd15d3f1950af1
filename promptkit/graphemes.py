"""Texts as people see them: grapheme clusters, columns of a terminal, joiners and direction.

A grapheme cluster is what a reader takes for one character, of one code point or of several: a
letter with its marks, a conjunct of Devanagari, a flag, a family (Unicode Standard Annex 29).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

LONGEST = 32
"""Most code points of a cluster that stays whole. Text that people write has no longer ones
(Unicode Standard Annex 15 allows 30 marks), and hostile text must not evade every limit."""

ZWNJ, ZWJ = "\u200c", "\u200d"
JOINERS = frozenset((ZWNJ, ZWJ))
"""The joiners: they join letters, or keep them from joining, and are invisible."""

_VIRAMA = 9  # the combining class
_FAR = 4096  # code points in front of a place from which clusters are found

SENTENCE_ENDS = (
    ".!?\u0589\u061d-\u061f\u06d4\u0700-\u0702\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u166e"
    "\u1803\u1809\u17d4\u17d5\u0f0d-\u0f12\u1c7e\u1c7f\u203c\u203d\u2047-\u2049\u3002\ua4ff\uabeb\ufe52"
    "\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
)
"""Full stops, question marks and the like of all scripts, as the inside of a set of `re`: `.` and
`।`, `。`, `؟`, `۔`, `።`, … (from Unicode's property Sentence_Terminal)."""

_JOINING = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\u1800-\u18af\u1900-\u194f\u1a20-\u1aaf"
    "\u1b00-\u1c4f\ua800-\ua82f\ua840-\ua8df\ua930-\ua9df\uaa00-\uaa5f\uaa60-\uaa7f\uaae0-\uaaff\uabc0-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010bff\U00010d00-\U00010d3f\U00011000-\U00011fff"
    "\U0001e900-\U0001e95f]"
)
"""Letters and marks of scripts that join letters or stack them, as Arabic and Devanagari do."""

_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Japanese and Chinese."""

_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_RTL = re.compile(f"[{_RIGHT_TO_LEFT}]")
_RTL_RUN = re.compile(rf"[{_RIGHT_TO_LEFT}](?:[\s\u200c\u200d'’-]*[{_RIGHT_TO_LEFT}])*")
_DIGITS = re.compile("[\u0660-\u066c\u06dd\u06f0-\u06f9]")  # within the ranges, and no letters


def composed(text: str) -> str:
    """Return a text in Unicode's normal form C, in which equal texts are compared.

    Stored texts, and those that a model reads, stay as they are.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


_WORD = re.compile(r"\s*\S+\s*")


def clusters(text: str) -> Iterator[str]:
    """Yield the grapheme clusters of a text; of more than `LONGEST` code points, parts of one.

    Example:
        >>> [*clusters("हिन्दी")]
        ['हि', 'न्दी']
    """
    if text.isascii():
        yield from text
        return
    from wcwidth import iter_graphemes

    for cluster in iter_graphemes(text):
        for start in range(0, len(cluster), LONGEST):
            yield cluster[start : start + LONGEST]


def width(text: str) -> int:
    """Return the columns that a text takes in a terminal.

    Example:
        >>> width("तीन"), width("果物"), width("cafe\\u0301")
        (3, 4, 4)
    """
    return len(text) if text.isascii() else sum(map(_columns, clusters(text)))


@lru_cache(maxsize=1 << 14)
def _columns(cluster: str) -> int:
    from wcwidth import wcswidth

    found = wcswidth(cluster)
    return found if found >= 0 else len(cluster)  # a control character, shown as a sign


def cut(text: str, limit: int) -> str:
    """Return a text of at most `limit` columns, a longer one cut to `…` between two clusters.

    Example:
        >>> cut("हिन्दी में फल", 6), cut("apple", 5)
        ('हिन्दी …', 'apple')
    """
    if text.isascii():
        return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
    used = end = kept = 0
    # A piece costs a column at least, so that no text beyond this counts.
    for piece in clusters(text[: LONGEST * (max(limit, 0) + 2)]):
        used += max(_columns(piece), 1)
        if used > limit:
            return text[:kept] + "…"
        end += len(piece)
        if used < limit:
            kept = end
    return text


def pieces(text: str, limit: int) -> Iterator[str]:
    """Yield the parts of a text, each of at most `limit` columns unless it is one cluster."""
    part, used = "", 0
    for cluster in clusters(text):
        columns = _columns(cluster)
        if part and used + columns > limit:
            yield part
            part, used = "", 0
        part += cluster
        used += columns
    if part:
        yield part


def breaks(line: str, columns: int) -> list[int]:
    """Return the places at which a line is folded: in front of words, and within long ones.

    Args:
        line: The line.
        columns: The columns that its parts may take, without white space at their ends.
    """
    places: list[int] = []
    used = 0
    for match in _WORD.finditer(line):
        word, start = match[0], match.start()
        size = width(word.rstrip())
        if used and used + size > columns:
            places.append(start)
            used = 0
        if size <= columns:
            used += width(word)
            continue
        *full, last = pieces(word.rstrip(), columns)
        for part in full:
            start += len(part)
            places.append(start)
        used = width(last) + len(word) - len(word.rstrip())
    return places


def folded(text: str, columns: int) -> list[str]:
    """Return a line in parts of so many columns at most."""
    ends = [0, *breaks(text, columns), len(text)]
    return [text[start:end].rstrip() for start, end in pairwise(ends)]


def beginning(text: str, most: int) -> str:
    """Return up to so many code points of a text, whole grapheme clusters only."""
    return text[: boundary(text, most)]


def boundary(text: str, at: int, *, after: bool = False) -> int:
    """Return the place between two clusters that is the nearest one before a place, or after it.

    Args:
        text: The text.
        at: The place, which is returned where it is between two clusters.
        after: Whether the nearest one after it is meant.
    """
    if not 0 < at < len(text) or text.isascii():
        return min(max(at, 0), len(text))
    place = max(at - _FAR, 0)
    for cluster in clusters(text[place : at + LONGEST]):
        if place == at or place + len(cluster) > at:
            break
        place += len(cluster)
    return place if place == at or not after else place + len(cluster)


def is_joined(before: str, joiner: str, after: str) -> bool:
    """Return whether a joiner between two characters is one that readers of a script expect.

    It is between letters of a script that joins them, at the end of a half letter (a virama and
    ZWJ, as Malayalam ends words with), or between the parts of an emoji.

    Args:
        before: The character in front of the joiner; empty at the beginning.
        joiner: ZWJ or ZWNJ.
        after: The character behind it; empty at the end.
    """
    if not before:
        return False
    if joiner == ZWJ and unicodedata.combining(before) == _VIRAMA:
        return True
    if not after:
        return False
    if _JOINING.match(before) and _JOINING.match(after):
        return after.isalpha() or unicodedata.category(after)[0] == "M"
    parts = ("So", "Sk")
    pictured = before == "\ufe0f" or unicodedata.category(before) in parts
    return joiner == ZWJ and pictured and unicodedata.category(after) in parts


def is_unspaced(char: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    return bool(_UNSPACED.match(char))


def is_right_to_left(text: str) -> bool:
    """Return whether a text has letters that are written from right to left."""
    return not text.isascii() and bool(_RTL.search(_DIGITS.sub("", text)))


def right_to_left(line: str) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of what is written from right to left in a line.

    That is all of a line without other letters, and else each run of words.

    Example:
        >>> [*right_to_left("the label سیب سرخ is right 42 times")]
        [(10, 17)]
    """
    if not is_right_to_left(line):
        return
    others = any(char.isalpha() and not _RTL.match(char) for char in line)
    if not others:
        start = len(line) - len(line.lstrip())
        yield start, len(line.rstrip())
        return
    for run in _RTL_RUN.finditer(line):
        if is_right_to_left(run[0]):
            yield run.span()
