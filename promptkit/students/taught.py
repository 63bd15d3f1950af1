"""What a student learns from, and what it is judged beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import promptkit
from promptkit.inference.prediction import Prediction
from promptkit.students.lesson import Lesson
from promptkit.students.pool_labels import PoolLabels, PoolSource
from promptkit.students.seen_inputs import learnt_from
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


def card_of(
    taught: Taught, judged: Mapping[str, Any], strength: float, seconds: float
) -> dict[str, Any]:
    """Return the card of a student, as JSON holds it.

    Args:
        taught: What it learnt from.
        judged: Figures on the tests.
        strength: Strength of regularisation that was chosen.
        seconds: Time of the training.
    """
    teacher, labels, lesson = taught.teacher, taught.labels, taught.lesson
    return {
        "task": teacher.task.name,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "promptkit": promptkit.__version__,
        "teacher": {"name": teacher.name, "keys": [*teacher.keys]},
        "pool": {
            "name": taught.source.name,
            "sha256": taught.source.sha256,
            "rows": labels.rows,
            "dropped": {**labels.dropped, **taught.dropped},
            "seconds": round(labels.seconds, 3),
            "tokens": labels.tokens,
        },
        "training": {
            "student": lesson.student,
            "rows": len(taught.rows),
            "gold": int(taught.rows.has_gold.sum()),
            "gold_weight": lesson.gold_weight,
            "temperature": lesson.temperature,
            "filters": asdict(lesson.filters),
            "strength": strength,
            "seed": lesson.seed,
            "seconds": round(seconds, 3),
        },
        "tests": judged,
        **learnt_from(taught.rows.texts),
    }
