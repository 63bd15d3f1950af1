"""Rows that students learn from: texts with soft labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from promptkit.translation import tr

UNKNOWN = -1
"""Gold label of a row that has none."""

_LEAST = 1e-12  # floor of probabilities, whose logarithms a temperature divides

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Texts with what a teacher says of each, and the gold output where it is known.

    Example:
        >>> rows = TrainingSet(("good", "bad"), np.array([[0.2, 0.8], [0.6, 0.4]]))
        >>> rows.hardened().targets.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    texts: tuple[str, ...]
    targets: Table
    """Probabilities of the labels, (rows, labels), or numbers, (rows, 1)."""
    gold: Table | None = None
    """Gold labels by their place, or gold numbers, (rows,): `UNKNOWN` or NaN where not known; None
    where none is known."""
    weights: Table | None = None
    """Weight of each row, (rows,); None for 1 each."""
    sources: tuple[str, ...] = ()
    """Where each row comes from; empty where all are of the pool."""

    def __post_init__(self) -> None:
        rows = len(self.texts)
        sizes = [len(x) for x in (self.targets, self.gold, self.weights) if x is not None]
        if self.targets.ndim != 2 or {rows, *sizes} != {rows}:
            raise ValueError(tr("{rows} texts with arrays of {sizes} rows", rows=rows, sizes=sizes))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def numeric(self) -> bool:
        """Return whether targets are numbers."""
        return int(self.targets.shape[1]) == 1

    @property
    def row_weights(self) -> Table:
        """Weight of each row."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def at(self, rows: NDArray[np.intp] | Sequence[int]) -> TrainingSet:
        """Return some of the rows."""
        places = np.asarray(rows, dtype=np.intp)
        return TrainingSet(
            tuple([self.texts[place] for place in places]),
            self.targets[places],
            None if self.gold is None else self.gold[places],
            None if self.weights is None else self.weights[places],
            tuple([self.sources[place] for place in places]) if self.sources else (),
        )

    def hardened(self) -> TrainingSet:
        """Return the rows with the most probable label of each alone; numbers stay."""
        if self.numeric:
            return self
        return replace(self, targets=np.eye(self.targets.shape[1])[self.targets.argmax(axis=1)])

    def softened(self, temperature: float) -> TrainingSet:
        """Return the rows with log-probabilities over a temperature, normalised; numbers stay."""
        if self.numeric or temperature == 1:
            return self
        scores = np.log(np.maximum(self.targets, _LEAST)) / temperature
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return replace(self, targets=scores / scores.sum(axis=1, keepdims=True))

    def mixed(self, gold_weight: float) -> TrainingSet:
        """Return the rows with gold outputs mixed in where they are known.

        Args:
            gold_weight: Weight of the gold output, from 0 (the teacher alone) to 1 (gold alone).
        """
        known = self.has_gold
        if not gold_weight or not known.any():
            return self
        assert self.gold is not None
        targets, gold = self.targets.copy(), self.gold[known]
        exact = (
            gold[:, np.newaxis] if self.numeric else np.eye(targets.shape[1])[gold.astype(np.intp)]
        )
        targets[known] = (1 - gold_weight) * targets[known] + gold_weight * exact
        return replace(self, targets=targets)

    @property
    def has_gold(self) -> NDArray[np.bool_]:
        """Return, for each row, whether its gold output is known, (rows,)."""
        if self.gold is None:
            return np.zeros(len(self), np.bool_)
        known: NDArray[np.bool_] = np.isfinite(self.gold)
        return known if self.numeric else known & (self.gold != UNKNOWN)
