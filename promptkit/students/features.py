"""Features of texts that a linear head reads, and what every kind of them has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

Scorer = Callable[[Sequence[str]], NDArray[np.float64]]
"""Returns the products of the features of texts with weights, (texts, outputs)."""


class Features(Protocol):
    """Texts as rows of numbers."""

    @property
    def kind(self) -> str:
        """Name of the kind of student."""

    @property
    def columns(self) -> int:
        """Number of features."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What they are made of beside the arrays, as JSON holds it."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Arrays that they are made of, by name."""

    def matrix(self, texts: Sequence[str]) -> Any:
        """Return the features, (texts, columns), as a dense array or a sparse one of scipy."""

    def scorer(self, weights: Floats) -> Scorer:
        """Return the function that multiplies features with weights, (columns, outputs)."""
