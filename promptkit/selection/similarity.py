"""Texts as vectors, and how like each other they are: by cosine.

Vectors are of length one on a grid of whole numbers so fine that nothing is lost, and so coarse
that every product is exact. So a similarity is the same number in every process, whatever is
computed beside it, and equal texts are equally near.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.errors import TaskError, shorten
from promptkit.tasks.near_duplicates import flat, normalised
from promptkit.tasks.ngrams import code_points, mixed, ngram_hashes
from promptkit.translation import tr

Embed = Callable[[Sequence[str]], ArrayLike]
"""Texts to vectors, (texts, dimensions); they need not be of length one."""
Matrix = NDArray[np.float64]

_SIZES = (2, 3, 4)
"""The characters of the n-grams that texts are compared by; of Chinese ones each is one too."""
_HAN = (0x3400, 0xA000), (0xF900, 0xFB00), (0x20000, 0x40000)
"""Chinese characters, each of which says what a word or a part of it does."""
_BITS = 20
"""N-grams are told apart by so many bits of a hash."""
PRODUCTS = 500_000
"""What a query may cost on average. N-grams that stand in many examples say little and cost most,
so in pools of more than some thousand examples the commonest are left out until it fits."""
SMALL = 2048
"""Pools up to this size are compared as a whole."""
_STEP = 2048
"""Texts that are worked on at once; 11 bits number them, so that with a hash they fit 32."""
_QUERIES, _POOL_STEP = 128, 8192
"""Sizes of the blocks of matrices that are multiplied."""
_FINE, _COARSE = 2.0**26, 2.0**22
"""Steps of the grid: float64 holds whole numbers up to 2^53, float32 up to 2^24."""


class Vectors(Protocol):
    """The vectors of a pool."""

    def rows(self, texts: Sequence[str]) -> Iterator[Matrix]:
        """For each text its similarity to every example, (examples,)."""

    def among(self, indices: Sequence[int]) -> Matrix:
        """The similarities of some examples to each other, (indices, indices)."""

    def to(self, index: int) -> Matrix:
        """The similarity of every example to one of them, (examples,)."""


class TfIdf:
    """Character n-grams within words, weighted by TF-IDF (`Vectors`).

    They need no list of words, so they serve inflected languages, and those that put no spaces
    between words. How rare an n-gram is says the pool alone, so that no query depends on another.
    """

    def __init__(self, pool: Sequence[str]) -> None:
        from scipy import sparse

        self._columns = np.full(2**_BITS, -1, np.int32)  # of n-grams that the pool does not have
        counts = _counts(pool)
        known = np.flatnonzero(np.bincount(counts.indices, minlength=2**_BITS))
        self._columns[known] = np.arange(len(known))
        counts = self._in_pool(counts)
        shown = np.bincount(counts.indices, minlength=len(known))
        # As in BM25: hardly anything for what stands everywhere.
        self._rarity = np.log1p((len(pool) - shown + 0.5) / (shown + 0.5))
        self._rarity[shown > _commonest(shown, len(pool))] = 0
        self._pool = self._weighted(counts)
        self._postings = sparse.csr_matrix(self._pool.T)

    def rows(self, texts: Sequence[str]) -> Iterator[Matrix]:
        for begin in range(0, len(texts), _STEP):
            block = self._weighted(self._in_pool(_counts(texts[begin : begin + _STEP])))
            if self._pool.shape[0] <= SMALL:
                yield from (block @ self._postings).toarray() / _FINE**2
                continue
            for start, end in zip(block.indptr[:-1], block.indptr[1:], strict=True):
                postings = self._postings[block.indices[start:end]]
                yield (block.data[start:end] @ postings) / _FINE**2

    def among(self, indices: Sequence[int]) -> Matrix:
        if self._pool.shape[0] <= SMALL:
            return self._all[np.ix_(indices, indices)]
        some = self._pool[list(indices)]
        return np.asarray((some @ some.T).toarray() / _FINE**2)

    @cached_property
    def _all(self) -> Matrix:
        return np.asarray((self._pool @ self._postings).toarray() / _FINE**2)

    def to(self, index: int) -> Matrix:
        return np.asarray((self._pool @ self._pool[[index]].T).toarray()[:, 0] / _FINE**2)

    def _in_pool(self, counts: Any) -> Any:
        """The counts of those n-grams that the pool has."""
        from scipy import sparse

        columns = self._columns[counts.indices]
        known = columns >= 0
        starts = np.concatenate([[0], np.cumsum(known)])[counts.indptr]
        shape = (counts.shape[0], int(self._columns.max(initial=-1)) + 1)
        return sparse.csr_matrix((counts.data[known], columns[known], starts), shape)

    def _weighted(self, counts: Any) -> Any:
        counts.data = (1 + np.log(counts.data)) * self._rarity[counts.indices]
        counts.eliminate_zeros()
        squares = np.bincount(
            np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr)),
            counts.data**2,
            counts.shape[0],
        )
        lengths = np.repeat(np.sqrt(squares), np.diff(counts.indptr))
        counts.data = np.rint(counts.data / lengths * _FINE)
        return counts


class Embedded:
    """The vectors that a function computes for texts (`Vectors`)."""

    def __init__(self, pool: Sequence[str], embed: Embed) -> None:
        """Raises `TaskError` where `embed` does not give a finite vector for each text."""
        self._embed = embed
        blocks = [self._vectors(pool[i : i + _STEP]) for i in range(0, len(pool), _STEP)]
        if len({block.shape[1] for block in blocks}) > 1:
            raise TaskError(tr("the embedder gave vectors of several lengths"))
        self._pool = np.concatenate(blocks or [np.empty((0, 0), np.float32)])

    def rows(self, texts: Sequence[str]) -> Iterator[Matrix]:
        for begin in range(0, len(texts), _QUERIES):
            block = self._vectors(texts[begin : begin + _QUERIES])
            if block.shape[1] != self._pool.shape[1]:
                raise TaskError(
                    tr(
                        "the embedder gave {pool} dimensions for the pool, and {own} for {text}",
                        pool=self._pool.shape[1],
                        own=block.shape[1],
                        text=shorten(texts[begin]),
                    )
                )
            yield from self._products(block)

    def among(self, indices: Sequence[int]) -> Matrix:
        some = self._pool[list(indices)].astype(np.float64)
        return np.asarray(some @ some.T / _COARSE**2)

    def to(self, index: int) -> Matrix:
        return np.asarray(self._products(self._pool[[index]])[0])

    def _products(self, block: NDArray[np.float32]) -> Matrix:
        wide, found = block.astype(np.float64).T, np.empty((len(block), len(self._pool)))
        for begin in range(0, len(self._pool), _POOL_STEP):
            end = begin + _POOL_STEP
            found[:, begin:end] = (self._pool[begin:end].astype(np.float64) @ wide).T
        found /= _COARSE**2
        return found

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        given = np.asarray(self._embed(texts))
        if given.ndim != 2 or len(given) != len(texts) or given.dtype.kind not in "fiu":
            raise TaskError(
                tr(
                    "the embedder gave an array of {dtype} with shape {shape} for {count} "
                    "texts; it must be numbers, (texts, dimensions)",
                    dtype=given.dtype,
                    shape=given.shape,
                    count=len(texts),
                )
            )
        vectors = given.astype(np.float64)
        if not np.isfinite(vectors).all():
            bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise TaskError(
                tr("the embedder gave no finite numbers for {text}", text=shorten(texts[bad]))
            )
        # Twice, since the square of a very large number is none.
        for _ in range(2):
            largest = np.abs(vectors).max(axis=1, initial=0, keepdims=True)
            vectors /= np.where(largest > 0, largest, 1)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.where(lengths > 0, lengths, 1)
        return np.rint(vectors * _COARSE).astype(np.float32)


def _commonest(shown: NDArray[np.int64], size: int) -> int:
    """Return the largest document frequency an n-gram may have, given those of all n-grams."""
    times = np.bincount(shown, minlength=2)
    # An example meets every other one that it shares an n-gram with.
    products = np.cumsum(times * np.arange(len(times), dtype=np.float64) ** 2)
    fits = int(np.searchsorted(products, PRODUCTS * size, side="right")) - 1
    return max(fits, int(shown.min(initial=len(times))))


def _is_within(size: int, text: NDArray[np.uint32], spaces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which runs of characters are within a word, with the space in front or behind it."""
    last = len(text) - size + 1
    inside = spaces[size - 1 : size - 1 + last] == spaces[1 : 1 + last]
    inside &= text[:last] == text[size - 1 :]
    return np.asarray(inside)


