"""Answers that are lists of labels, against the gold lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.inference.prediction import Prediction

Indices = Sequence[int] | slice


@dataclass(frozen=True, slots=True, eq=False)
class LabelSets:
    """Lists of labels that one cell gives; labels by their number."""

    labels: tuple[str, ...]
    gold: NDArray[np.bool_]
    """Whether each label is a gold one, (queries, labels)."""
    said: NDArray[np.bool_]
    """Whether each label is given, (queries, seeds, labels)."""
    logprobs: NDArray[np.float64] | None
    """Log-probability of each label, (queries, seeds, labels); None where they have no scores."""

    def at(self, rows: Indices, columns: Indices) -> LabelSets:
        """Return those of some queries and seeds, by their numbers."""
        logprobs = self.logprobs
        return replace(
            self,
            gold=self.gold[rows],
            said=self.said[rows][:, columns],
            logprobs=None if logprobs is None else logprobs[rows][:, columns],
        )


def label_sets(rows: Sequence[Sequence[Prediction]]) -> LabelSets | None:
    """Return the lists of labels of one cell, (queries, seeds); None for answers that are none.

    A measure of predictions tells: records and other lists have no Hamming loss.
    """
    every = [p for row in rows for p in row]
    if not all("hamming_loss" in p.measures for p in every):
        return None
    labels = _labels(every)
    gold = [_indicators(row[0].gold, labels) for row in rows]
    said = [[_indicators(p.label, labels) for p in row] for row in rows]
    scored = all(p.logprobs and {*labels} <= p.logprobs.keys() for p in every)
    logprobs = [[_scores(p, labels) for p in row] for row in rows] if scored else None
    return LabelSets(
        labels,
        np.array(gold, np.bool_),
        np.array(said, np.bool_),
        None if logprobs is None else np.array(logprobs, np.float64),
    )


def _labels(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """Return all labels: those with scores, else those that occur, sorted."""
    first = predictions[0].logprobs
    if first:
        return tuple(first)
    occur = {label for p in predictions for label in (*(p.gold or ()), *(p.label or ()))}
    return tuple(sorted(occur))


def _indicators(value: Any, labels: Sequence[str]) -> list[bool]:
    return [label in (value or ()) for label in labels]


def _scores(prediction: Prediction, labels: Sequence[str]) -> list[float]:
    return [*map((prediction.logprobs or {}).__getitem__, labels)]
