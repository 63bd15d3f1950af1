"""Near-duplicates: texts that say the same but for case, punctuation or a word more or less.

A long shared passage makes no near-duplicates of two questions about it. So texts are compared
field by field and sentence by sentence: each is the same in both, but for case, white space and
the punctuation of prose; or it is long, and one text has a few words that the other lacks. A word
that is replaced by another, a number, an operator, a bracket or a negation makes another text.

`near_pairs` finds near-duplicates among many texts, in time that grows with their number and no
faster: MinHash with banding over runs of five characters finds candidates (of a long text, the
smallest hashes stand for all: a bottom-k sketch), and `alike` decides. `band_keys` say which texts
of two lists need not be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from promptkit.graphemes import SENTENCE_ENDS
from promptkit.tasks.ngrams import code_points, mixed, ngram_hashes

SHORTEST = 40
"""Characters; two shorter sentences that differ in a letter are two, not one."""
ALIKE = 0.8
"""The share of common shingles from which two sentences are nearly the same."""
_WIDTH, _BANDS, _ROWS = 5, 10, 4
_KEPT = 256  # the smallest hashes of a text, which stand for all of them
_BLOCK = 4096  # texts whose hashes are in memory at once
_MOST = 10  # texts in a bucket that are compared pair by pair, and pairs of a text that are tried
_NEIGHBOURS = 200  # texts in a bucket that a text is compared with, for groups
_FIELD = "\f"  # between the normalised fields of an input; their sentences stand on lines

_FOREIGN_ENDS = re.compile(f"(?![ -~．])[{SENTENCE_ENDS}]+")  # they need no white space behind them
_FOREIGN_MARKS = re.compile("[¿¡、，；：،؛၊፣፤፥]+")
_JOINERS = re.compile("[\u200b-\u200d]")  # and the space of no width between words of Khmer
_QUOTES = str.maketrans("‘’ʼ“”„‟«»‹›「」『』", "'" * 3 + '"' * 12)
_MARKS = re.compile(r"""[.?!,;:"']+|[\r\n\v\f]+""")
_SYMBOL = re.compile(r"[!-/:-@\[-^`{-~]")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff]"
)
_DECISIVE = re.compile(r"[\d!-/:-@\[-`{-~]")
_NEGATIONS = frozenset(
    re.findall(
        r"\S+",
        "no not none nor never neither nothing nobody without cannot nicht kein keine keinen "
        "keinem keiner keines nie niemals nichts ohne ne pas jamais rien sans non mai niente senza "
        "nunca nada ni sin não nem sem niet geen nooit zonder не нет ни никогда без नहीं न ना मत "
        "बिना لا ليس لم لن 不 没 沒 未 非 无 無 别 別 莫 勿 な ん ぬ ず",
    )
)
"""Words, and letters of scripts without spaces, that turn a sentence round."""
_UNSPACED_NEGATION = re.compile("ไม่|มิ|บ่|ບໍ່|ບໍ|មិន|ពុំ|ဘူး|မဟုတ်|མི་|མ་|མེད")
"""The same in Thai, Lao, Khmer, Burmese and Tibetan, where a word is several letters."""


def normalised(text: str) -> str:
    """Return the words and symbols of a text, one sentence a line.

    Case, marks of width, white space and the punctuation of prose are gone. Brackets, operators and
    the marks within numbers and code (`3.5`, `x != 1`, `"a"` after `=`) stay.
    """
    if not text.isascii():
        text = _JOINERS.sub("", text)
        text = _FOREIGN_MARKS.sub(" ", _FOREIGN_ENDS.sub("\n", text))
        text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    lines = _MARKS.sub(_kept, text.casefold()).split("\n")
    return "\n".join([words for line in lines if (words := " ".join(line.split()))])


