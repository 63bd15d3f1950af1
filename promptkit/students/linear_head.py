"""Linear models on soft targets: logistic regression by exact cross-entropy, and ridge regression.

The strength of regularisation is chosen by cross-validation on the training set, by what is being
minimised. As in scikit-learn, it is C: the loss is C times the sum over rows, plus half the sum of
the squares of the weights, and biases are free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.students.features import Floats
from promptkit.students.minimiser import minimise
from promptkit.students.training_set import Table

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Values of C that are tried, the strongest regularisation first."""

FOLDS = 3
_ROUGH, _EXACT = 1e-4, 1e-7  # relative change of the loss at which a fit ends

Loss = Callable[[Table, Table], tuple[Table, Table]]
"""Returns the loss of each row and its slope in each score, given scores and targets."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Weights of a linear model."""

    weights: Floats
    """(columns, outputs): of labels, one output for each but the first."""
    bias: Floats
    """(outputs,)"""
    strength: float
    """C, as it was chosen."""
    losses: tuple[float, ...] = ()
    """Mean loss of held-out rows at each of the strengths that were tried."""


class _Rows(NamedTuple):
    features: Any
    targets: Table
    weights: Table

    def at(self, places: NDArray[np.intp]) -> _Rows:
        return _Rows(self.features[places], self.targets[places], self.weights[places])


def fit_head(
    features: Any,
    targets: Table,
    weights: Table,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> LinearHead:
    """Return the linear model of a training set.

    Args:
        features: (rows, columns), dense or sparse.
        targets: Probabilities of the labels, (rows, labels), or numbers, (rows, 1).
        weights: Weight of each row, (rows,).
        strengths: Values of C to choose from, ascending; of one, nothing is chosen.
        seed: Number of the draw of folds.
    """
    numeric = targets.shape[1] == 1
    centre, spread = (_scale(targets, weights)) if numeric else (0.0, 1.0)
    rows = _Rows(features.astype(np.float64), (targets - centre) / spread, weights)
    loss = _squares if numeric else _cross_entropies
    several = len(strengths) > 1 and len(targets) > 1
    losses = _held_out_losses(rows, loss, strengths, seed) if several else ()
    best = strengths[int(np.argmin(losses))] if losses else strengths[0]
    found, bias = _minimised(rows, loss, best, _EXACT)
    if found.shape[1] > 1:  # of labels, whose first has the score 0
        found, bias = found[:, 1:] - found[:, :1], bias[1:] - bias[:1]
    return LinearHead(
        (found * spread).astype(np.float32),
        (bias * spread + centre).astype(np.float32),
        best,
        losses,
    )


def _scale(targets: Table, weights: Table) -> tuple[float, float]:
    """Return the mean and the standard deviation of numbers, 1 where they are all equal."""
    centre = float(np.average(targets[:, 0], weights=weights))
    spread = float(np.average((targets[:, 0] - centre) ** 2, weights=weights)) ** 0.5
    return centre, spread or 1.0


def _held_out_losses(
    rows: _Rows, loss: Loss, strengths: Sequence[float], seed: int
) -> tuple[float, ...]:
    """Return the mean loss of rows outside of the folds that a model learnt from.

    Models of weaker regularisation, which take longest, are left out once it only becomes larger.
    """
    count = len(rows.targets)
    folds = np.random.default_rng(seed).permutation(count) % min(FOLDS, count)
    sides = [(rows.at(np.flatnonzero(folds != f)), rows.at(np.flatnonzero(folds == f)))
             for f in range(min(FOLDS, count))]  # fmt: skip
    starts: list[Table | None] = [None] * len(sides)
    losses: list[float] = []
    for strength in strengths:
        total = 0.0
        for fold, (known, asked) in enumerate(sides):
            weights, bias = _minimised(known, loss, strength, _ROUGH, starts[fold])
            starts[fold] = np.vstack([weights, bias])
            each, _ = loss(asked.features @ weights + bias, asked.targets)
            total += float(each @ asked.weights)
        losses.append(total / float(rows.weights.sum()))
        if losses[-1] > min(losses):
            break
    return tuple(losses)


def _minimised(
    rows: _Rows, loss: Loss, strength: float, tolerance: float, start: Table | None = None
) -> tuple[Table, Table]:
    """Return the weights and biases with the least loss."""
    columns = rows.features.shape[1]
    labels = rows.targets.shape[1]
    outputs = 1 if labels <= 2 else labels
    turned = _turned(rows.features)

    def value(flat: Table) -> tuple[float, Table]:
        table = flat.reshape(columns + 1, outputs)
        weights = table[:columns]
        each, slope = loss(rows.features @ weights + table[columns], rows.targets)
        slope = slope * rows.weights[:, np.newaxis]
        total = each @ rows.weights + (weights**2).sum() / (2 * strength)
        slopes = np.empty_like(table)
        slopes[:columns] = turned @ slope + weights / strength
        slopes[columns] = slope.sum(axis=0)
        return float(total), slopes.ravel()

    begin = np.zeros((columns + 1, outputs)) if start is None else start
    table = minimise(value, begin.ravel(), tolerance=tolerance).reshape(columns + 1, outputs)
    return table[:columns], table[columns]


def _turned(features: Any) -> Any:
    """Return features with rows as columns, in rows of their own where they are sparse."""
    return features.T.tocsr() if hasattr(features, "tocsr") else features.T


def slopes_of(scores: Table, targets: Table) -> tuple[Table, Table]:
    """Return the loss of each row and its slopes, where the first of several labels scores 0.

    Args:
        scores: (rows, outputs): one for numbers, else one for each label but the first.
        targets: Probabilities of the labels, (rows, labels), or numbers, (rows, 1).
    """
    if targets.shape[1] == 1:
        return _squares(scores, targets)
    if targets.shape[1] == 2:
        return _cross_entropies(scores, targets)
    every = np.hstack([np.zeros((len(scores), 1)), scores])
    each, slopes = _cross_entropies(every, targets)
    return each, slopes[:, 1:]


def _cross_entropies(scores: Table, targets: Table) -> tuple[Table, Table]:
    """Return the cross-entropy of each row and its slopes; of two labels only one has a score."""
    if targets.shape[1] == 2:
        margin = scores[:, 0]
        lost = np.logaddexp(0, margin) * targets.sum(axis=1) - targets[:, 1] * margin
        slope = targets.sum(axis=1) * (1 + np.tanh(margin / 2)) / 2 - targets[:, 1]
        return lost, slope[:, np.newaxis]
    totals = np.logaddexp.reduce(scores, axis=1, keepdims=True)
    logprobs = scores - totals
    each = -(targets * logprobs).sum(axis=1)
    return each, np.exp(logprobs) * targets.sum(axis=1, keepdims=True) - targets


def _squares(scores: Table, targets: Table) -> tuple[Table, Table]:
    """Return half the square of the error of each row, and its slope."""
    errors = scores - targets
    return (errors[:, 0] ** 2) / 2, errors