def _is_han(codes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    found = np.zeros(len(codes), np.bool_)
    for first, end in _HAN:
        found |= (first <= codes) & (codes < end)
    return found


def _counts(texts: Sequence[str]) -> Any:
    """Return the counts of n-grams in texts: a CSR matrix, (texts, hashes)."""
    from scipy import sparse

    blocks = [_block(texts[begin : begin + _STEP]) for begin in range(0, len(texts), _STEP)]
    return sparse.vstack(blocks or [_block(())], format="csr")


def _block(texts: Sequence[str]) -> Any:
    from scipy import sparse

    words = [f" {flat(normalised(text))} " for text in texts]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    codes = code_points("".join(words))
    text = np.repeat(np.arange(len(words), dtype=np.uint32), lengths)
    spaces = np.concatenate([[0], np.cumsum(codes == ord(" "))])
    keys = [np.empty(0, np.uint32)]
    for size, hashes in enumerate(ngram_hashes(codes, max(_SIZES)), 1):
        if size == 1 or size in _SIZES:
            inside = _is_han(codes) if size == 1 else _is_within(size, text, spaces)
            hashed = (mixed(hashes[inside]) >> np.uint64(64 - _BITS)).astype(np.uint32)
            keys.append(text[: len(hashes)][inside] << np.uint32(_BITS) | hashed)
    found, times = np.unique(np.concatenate(keys), return_counts=True)
    starts = np.searchsorted(found, np.arange(len(words) + 1, dtype=np.uint32) << np.uint32(_BITS))
    columns = (found & np.uint32(2**_BITS - 1)).astype(np.int32)
    shape = (len(words), 2**_BITS)
    return sparse.csr_matrix((times.astype(np.float64), columns, starts.astype(np.int32)), shape)
