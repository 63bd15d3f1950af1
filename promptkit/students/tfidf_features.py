"""TF-IDF of words, of pairs of words, and of character n-grams, for texts in any script.

As usual, with two changes that make a text cost microseconds: an n-gram is a bucket of hashes, and
a text's length, by which its counts are divided, is the root of the sum of squares over its
n-grams one by one, equal ones too. Words and characters are of length one each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.students.bucket_sums import check_buckets, spread, sums_of, tables_of
from promptkit.students.features import Floats, Scorer
from promptkit.students.hashed_grams import BITS, SIZES, Layer, layers_of
from promptkit.translation import tr

_GROUPS = 2


@dataclass(frozen=True, eq=False)
class TfIdfFeatures:
    """Weights of the n-grams of a training set."""

    buckets: NDArray[np.int32]
    """Buckets of the n-grams that are known, ascending."""
    rarity: Floats
    """Inverse document frequency of each."""

    kind = "tfidf"

    def __post_init__(self) -> None:
        check_buckets(self.buckets)
        if self.buckets.shape != self.rarity.shape:
            raise ValueError(
                tr(
                    "{buckets} buckets with {weights} weights",
                    buckets=self.buckets.shape,
                    weights=self.rarity.shape,
                )
            )

    @classmethod
    def of(cls, texts: Sequence[str], least: int = 2) -> TfIdfFeatures:
        """Return the features of a training set.

        Args:
            texts: Texts of the set.
            least: Number of texts that an n-gram is in at the least.
        """
        counts = np.zeros(1 << BITS, np.int64)
        for _, layers in layers_of(texts):
            for layer in layers:
                np.add.at(counts, _once(layer), 1)
        counts[0] = 0
        buckets = np.flatnonzero(counts >= max(least, 1))
        rarity = np.log((1 + len(texts)) / (1 + np.minimum(counts[buckets], len(texts)))) + 1
        return cls(buckets.astype(np.int32), rarity.astype(np.float32))

    @property
    def columns(self) -> int:
        """Number of n-grams."""
        return len(self.buckets)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the hashes."""
        return {"bits": BITS, "sizes": [*SIZES]}

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The n-grams and their weights."""
        return {"buckets": self.buckets, "rarity": self.rarity}

    @classmethod
    def from_arrays(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> TfIdfFeatures:
        """Return the features that `settings` and `arrays` describe. Raises ValueError."""
        if settings != {"bits": BITS, "sizes": [*SIZES]}:
            raise ValueError(tr("hashes of another kind: {settings}", settings=settings))
        return cls(arrays["buckets"].astype(np.int32), arrays["rarity"])

    def matrix(self, texts: Sequence[str]) -> Any:
        """Return the features, (texts, columns), as a sparse array."""
        from scipy import sparse

        known = spread(self.buckets, np.arange(1, len(self.buckets) + 1, dtype=np.int32))
        parts = []
        for _, layers in layers_of(texts):
            lengths = self._lengths(layers)[:, :, 0]
            part: Any = 0
            for layer in layers:
                columns = known[layer.buckets] - 1
                kept = columns >= 0
                rows = np.concatenate([[0], np.cumsum(kept)])[layer.starts]
                rows, columns = rows.astype(np.int32), columns.astype(np.int32)
                values = self.rarity[columns[kept]] * np.repeat(lengths[layer.group], np.diff(rows))
                shape = (len(rows) - 1, self.columns)
                part = part + sparse.csr_array((values, columns[kept], rows), shape)
            parts.append(part)
        return sparse.vstack(parts, format="csr") if parts else sparse.csr_array((0, self.columns))

    def _lengths(self, layers: Sequence[Layer]) -> Floats:
        """Return one over the length of each group of each text, (groups, texts, 1)."""
        squares = spread(self.buckets, np.square(self.rarity))
        return _inverse(sums_of([squares], layers, _GROUPS))

    def scorer(self, weights: Floats) -> Scorer:
        """Return the function that multiplies features with weights, (columns, outputs)."""
        outputs = weights.shape[1]
        channels = [np.square(self.rarity), *(self.rarity * column for column in weights.T)]
        tables = tables_of(self.buckets, channels)

        def scores(texts: Sequence[str]) -> NDArray[np.float64]:
            found = np.zeros((len(texts), outputs))
            for place, layers in layers_of(texts):
                sums = sums_of(tables, layers, _GROUPS)
                lengths = _inverse(sums[:, :, :1])
                found[place] = (sums[:, :, 1 : 1 + outputs] * lengths).sum(axis=0)
            return found

        return scores


def _inverse(squares: Floats) -> Floats:
    """Return one over the roots of sums of squares, 0 for those of nothing."""
    inverse = np.zeros_like(squares)
    np.divide(1, np.sqrt(squares), out=inverse, where=squares > 0)
    return inverse


def _once(layer: Layer) -> NDArray[np.intp]:
    """Return the bucket of each n-gram of each text, once for a text."""
    owners = np.repeat(np.arange(len(layer.starts) - 1), np.diff(layer.starts))
    return np.unique((owners << BITS) | layer.buckets[: len(owners)]) & ((1 << BITS) - 1)
