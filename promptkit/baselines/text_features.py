"""Texts as counts of words, pairs of words and runs of characters within words.

Runs of characters tell one-word inputs apart, serve inflected languages, and those that put no
spaces between words. A word is what stands between spaces and ASCII punctuation, so that vowel
signs, as of Hindi, stay with their letters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\s\0-\x1f\x7f!-/:-@\[-`{-~]+")
_SIZES = (1, 2, 3, 4)
"""Characters of the runs, a space at either end of a word included."""
_RUN = "\t"
"""In front of a run of characters, which no word has in it."""


def features(text: str) -> list[str]:
    """Return the features of a text, as often as they occur; an empty text has one of its own.

    Example:
        >>> features("Fig")[:4]
        ['fig', '\\t ', '\\tf', '\\ti']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(plain)
    pairs = [f"{one} {other}" for one, other in pairwise(words)]
    return [*words, *pairs, *map(_RUN.__add__, _runs(plain))] or [_RUN]


def _runs(text: str) -> Iterator[str]:
    for word in text.split():
        padded = f" {word} "
        for size in _SIZES:
            for start in range(len(padded) - size + 1):
                yield padded[start : start + size]


class TextCounts:
    """Features of some texts, of which any part may be what a model is trained on."""

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._vectoriser = CountVectorizer(analyzer=features)
        self.counts: Any = self._vectoriser.fit_transform(texts)
        """Counts, (texts, features), a sparse matrix; features are sorted."""

    def of(self, texts: Sequence[str]) -> Any:
        """Return the counts of other texts, (texts, features); features they alone have are lost.

        Args:
            texts: The texts.
        """
        return self._vectoriser.transform(texts)

    @cached_property
    def _names(self) -> list[str]:
        return [*self._vectoriser.get_feature_names_out()]

    @cached_property
    def runs(self) -> int:
        """Number of features that are runs of characters: the first ones."""
        return bisect_left(self._names, chr(ord(_RUN) + 1))

    @cached_property
    def sizes(self) -> Any:
        """Bytes of each feature's name, (features,)."""
        return np.array([len(name.encode("utf-8", "surrogatepass")) for name in self._names])

    def part(self, rows: Sequence[int]) -> CountedRows:
        """Return some of the texts, by their numbers."""
        return CountedRows(self.counts[np.array(rows, np.int64)], self.runs, self.sizes)


@dataclass(frozen=True, eq=False)
class CountedRows:
    """Counts of the texts that a model is trained on."""

    counts: Any
    """Counts, (rows, features)."""
    runs: int
    """Number of features that are runs of characters: the first ones."""
    sizes: Any
    """Bytes of each feature's name, (features,)."""

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def where(self, chosen: NDArray[np.bool_]) -> CountedRows:
        """Return the rows that are chosen."""
        return replace(self, counts=self.counts[chosen])

    @cached_property
    def known(self) -> NDArray[np.int64]:
        """Features that a row has."""
        return np.flatnonzero(self.counts.getnnz(axis=0))

    @cached_property
    def weighted(self) -> Any:
        """TF-IDF of the rows, (rows, known features)."""
        return self.weigh(self.counts)

    def weigh(self, counts: Any) -> Any:
        """Return counts weighed by TF-IDF of the rows: words and runs are of length one each.

        Args:
            counts: Counts of any texts, (texts, features).
        """
        from scipy import sparse
        from sklearn.preprocessing import normalize

        found = self._weights.transform(counts[:, self.known])
        first = int(np.searchsorted(self.known, self.runs))
        kinds = [part for part in (found[:, :first], found[:, first:]) if part.shape[1]]
        return sparse.hstack([*map(normalize, kinds)], "csr")

    @cached_property
    def _weights(self) -> Any:
        from sklearn.feature_extraction.text import TfidfTransformer

        return TfidfTransformer(norm=None, sublinear_tf=True).fit(self.counts[:, self.known])
