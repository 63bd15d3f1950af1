"""A frozen predictor as a teacher: what it says of a pool, and how a student compares with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from promptkit.bulk.bulk_run import BulkProgress
from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import DataError, Problem, TaskError
from promptkit.evaluation.intervals import paired_difference
from promptkit.inference.any_predictor import apart
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store, opened
from promptkit.students.pool_labels import PoolSource, label_pool
from promptkit.students.teacher import Teacher, predictions, targets_of
from promptkit.tasks.examples import Example
from promptkit.tasks.reading import read_examples
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import tr
from promptkit.tuning.tuning_progress import Progress, TuningStep

Examples = Sequence[Example[Any, Any]]
Shares = Mapping[str, Mapping[str, float]]
"""Probabilities of the labels of each query, by its id."""

ONE_SIDED = 0.90
"""Level of a two-sided interval whose lower end is a one-sided bound of 95 %."""


@dataclass
class FrozenTeacher:
    """A frozen predictor, in some draws of its shots whose probabilities are averaged."""

    draws: Sequence[FrozenPredictor]
    store: Store | str | Path | None
    progress: Progress
    examples: Examples = field(default=(), init=False)
    """Rows of the pool that it labelled."""
    shares: Shares = field(default_factory=dict, init=False)
    seconds: float = field(default=0.0, init=False)
    """Time that the labels took."""
    tokens: int = field(default=0, init=False)
    """Number of tokens that were decoded for them."""

    @property
    def task(self) -> Task[Any, Any]:
        """The task."""
        return self.draws[0].task

    @property
    def teacher(self) -> Teacher:
        """The draws as one predictor."""
        return Teacher(tuple(self.draws), self.task)

    def label(self, pool: Path, folder: Path, most: int | None) -> None:
        """Label rows of a pool by bulk prediction, which goes on from what an earlier run did.

        Args:
            pool: A .csv, .jsonl or .parquet file.
            folder: The folder of the predictions.
            most: The number of rows, at the most.
        """
        with opened(self.store) as store:
            found = label_pool(
                self.teacher,
                PoolSource.of(pool),
                folder,
                limit=most,
                store=store,
                tell=self._tell,
            )
        self.seconds, self.tokens = found.seconds, found.tokens
        ids = [f"pool:{line}" for line in found.lines.tolist()]
        self.examples = [
            self.task.as_query(fields).model_copy(update={"id": id})
            for id, fields in zip(ids, found.fields, strict=True)
        ]
        labels, rows = self.task.labels, found.targets.tolist()
        self.shares = {
            id: dict(zip(labels, row, strict=True)) for id, row in zip(ids, rows, strict=True)
        }

    def _tell(self, member: int, members: int, now: BulkProgress) -> None:
        self.progress(TuningStep("teacher", epoch=member, done=now.rows))

    def compared(self, student: Predictor, queries: Examples) -> dict[str, Any]:
        """Return how a student's answers compare with the teacher's, and what prompts take.

        Args:
            student: The prompt with the adapter.
            queries: Rows that were not trained on, with gold labels or without.
        """
        with opened(self.store) as store:
            answers = [one.predict(queries, store=store) for one in self.draws]
            made = student.predict(queries, store=store)
        tokens = sum(one.tokens for each in answers for one in each)
        shares = [[targets_of(self.task, one) or () for one in each] for each in answers]
        name, mean = self.teacher.name, np.mean(shares, axis=0)
        said = predictions(self.task, queries, mean, name, seconds=0.0)
        figures = {
            "compared": len(queries),
            "agreement": float(
                np.mean([a.label == b.label for a, b in zip(said, made, strict=True)])
            ),
            "tokens_before": tokens / len(queries),
            "tokens_after": sum(one.tokens for one in made) / len(queries),
        }
        return figures | _accuracies(said, made)


def labelled_rows(task: Task[Any, Any], file: Path) -> Examples:
    """Return the rows of a file with an output.

    Raises:
        DataError: Rows do not fit, or there is none.
    """
    problems: list[Problem] = []
    parser = ExampleParser(*task.types(), problems)
    found, _ = read_examples(read_data_file(file), parser, labelled=True)
    if problems:
        raise DataError(problems)
    return [apart(task, one) for one in found]


def frozen_draws(frozen: FrozenPredictor, count: int) -> list[FrozenPredictor]:
    """Return a frozen predictor in some draws of its shots, the frozen one first.

    Raises:
        TaskError: Its shots are not drawn.
    """
    if count > 1 and not frozen.is_drawn:
        raise TaskError(
            tr("{name}: its shots are not drawn, so it has one draw only", name=frozen.name)
        )
    return [replace(frozen, seed=frozen.seed + draw, threshold=None) for draw in range(count)]


def _accuracies(said: Sequence[Prediction], made: Sequence[Prediction]) -> dict[str, Any]:
    """Return both accuracies, their difference and its lower bound, where gold is known."""
    known = [place for place, one in enumerate(made) if one.correct is not None]
    if not known:
        return {}
    theirs = [[bool(said[place].correct)] for place in known]
    own = [[bool(made[place].correct)] for place in known]
    found = paired_difference(theirs, own, ONE_SIDED)
    return {
        "teacher_accuracy": float(np.mean(theirs)),
        "student_accuracy": float(np.mean(own)),
        "accuracy_difference": found.delta,
        "accuracy_bound": found.ci.low,
    }