def _kept(match: re.Match[str]) -> str:
    """Return the replacement of punctuation: a line end, a space, or itself outside prose."""
    marks, text, start, end = match[0], match.string, match.start(), match.end()
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if not marks.strip(",") and not (before.isdigit() and after.isdigit()):
        return " "
    if marks.isspace():
        return "\n"
    opens, closes = not before.strip(), not after.strip() or after in ")]"
    if not marks.strip("\"'"):
        code = text[max(start - 2, 0) : start].strip()[-1:] in [*"=([{+<>"]  # x = "1", f("a")
        code = code or (not opens and after in [*"=)]}+"])
        return marks if code or not (opens or not after.strip()) else " "
    kept = " " if not set(marks) & set(".?!") else "\n"
    if opens and not closes:  # .5 and !x, but ...so
        return " " if len(marks) > 1 and not marks.strip(".") else marks
    if not opens and not closes:  # 3.5, x != 1 and a?b:c; scripts without spaces go on behind it
        return kept if before > "~" and after > "~" else marks
    factorial_or_not = marks[0] == "!" and (before.isdigit() or (opens and after))
    return marks if factorial_or_not else kept


def normal_form(fields: Iterable[str]) -> str:
    """Return the normalised texts of an input's fields as one text, for `alike`."""
    return _FIELD.join(map(normalised, fields))


def flat(text: str) -> str:
    """Return a normalised text on one line."""
    return text.replace(_FIELD, " ").replace("\n", " ").strip()


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs of near-duplicates among normalised texts, the earlier one first.

    Each text is paired with one before it at most.
    """
    first: dict[str, int] = {}
    paired: set[int] = set()
    lines = [flat(text) for text in texts]
    for index, text in enumerate(lines):
        if first.setdefault(text, index) != index and text:
            paired.add(index)
            yield first[text], index
    long = [i for i, text in enumerate(lines) if len(text) >= SHORTEST and i not in paired]
    shingles = [_shingles(lines[i]) for i in long]
    votes = _candidates(shingles)
    tried = Counter[int]()
    for a, b in sorted(votes, key=lambda pair: (pair[1], -votes[pair], pair[0])):
        tried[b] += 1
        if long[b] in paired or tried[b] > _MOST:
            continue
        if alike(texts[long[a]], texts[long[b]]):
            paired.add(long[b])
            yield long[a], long[b]


def near_groups(texts: Sequence[str]) -> list[int]:
    """Return the group of each normalised text, named by the first of its texts.

    Near-duplicates are in one group, and so are those of which each is one of a third.
    """
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    for keys in band_keys(texts).T:
        order = np.argsort(keys, kind="stable")
        bounds = np.flatnonzero(np.diff(keys[order])) + 1
        for bucket in np.split(order, bounds):
            members = bucket.tolist()
            for place, index in enumerate(members):
                for other in members[max(place - _NEIGHBOURS, 0) : place]:
                    one, two = sorted((root(index), root(other)))
                    mine, theirs = texts[index], texts[other]
                    if one != two and (mine == theirs or alike(mine, theirs)):
                        parent[two] = one
    return [root(index) for index in range(len(texts))]


def alike(one: str, other: str) -> bool:
    """Return whether two normalised texts are near-duplicates."""
    if one == other or flat(one) == flat(other):
        return bool(flat(one))
    pairs = [*zip(one.split(_FIELD), other.split(_FIELD), strict=False)]
    if one.count(_FIELD) != other.count(_FIELD):
        return False
    shared = max([len(a) for a, b in pairs if a == b], default=0)
    differing = [(a, b) for a, b in pairs if a != b]
    if any(len(a) <= shared for a, _ in differing):
        return False  # what is asked about a shared text
    return all(_field_alike(a, b) for a, b in differing)


def _field_alike(one: str, other: str) -> bool:
    ours, theirs = one.split("\n"), other.split("\n")
    if len(ours) != len(theirs):
        return False
    return all(a == b or _sentence_alike(a, b) for a, b in zip(ours, theirs, strict=True))


def _sentence_alike(one: str, other: str) -> bool:
    """Return whether one sentence is the other plus a few words, none of them decisive."""
    if min(len(one), len(other)) < SHORTEST:
        return False
    if _negations(one) != _negations(other):
        return False
    a, b = sorted((_words(one), _words(other)), key=len)
    added = _added(a, b)
    if added is None or any(word in _NEGATIONS or _DECISIVE.search(word) for word in added):
        return False
    return _similarity(_shingles(one), _shingles(other)) >= ALIKE


def _negations(text: str) -> int:
    """Return the number of negations in scripts without spaces, found within the text."""
    return 0 if text.isascii() else len(_UNSPACED_NEGATION.findall(text))


def _words(text: str) -> list[str]:
    """The words; symbols, and letters of scripts without spaces, are words of their own."""
    text = _SYMBOL.sub(r" \g<0> ", text)
    return (text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)).split()


def _added(few: Sequence[str], many: Sequence[str]) -> list[str] | None:
    """Return the words inserted in the longer sentence; None if it differs otherwise."""
    added: list[str] = []
    rest = iter(many)
    for word in few:
        for other in rest:
            if other == word:
                break
            added.append(other)
        else:
            return None
    return [*added, *rest]


def band_keys(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return keys of normalised texts, (texts, bands): near-duplicates nearly always share one.

    At a similarity of 0.8 they miss each other once in 200 times, at 0.9 once in 40,000.
    """
    texts = [flat(text) for text in texts]
    keys = np.zeros((len(texts), _BANDS), np.uint64)
    long = [index for index, text in enumerate(texts) if len(text) >= SHORTEST]
    for begin in range(0, len(long), _BLOCK):
        block = long[begin : begin + _BLOCK]
        keys[block] = _bands([_shingles(texts[index]) for index in block]).T
    for index, text in enumerate(texts):
        if len(text) < SHORTEST:  # which are alike only where they are equal
            digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            keys[index] = int.from_bytes(digest, "little")
    return keys


