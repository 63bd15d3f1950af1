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
from promptkit.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Taught:
    """Rows that a student learns from, and tests that judge it."""

    task: Task[Any, Any]
    """Task of the student."""
    teacher: Teacher | None
    """Teacher that labelled the rows; None where they have gold outputs alone."""
    source: PoolSource
    labels: PoolLabels | None
    """Labels of the teacher."""
    lesson: Lesson
    rows: TrainingSet
    """Rows that the student learns from."""
    dropped: Mapping[str, int]
    """Number of labelled rows that each filter leaves out."""
    tests: tuple[Example[Any, Any], ...]
    said: tuple[Prediction, ...]
    """Answers of the teacher to the tests; empty without one."""

    @property
    def seconds(self) -> float:
        """Time that the teacher's labels took."""
        return 0.0 if self.labels is None else self.labels.seconds

    @property
    def tokens(self) -> int:
        """Tokens that the teacher read for them."""
        return 0 if self.labels is None else self.labels.tokens

    @property
    def gold_labels(self) -> int:
        """Number of gold labels that the student is made from, those of the teacher included."""
        own = int(self.rows.has_gold.sum())
        return own if self.teacher is None else self.teacher.labels + own

    @property
    def made_of(self) -> dict[str, Any]:
        """Everything that decides the student, as its card has it."""
        teacher, lesson = self.teacher, self.lesson
        rows = len(self.rows) if self.labels is None else self.labels.rows
        lost = {} if self.labels is None else self.labels.dropped
        return {
            "task": self.task.name,
            "promptkit": promptkit.__version__,
            "teacher": teacher and {"name": teacher.name, "keys": [*teacher.keys]},
            "pool": {
                "name": self.source.name,
                "sha256": self.source.sha256,
                "rows": rows,
                "dropped": {**lost, **self.dropped},
                "seconds": round(self.seconds, 3),
                "tokens": self.tokens,
            },
            "training": {
                "student": lesson.student,
                "rows": len(self.rows),
                "gold": int(self.rows.has_gold.sum()),
                "gold_weight": lesson.gold_weight,
                "temperature": lesson.temperature,
                "filters": asdict(lesson.filters),
                "seed": lesson.seed,
            },
        }


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
    card = taught.made_of
    card["training"] |= {"strength": strength, "seconds": round(seconds, 3)}
    return {
        **card,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "tests": judged,
        **learnt_from(taught.rows.texts),
    }


def is_card_of(card: Mapping[str, Any], taught: Taught) -> bool:
    """Return whether a card is that of a student that was made of just this."""
    known = taught.made_of
    training = card.get("training")
    if not isinstance(training, Mapping):
        return False
    own = {key: value for key, value in known.items() if key != "training"}
    return all(card.get(key) == value for key, value in own.items()) and all(
        training.get(key) == value for key, value in known["training"].items()
    )
