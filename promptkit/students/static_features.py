"""Static word vectors: a text is the mean of the vectors of its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.students.bucket_sums import check_buckets, spread, sums_of, tables_of
from promptkit.students.features import Floats, Scorer
from promptkit.students.hashed_grams import BITS, layers_of
from promptkit.translation import tr

_SINGLE = 1  # layers of a block that are read: single words


@dataclass(frozen=True, eq=False)
class StaticFeatures:
    """Vectors of the words of a training set; other words count for nothing."""

    buckets: NDArray[np.int32]
    """Buckets of the words, ascending."""
    vectors: Floats
    """(words, dimensions)"""
    source: str = ""
    """Name of the model that the vectors come from."""

    kind = "static"

    def __post_init__(self) -> None:
        check_buckets(self.buckets)
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.buckets):
            raise ValueError(
                tr(
                    "{count} words with vectors of {shape}",
                    count=len(self.buckets),
                    shape=self.vectors.shape,
                )
            )

    @property
    def columns(self) -> int:
        """Number of dimensions."""
        return int(self.vectors.shape[1])

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the hashes, and the model that the vectors come from."""
        return {"bits": BITS, "source": self.source}

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The words and their vectors."""
        return {"buckets": self.buckets, "vectors": self.vectors}

    @classmethod
    def from_arrays(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> StaticFeatures:
        """Return the features that `settings` and `arrays` describe. Raises ValueError."""
        if settings["bits"] != BITS or {*arrays} != {"buckets", "vectors"}:
            raise ValueError(tr("hashes of another kind: {settings}", settings=settings))
        source = str(settings["source"])
        return cls(arrays["buckets"].astype(np.int32), arrays["vectors"], source)

    def shares(self, texts: Sequence[str]) -> Any:
        """Return the share that each word has of the known words of each text, (texts, words)."""
        from scipy import sparse

        places = spread(self.buckets, np.arange(1, len(self.buckets) + 1, dtype=np.int32))
        columns, rows = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for _, layers in layers_of(texts):
            found = places[layers[0].buckets]
            known = found > 0
            columns.append(found[known] - 1)
            counted = np.concatenate([[0], np.cumsum(known)])[layers[0].starts]
            rows.append(counted[1:] + rows[-1][-1])
        ends = np.concatenate(rows)
        sizes = np.diff(ends)
        values = np.repeat(1 / np.maximum(sizes, 1), sizes)
        shape = (len(texts), len(self.buckets))
        return sparse.csr_array(
            (values, np.concatenate(columns).astype(np.int32), ends.astype(np.int32)), shape
        )

    def matrix(self, texts: Sequence[str]) -> Any:
        """Return the mean vector of each text, (texts, dimensions)."""
        return np.asarray(self.shares(texts) @ self.vectors.astype(np.float64))

    def scorer(self, weights: Floats) -> Scorer:
        """Return the function that multiplies mean vectors with weights, (columns, outputs)."""
        outputs = weights.shape[1]
        scores = self.vectors @ weights
        ones = np.ones(len(self.buckets), np.float32)
        tables = tables_of(self.buckets, [ones, *scores.T])

        def products(texts: Sequence[str]) -> NDArray[np.float64]:
            found = np.zeros((len(texts), outputs))
            for place, layers in layers_of(texts):
                (sums,) = sums_of(tables, layers[:_SINGLE], 1)
                found[place] = sums[:, 1 : 1 + outputs] / np.maximum(sums[:, :1], 1)
            return found

        return products
