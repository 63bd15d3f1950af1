"""Answers to the fillings of a slot as arrays: (fillings of a sentence, terms)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.auditing.swap_results import SwapMeasure
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import canonical_text
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AnswerKind:
    """Measure by which the answers of a predictor to a task are compared."""

    measure: SwapMeasure
    labels: tuple[str | None, ...]
    """Labels whose probability or share is compared, None for a number; empty for texts."""

    @property
    def most(self) -> float:
        """The largest change that there can be."""
        return math.inf if self.measure == "value" else 1.0

    def scores(self, task: Task[Any, Any], made: Prediction) -> list[float]:
        """Return the measure of each label of a prediction; NaN where there is none."""
        if self.measure == "value":
            return [np.nan if (value := expected(task, made)) is None else value]
        if self.measure == "probability":
            probs = [*(made.probs or {}).values()] if task.options else made.probs or {}
            if isinstance(probs, list):
                return [probs[i] if i < len(probs) else np.nan for i in range(len(self.labels))]
            return [probs.get(str(label), np.nan) for label in self.labels]
        said = said_labels(task, made)
        return [np.nan] * len(self.labels) if said is None else [x in said for x in self.labels]


def kind_of(task: Task[Any, Any], predictions: Sequence[Prediction]) -> AnswerKind:
    """Return what answers are compared by.

    Args:
        task: The task.
        predictions: All of them.
    """
    values = list(task.output_type.values.values()) if task.labels else []
    numeric = task.output_type.is_number or (
        len(values) > 2 and not task.many and all(_is_number(value) for value in values)
    )
    if numeric:
        return AnswerKind("value", (None,))
    answered = [made for made in predictions if made.failure is None]
    scored = bool(answered) and all(made.probs is not None for made in answered)
    labels: tuple[str, ...] = task.labels
    if task.options is not None:
        most = max(len(made.probs or ()) for made in predictions)
        labels = tuple([f"option {number + 1}" for number in range(most)])
    if not labels:
        return AnswerKind("share", ())
    return AnswerKind("probability" if scored else "share", labels)


def expected(task: Task[Any, Any], made: Prediction) -> float | None:
    """Return the number of an answer; of scored labels the probability-weighted mean."""
    if made.failure is not None:
        return None
    if made.probs is not None and task.labels:
        numbers = [number_of(task.output_type.values[label]) for label in made.probs]
        pairs = zip(numbers, made.probs.values(), strict=True)
        return sum(p * number for number, p in pairs if number is not None)
    return number_of(made.label)


def said_labels(task: Task[Any, Any], made: Prediction) -> frozenset[str] | None:
    """Return the label of an answer, or its labels; None after a failure."""
    if made.failure is not None:
        return None
    if task.options is not None:
        place = [*(made.probs or made.input[task.options])].index(made.label)
        return frozenset([f"option {place + 1}"])
    if isinstance(made.label, list):
        return frozenset(map(str, made.label))
    return frozenset([task.output_type.label_of.get(made.label, str(made.label))])


def answer_key(task: Task[Any, Any], made: Prediction) -> str:
    """Return a text that equal answers share; all failures are one answer."""
    if made.failure is not None:
        return ""
    if task.options is not None or task.labels:
        return canonical_text(sorted(said_labels(task, made) or ()))
    return canonical_text([made.label])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class SlotAnswers:
    """Answers to all fillings of one slot."""

    sentences: Codes
    """Number of the sentence of each row."""
    texts: Codes
    """Number of the input, (rows, terms); equal inputs share one."""
    answers: Codes
    """Number of the answer, (rows, terms)."""
    scores: Floats
    """Measure of each label, (rows, terms, labels)."""
    said: Floats | None = None
    """1 where a label is answered, else 0, of the same shape; None for numbers."""

    def pairs(self, one: Sequence[int], other: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pairs of terms make different inputs, (rows, ones, others)."""
        texts = self.texts
        apart: NDArray[np.bool_] = (
            texts[:, one][:, :, np.newaxis] != texts[:, other][:, np.newaxis, :]
        )
        return apart

    def flips(self, one: Sequence[int], other: Sequence[int]) -> Floats:
        """Return whether answers differ, (rows, ones, others); NaN for pairs of one input."""
        answers = self.answers
        apart = answers[:, one][:, :, np.newaxis] != answers[:, other][:, np.newaxis, :]
        return np.where(self.pairs(one, other), apart, np.nan)

    def changes(self, one: Sequence[int], other: Sequence[int]) -> Floats:
        """Return the measure of the ones less that of the others, (rows, ones, others, labels)."""
        scores = self.scores
        apart = scores[:, one][:, :, np.newaxis] - scores[:, other][:, np.newaxis, :]
        return np.where(self.pairs(one, other)[..., np.newaxis], apart, np.nan)

    def by_sentence(self, values: Floats) -> Floats:
        """Return the means of values over the pairs of each sentence that has some, (sentences,).

        Rows of a sentence count alike, whatever the number of their pairs.
        """
        flat = values.reshape(len(values), -1)
        known = np.isfinite(flat)
        counts = known.sum(axis=1)
        sums = np.where(known, flat, 0.0).sum(axis=1)
        rows = counts > 0
        means = sums[rows] / counts[rows]
        _, places = np.unique(self.sentences[rows], return_inverse=True)
        totals = np.bincount(places, weights=means)
        found: Floats = totals / np.maximum(np.bincount(places), 1)
        return found
