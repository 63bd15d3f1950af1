"""Lessons: what a student learns of the labels of a pool, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from promptkit.errors import TaskError
from promptkit.students.input_texts import input_text
from promptkit.students.label_filters import LabelFilters
from promptkit.students.pool_labels import PoolLabels
from promptkit.students.teacher import Teacher
from promptkit.students.training import kind_named
from promptkit.students.training_set import Table, TrainingSet
from promptkit.translation import tr


@dataclass(frozen=True)
class Lesson:
    """Settings of a student's training.

    Raises:
        TaskError: A setting is unknown or out of its range.
    """

    student: str = "tfidf"
    """Kind of student."""
    temperature: float = 1.0
    """Number that the teacher's log-probabilities are divided by."""
    gold_weight: float = 0.0
    """Weight of gold outputs where they are known, from 0 to 1."""
    filters: LabelFilters = field(default_factory=LabelFilters)
    """Rows that are left out."""
    seed: int = 0
    """Number of the draws."""

    def __post_init__(self) -> None:
        kind_named(self.student)
        if not 0 < self.temperature < np.inf:
            raise TaskError(
                tr(
                    "temperature {temperature}: a number above 0; 1 changes nothing",
                    temperature=self.temperature,
                )
            )
        if not 0 <= self.gold_weight <= 1:
            raise TaskError(
                tr(
                    "gold weight {gold_weight}: from 0, the teacher alone, to 1",
                    gold_weight=self.gold_weight,
                )
            )

    def rows(
        self, teacher: Teacher, labels: PoolLabels, gold: Table | None
    ) -> tuple[TrainingSet, Mapping[str, int]]:
        """Return the rows to learn from, and the number that each filter drops.

        Args:
            teacher: The teacher.
            labels: Its labels of the pool.
            gold: Gold outputs of its rows; None where they do not count.
        """
        kept, dropped = self.filters.kept(labels)
        targets = teacher.expected(labels.targets)
        rows = TrainingSet(tuple(map(input_text, labels.fields)), targets, gold)
        chosen = rows.at(np.flatnonzero(kept)).softened(self.temperature)
        return chosen.mixed(self.gold_weight), dropped
