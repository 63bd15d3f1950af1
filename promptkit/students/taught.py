"""What a student learns from, and what it is judged beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptkit.inference.prediction import Prediction
from promptkit.students.lesson import Lesson
from promptkit.students.pool_labels import PoolLabels, PoolSource
from promptkit.students.teacher import Teacher
from promptkit.students.training_set import TrainingSet
from promptkit.tasks.examples import Example


@dataclass(frozen=True, eq=False)
class Taught:
    """A pool that a teacher has labelled, and the tests that it has answered."""

    teacher: Teacher
    source: PoolSource
    labels: PoolLabels
    lesson: Lesson
    rows: TrainingSet
    """Rows that the student learns from."""
    dropped: Mapping[str, int]
    """Number of labelled rows that each filter leaves out."""
    tests: tuple[Example[Any, Any], ...]
    said: tuple[Prediction, ...]
    """Answers of the teacher to the tests."""
