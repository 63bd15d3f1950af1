"""Sums over the n-grams of texts of numbers that each n-gram has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.students.features import Floats
from promptkit.students.hashed_grams import BITS, Layer
from promptkit.translation import tr

Values = NDArray[Any]
Buckets = NDArray[np.int32]


def check_buckets(buckets: Buckets) -> None:
    """Raise ValueError for buckets that are not ascending, or out of range."""
    inside = not len(buckets) or 0 < buckets[0] <= buckets[-1] < 1 << BITS
    if buckets.ndim != 1 or not inside or (np.diff(buckets) <= 0).any():
        raise ValueError(tr("buckets are not ascending, or out of range"))


def spread(buckets: Buckets, values: Values) -> Values:
    """Return the values of n-grams by bucket, 0 for those that are not known."""
    table = np.zeros(1 << BITS, values.dtype)
    table[buckets] = values
    return table


def tables_of(buckets: Buckets, channels: Sequence[Floats]) -> list[Values]:
    """Return tables by bucket of several numbers of each n-gram.

    Two of them are looked up at once, as one complex number.
    """
    every = [*channels, *[np.zeros(len(buckets), np.float32)] * (len(channels) % 2)]
    pairs = zip(every[::2], every[1::2], strict=True)
    return [spread(buckets, (one + 1j * other).astype(np.complex64)) for one, other in pairs]


def sums_of(tables: Sequence[Values], layers: Sequence[Layer], groups: int) -> Floats:
    """Return the sums over the n-grams of each text, (groups, texts, values).

    Each text is summed by itself, so that it does not depend on those beside it.
    """
    width = tables[0].itemsize // 4
    sums = np.zeros((groups, len(layers[0].starts) - 1, width * len(tables)), np.float32)
    for layer in layers:
        # A text may have no words, and then its place is that of the next.
        empty = layer.starts[1:] == layer.starts[:-1]
        for number, table in enumerate(tables):
            found = np.add.reduceat(table.take(layer.buckets), layer.starts)[:-1]
            if layer.group == 0:
                found[empty] = 0
            own = sums[layer.group, :, number * width : (number + 1) * width]
            own += found.view(np.float32).reshape(-1, width)
    return sums
