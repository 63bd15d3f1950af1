"""Hashes of the character n-grams of texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def code_points(text: str) -> Hashes:
    """Return the characters of a text as numbers; lone surrogates are kept."""
    raw = text.encode("utf-32-le", "surrogatepass")
    return np.frombuffer(raw, dtype=np.uint32).astype(np.uint64)


def ngram_hashes(codes: Hashes, longest: int) -> Iterator[Hashes]:
    """Yield the hashes of all runs of 1, 2, … `longest` characters, where the text is as long."""
    hashes = np.zeros(len(codes), np.uint64)
    for size in range(1, min(longest, len(codes)) + 1):
        # Each run is the run without its last character, and that; the product wraps around.
        shorter = hashes[: len(codes) - size + 1]
        hashes = shorter * np.uint64(0x9E3779B97F4A7C15) + codes[size - 1 :]
        yield hashes


def mixed(hashes: Hashes, shift: int = 29) -> Hashes:
    """Return the hashes with all bits spread (the finalizer of SplitMix64)."""
    return (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(0xBF58476D1CE4E5B9)
