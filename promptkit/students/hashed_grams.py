"""Words and character n-grams of many texts at once, as numbers of buckets.

A bucket is a hash of a word, of two neighbouring words, or of a run of characters within a word, so
that no list of words is kept. All texts of a block are one array of characters, and every step is a
few operations on that: a text costs microseconds. No text depends on those beside it.

Words are runs of letters, marks and digits. Of scripts that put no spaces between words each
character is a word, and so is each punctuation mark and symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from unicodedata import category, east_asian_width, normalize

import numpy as np
from numpy.typing import NDArray

BITS = 20
"""Buckets are numbered by so many bits; the first is that of nothing."""

SIZES = (3, 4, 5)
"""Numbers of characters of the n-grams within words, the space around a word included."""

Codes = NDArray[np.uint32]
Buckets = NDArray[np.intp]

_BLOCK = 1 << 14  # characters that are worked on at once, so that they stay in the cache
_STEP, _SPREAD = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)
_PAIR, _LAST = np.uint32(0xC2B2AE35), np.uint32(0x27D4EB2F)
_INVERSE = np.uint32(pow(0x9E3779B1, -1, 1 << 32))
_SHIFT = np.uint32(32 - BITS)

_UNSEEN, _SPACE, _LETTER, _WORD = range(4)
_kinds = np.zeros(0x110000, np.uint8)  # of each character, filled as characters are seen


class Layer(NamedTuple):
    """Buckets of one kind of n-gram in a block of texts."""

    group: int
    """0 for words, 1 for characters."""
    buckets: Buckets
    """One for each place; 0 where no n-gram begins."""
    starts: NDArray[np.intp]
    """Place at which each text begins, and at which the last one ends, (texts + 1,)."""


class _Block(NamedTuple):
    """Texts of a block as one array of characters."""

    text: str
    """Normalised texts with a space in front of each, and one behind."""
    hashed: Codes
    kinds: NDArray[np.uint8]
    starts: NDArray[np.intp]
    """Place of the space in front of each text, and of the last one, (texts + 1,)."""


def layers_of(texts: Sequence[str]) -> Iterator[tuple[slice, list[Layer]]]:
    """Yield the n-grams of texts, block by block, each with the place of its texts among all.

    The first layer is that of single words.
    """
    for place, block in _blocks(texts):
        runs = _runs(block.hashed, block.kinds == _LETTER, block.starts)
        yield place, [*_words(block), *runs]


def words_of(texts: Sequence[str]) -> dict[int, str]:
    """Return the words of texts, normalised, by their buckets; of a bucket the first one."""
    words: dict[int, str] = {}
    for _, block in _blocks(texts):
        first, last = _edges(block.kinds)
        single, _ = _words(block)
        places = zip(single.buckets.tolist(), first.tolist(), last.tolist(), strict=False)
        for bucket, begin, end in places:
            if bucket not in words:
                words[bucket] = block.text[begin:end]
    words.pop(0, None)
    return words


def _blocks(texts: Sequence[str]) -> Iterator[tuple[slice, _Block]]:
    begin, size = 0, 0
    for end, text in enumerate(texts):
        size += len(text)
        if size > _BLOCK and end > begin:
            yield slice(begin, end), _block(texts[begin:end])
            begin, size = end, len(text)
    if begin < len(texts):
        yield slice(begin, len(texts)), _block(texts[begin:])


def _block(texts: Sequence[str]) -> _Block:
    plain = [
        text.lower() if text.isascii() else normalize("NFKC", text).casefold() for text in texts
    ]
    joined = f" {' '.join(plain)} "
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    sizes = np.fromiter(map(len, plain), np.intp, len(plain))
    hashed = codes * _SPREAD
    hashed ^= hashed >> np.uint32(15)
    return _Block(joined, hashed, _kinds_of(codes), np.append(0, np.cumsum(sizes + 1)))


def _edges(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places at which words begin, and behind which they end."""
    letter = kinds == _LETTER
    joined = letter[1:] & letter[:-1]
    begins, closes = kinds > _SPACE, kinds > _SPACE
    begins[1:] &= ~joined
    closes[:-1] &= ~joined
    return np.flatnonzero(begins), np.flatnonzero(closes) + 1


def _words(block: _Block) -> tuple[Layer, Layer]:
    """Return the layers of words, and of pairs of neighbours."""
    first, last = _edges(block.kinds)
    # The polynomial of a word's characters is the difference of two sums, brought to place 0.
    up, down = _powers(len(block.hashed))
    sums = np.zeros(len(block.hashed) + 1, np.uint32)
    np.cumsum(block.hashed * down, dtype=np.uint32, out=sums[1:])
    words = (sums[last] - sums[first]) * up[first]
    words ^= words >> np.uint32(15)
    places = np.searchsorted(first, block.starts)
    single, double = np.zeros((2, len(words) + 1), np.intp)
    single[:-1] = _buckets(words)
    double[: max(len(words) - 1, 0)] = _buckets(words[:-1] * _PAIR + words[1:])
    ends = places[1:]
    double[ends[ends > 0] - 1] = 0  # the last word of a text has no neighbour
    return Layer(0, single, places), Layer(0, double, places)


def _runs(hashed: Codes, letter: NDArray[np.bool_], starts: NDArray[np.intp]) -> Iterator[Layer]:
    """Yield the layers of n-grams of characters: a word's own, and a space at either end of it."""
    codes = np.where(letter, hashed, np.uint32(1))
    grams, within = codes, np.ones(len(codes), np.bool_)
    for size in range(2, max(SIZES) + 1):
        grams = grams[:-1] * _STEP + codes[size - 1 :]
        if size > 2:  # all characters between the two ends are of one word
            within = within[: len(grams)] & letter[size - 2 : size - 2 + len(grams)]
        if size in SIZES:
            buckets = np.zeros(len(codes), np.intp)
            buckets[: len(grams)] = _buckets(grams, within)
            yield Layer(1, buckets, starts)


def _buckets(hashes: Codes, kept: NDArray[np.bool_] | None = None) -> Buckets:
    """Return the buckets of hashes; 0 for those that are not kept, and for one in a million."""
    found = hashes * _LAST
    found >>= _SHIFT
    if kept is not None:
        found *= kept
    return found.astype(np.intp)


def _powers(count: int) -> tuple[Codes, Codes]:
    """Return the powers of the step and of its inverse, from 0 up to so many at the least."""
    global _known_powers
    known = _known_powers
    if len(known[0]) < count:
        known = tuple([_powers_of(step, 2 * count) for step in (_STEP, _INVERSE)])
        _known_powers = known
    return known[0][:count], known[1][:count]


def _powers_of(step: np.uint32, count: int) -> Codes:
    factors = np.full(count, step)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint32)


_known_powers: tuple[Codes, ...] = (np.ones(1, np.uint32), np.ones(1, np.uint32))


def _kinds_of(codes: Codes) -> NDArray[np.uint8]:
    kinds = _kinds[codes]
    if not kinds.all():
        for code in np.unique(codes[kinds == _UNSEEN]).tolist():
            _kinds[code] = _kind(chr(code))
        kinds = _kinds[codes]
    return kinds


def _kind(character: str) -> int:
    kind = category(character)
    if kind[0] in "LMN" or character == "_":
        wide = kind == "Lo" and east_asian_width(character) in "WF"
        return _WORD if wide and not "\uac00" <= character <= "\ud7a3" else _LETTER
    return _WORD if kind[0] in "PS" else _SPACE