@lru_cache(maxsize=1 << 14)
def _shingles(text: str) -> NDArray[np.uint64]:
    """The distinct runs of `_WIDTH` characters, as hashes in order; of many, the smallest."""
    *_, hashes = ngram_hashes(code_points(text), _WIDTH)
    hashes = mixed(hashes)
    if len(hashes) > _KEPT:
        hashes = np.partition(hashes, _KEPT)[:_KEPT]
    return np.unique(hashes)


def _similarity(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """The Jaccard similarity of two sets of hashes, or its estimate from their smallest ones."""
    both = np.sort(np.concatenate([one, other]))
    repeated = both[1:] == both[:-1]
    distinct = len(both) - np.count_nonzero(repeated)
    if distinct <= _KEPT:
        return float(np.count_nonzero(repeated) / distinct)
    # The smallest of the union are what both sets are known up to.
    last = np.unique(both)[_KEPT - 1]
    return float(np.count_nonzero(repeated & (both[1:] <= last)) / _KEPT)


def _bands(shingles: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The MinHash signatures of sets of hashes, the rows of a band as one hash, (bands, sets)."""
    starts = np.cumsum([0, *map(len, shingles[:-1])])
    joined = np.concatenate(shingles)
    odd = np.random.default_rng(0).integers(1, 2**63, _BANDS * _ROWS, dtype=np.uint64) * 2 + 1
    bands = np.zeros((_BANDS, len(shingles)), np.uint64)
    for row, factor in enumerate(odd):
        smallest = np.minimum.reduceat(mixed(joined * np.uint64(factor), 31), starts)
        band = row // _ROWS
        bands[band] = bands[band] * np.uint64(0x9E3779B97F4A7C15) + smallest
    return bands


def _candidates(shingles: Sequence[NDArray[np.uint64]]) -> Counter[tuple[int, int]]:
    """Pairs that may be alike, with the number of bands that say so."""
    votes = Counter[tuple[int, int]]()
    if len(shingles) < 2:
        return votes
    for keys in _bands(shingles):
        buckets: dict[int, list[int]] = {}
        for index, key in enumerate(keys.tolist()):
            buckets.setdefault(key, []).append(index)
        for bucket in buckets.values():
            near = bucket if len(bucket) <= _MOST else bucket[:1]
            votes.update((a, b) for a in near for b in bucket if a < b)
    return votes
