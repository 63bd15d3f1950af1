"""Training of students of each kind on the rows of a training set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from promptkit.errors import TaskError
from promptkit.students.features import Features
from promptkit.students.gguf_features import GgufFeatures, vectors_of
from promptkit.students.linear_head import STRENGTHS, LinearHead, fit_head
from promptkit.students.static_training import fit_static, word_vectors
from promptkit.students.student import Student
from promptkit.students.tfidf_features import TfIdfFeatures
from promptkit.students.training_set import TrainingSet
from promptkit.tasks.task import Task
from promptkit.translation import tr

FEW = 200
"""Number of rows up to which an n-gram of a single row counts."""


class Trained(NamedTuple):
    """Features and the head that was trained on them."""

    features: Features
    head: LinearHead


Train = Callable[[TrainingSet, Sequence[float], int], Trained]
"""Trains on rows, given the strengths of regularisation to choose from and a seed."""


def kind_named(name: str) -> Train:
    """Return the training of a kind of student.

    Args:
        name: `tfidf`, `static` or `static:MODEL`, or `gguf:MODEL`.

    Raises:
        TaskError: There is no such kind.
    """
    kind, colon, model = name.partition(":")
    if kind not in KINDS or (colon and (kind == "tfidf" or not model)) or name == "gguf":
        known = tr("tfidf, static, static:MODEL, gguf:MODEL")
        raise TaskError(
            tr("unknown student {name!r}; choose one of: {known}", name=name, known=known)
        )
    return partial(KINDS[kind], model or "smollm2")


def train(
    task: Task[Any, Any],
    rows: TrainingSet,
    kind: Train,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    name: str = "student",
) -> tuple[Student, LinearHead]:
    """Return a student that has learnt some rows, and its head.

    Args:
        task: Task of the rows.
        rows: The rows.
        kind: Training of its kind.
        strengths: Strengths of regularisation to choose from.
        seed: Number of the draw of folds.
        name: Name of the student.
    """
    features, head = kind(rows, strengths, seed)
    return Student(task, features, head.weights, head.bias, name), head


def _train_tfidf(_: str, rows: TrainingSet, strengths: Sequence[float], seed: int) -> Trained:
    features = TfIdfFeatures.of(rows.texts, 1 if len(rows) <= FEW else 2)
    matrix = features.matrix(rows.texts)
    how: Any = {"strengths": strengths, "seed": seed}
    return Trained(features, fit_head(matrix, rows.targets, rows.row_weights, **how))


def _train_static(model: str, rows: TrainingSet, strengths: Sequence[float], seed: int) -> Trained:
    features = word_vectors(rows.texts, vectors_of(model), model)
    return Trained(*fit_static(rows, features, strengths, seed))


def _train_gguf(model: str, rows: TrainingSet, strengths: Sequence[float], seed: int) -> Trained:
    features = GgufFeatures.of(model)
    matrix = features.matrix(rows.texts)
    how: Any = {"strengths": strengths, "seed": seed}
    return Trained(features, fit_head(matrix, rows.targets, rows.row_weights, **how))


KINDS: Mapping[str, Callable[[str, TrainingSet, Sequence[float], int], Trained]] = {
    "tfidf": _train_tfidf,
    "static": _train_static,
    "gguf": _train_gguf,
}
"""Training of each kind of student, by name, given the name of a model."""
