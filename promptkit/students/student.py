"""Students: small models for one task, which answer thousands of inputs a second."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import TaskError
from promptkit.inference.prediction import Prediction
from promptkit.inference.profile import Profile
from promptkit.models.base import ModelIdentity, Usage
from promptkit.students.features import Features, Floats, Scorer
from promptkit.students.input_texts import input_texts
from promptkit.students.soft_predictions import label_predictions, number_predictions
from promptkit.students.student_card import card_text
from promptkit.students.student_folder import FORMAT, write_student
from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.task import Task
from promptkit.translation import tr


@dataclass(frozen=True, eq=False)
class Student:
    """A linear model over the features of texts, for labels or numbers; a predictor of a task.

    `promptkit.distill` trains one, `save` writes it, and `promptkit.load_predictor` reads it.

    Raises:
        TaskError: The task has other outputs than labels or numbers.
        ValueError: The arrays do not fit each other.

    Example:
        >>> import promptkit as pk
        >>> from promptkit.students.tfidf_features import TfIdfFeatures
        >>> task = pk.load_task("examples/fruit")
        >>> features = TfIdfFeatures.of([demo.input.name for demo in task.demos])
        >>> outputs = len(task.labels) - 1
        >>> weights = np.zeros((features.columns, outputs), np.float32)
        >>> student = Student(task, features, weights, np.zeros(outputs, np.float32))
        >>> [one.label for one in student.predict(task.tests[:1])]
        ['drupe']
    """

    task: Task[Any, Any]
    """Task of the inputs and outputs."""
    features: Features
    """Features of texts."""
    weights: Floats
    """(columns, outputs): for numbers one output; for labels one for each but the first, whose
    score is 0."""
    bias: Floats
    """(outputs,)"""
    name: str = "student"
    """Name in tables."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What it was made of, and what is known of its answers, as JSON holds it."""
    profile: Profile = field(default_factory=Profile)
    """Its size, and the cost of making it."""
    usage: Usage = field(default_factory=Usage, repr=False)
    """Cost of its work so far; it decodes no tokens."""

    def __post_init__(self) -> None:
        check_teachable(self.task)
        outputs = len(self.task.labels) - 1 if self.task.labels else 1
        shapes = self.weights.shape, self.bias.shape
        if shapes != ((self.features.columns, outputs), (outputs,)):
            raise ValueError(
                tr(
                    "weights of the shape {weights} and a bias of {bias}, for {columns:,} "
                    "features and {outputs} outputs",
                    weights=shapes[0],
                    bias=shapes[1],
                    columns=self.features.columns,
                    outputs=outputs,
                )
            )

    @cached_property
    def identity(self) -> ModelIdentity:
        """Identity: the digest of everything that decides its answers, and its name."""
        kind, runtime = f"{self.features.kind} student", f"student {FORMAT}"
        return ModelIdentity(self.name, self.sha256, kind, "F32", runtime, 0)

    @cached_property
    def sha256(self) -> str:
        """Digest of its arrays, settings and outputs."""
        output = self.task.output_type
        outputs = [*self.task.labels] or output.schema
        digest = hashlib.sha256(
            canonical([FORMAT, self.features.kind, dict(self.features.settings), outputs])
        )
        for name, array in self.arrays.items():
            digest.update(canonical([name, array.dtype.str, [*array.shape]]))
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All of its numbers, by name."""
        return {**self.features.arrays, "weights": self.weights, "bias": self.bias}

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.arrays.values())

    @cached_property
    def _scorer(self) -> Scorer:
        return self.features.scorer(self.weights)

    def logprobs(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the log-probabilities of the labels, (texts, labels); the fastest way to many.

        Args:
            texts: Texts of inputs (`promptkit.students.input_texts`).
        """
        scores = np.zeros((len(texts), len(self.task.labels)))
        scores[:, 1:] = self._scorer(texts) + self.bias
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores

    def numbers(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the answers to texts where outputs are numbers, within their bounds, (texts,)."""
        least, most = bounds(self.task)
        found: NDArray[np.float64] = self._scorer(texts)[:, 0] + self.bias[0]
        return np.clip(found, least, most)

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> list[Prediction]:
        """Return a prediction for each query, in their order."""
        queries = [*queries]
        if not queries:
            return []
        begun = perf_counter()
        texts = input_texts(self.task, queries)
        of_labels = bool(self.task.labels)
        found = self.logprobs(texts) if of_labels else self.numbers(texts)
        made = label_predictions if of_labels else number_predictions
        return made(self.task, queries, found, model=self.name, seconds=perf_counter() - begun)

    def query(self, fields: Mapping[str, Any]) -> Example[Any, Any]:
        """Return a query out of the fields of its input. Raises `DataError`."""
        return self.task.as_query(fields)

    def save(self, folder: str | Path) -> Path:
        """Write the student to a folder, which `promptkit.load_predictor` reads.

        Args:
            folder: The folder; it is made where it does not exist.

        Returns:
            The folder.

        Raises:
            TaskError: The task is one that only Python can hold.
            OSError: A file cannot be written; what was there before is unchanged.
        """
        about = {
            "kind": self.features.kind,
            "settings": dict(self.features.settings),
            "sha256": self.sha256,
            "profile": self.profile.to_dict(),
            "card": dict(self.card),
        }
        card = card_text(self.card, self.parameters, self.profile.bytes)
        return write_student(folder, self.task, self.arrays, about, card)


def check_teachable(task: Task[Any, Any]) -> None:
    """Raise `TaskError` for a task of other outputs than one label or a number."""
    one_label = bool(task.labels) and not task.many
    if not one_label and not task.output_type.is_number:
        kind = (
            tr("lists of labels")
            if task.many
            else tr("options of each input")
            if task.options
            else ""
        )
        raise TaskError(
            tr(
                "{name}: a student learns one label of a closed set, or a number; the "
                "outputs of this task are {kind}",
                name=task.name,
                kind=kind or tr("texts or records"),
            )
        )


def bounds(task: Task[Any, Any]) -> tuple[float, float]:
    """Return the least and the largest number that an output may be."""
    schema = task.output_type.schema
    least, most = -np.inf, np.inf
    for value in (schema.get("minimum"), schema.get("exclusiveMinimum")):
        least = least if value is None else max(least, float(value))
    for value in (schema.get("maximum"), schema.get("exclusiveMaximum")):
        most = most if value is None else min(most, float(value))
    if schema.get("exclusiveMinimum") == least:
        least = float(np.nextafter(least, np.inf))
    if schema.get("exclusiveMaximum") == most:
        most = float(np.nextafter(most, -np.inf))
    return least, most
