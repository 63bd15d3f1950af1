"""A frozen predictor as a teacher: what it says of a pool, and how a student compares with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from promptkit.bulk.bulk import predict
from promptkit.bulk.bulk_run import BulkProgress
from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import DataError, Problem, TaskError
from promptkit.evaluation.intervals import paired_difference
from promptkit.inference.any_predictor import apart
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store, opened
from promptkit.tasks.examples import Example
from promptkit.tasks.reading import read_examples
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser
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

    @property
    def task(self) -> Task[Any, Any]:
        """The task."""
        return self.draws[0].task

    def label(self, pool: Path, folder: Path, most: int | None) -> None:
        """Label rows of a pool by bulk prediction, which goes on from what an earlier run did.

        Args:
            pool: A .csv, .jsonl or .parquet file.
            folder: The folder of the predictions.
            most: The number of rows, at the most.
        """
        folder.mkdir(parents=True, exist_ok=True)
        rows: dict[str, Any] = {}
        said: dict[str, list[Mapping[str, float]]] = {}
        for number, one in enumerate(self.draws):
            file = folder / f"teacher-{number}.jsonl"
            how: dict[str, Any] = {"limit": most, "overwrite": True, "store": self.store}
            predict(one, pool, out=file, progress=self._progress, **how)
            for row in _rows(file):
                key = f"pool:{row['line']}"
                rows[key] = row["input"]
                said.setdefault(key, []).append(row["probs"])
        whole = [key for key, each in said.items() if len(each) == len(self.draws)]
        self.examples = [
            self.task.as_query(rows[key]).model_copy(update={"id": key}) for key in whole
        ]
        self.shares = {key: mean_shares(said[key]) for key in whole}

    def _progress(self, now: BulkProgress) -> None:
        self.progress(TuningStep("teacher", done=now.rows))

    def compared(self, student: Predictor, queries: Examples) -> dict[str, Any]:
        """Return how a student's answers compare with the teacher's, and what prompts take.

        Args:
            student: The prompt with the adapter.
            queries: Rows that were not trained on, with gold labels or without.
        """
        with opened(self.store) as store:
            answers = [one.predict(queries, store=store) for one in self.draws]
            made = student.predict(queries, store=store)
        labels = [_label(self.task, each) for each in zip(*answers, strict=True)]
        ours = [one.label for one in made]
        before = sum(one.tokens for each in answers for one in each) / len(queries)
        after = sum(one.tokens for one in made) / len(queries)
        figures = {
            "compared": len(queries),
            "agreement": float(np.mean([a == b for a, b in zip(labels, ours, strict=True)])),
            "tokens_before": before,
            "tokens_after": after,
        }
        return figures | _accuracies(made, labels, ours)


def mean_shares(said: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean probability of each label."""
    return {label: float(np.mean([one[label] for one in said])) for label in said[0]}


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


def pool_digest(pool: Path) -> str:
    """Return the SHA-256 of a file. Raises `TaskError` where it cannot be read."""
    try:
        return sha256(pool.read_bytes()).hexdigest()
    except OSError as error:
        raise TaskError(f"{pool}: {error.strerror or error}") from None


def frozen_draws(frozen: FrozenPredictor, count: int) -> list[FrozenPredictor]:
    """Return a frozen predictor in some draws of its shots, the frozen one first.

    Raises:
        TaskError: Its shots are not drawn.
    """
    if count > 1 and not frozen.is_drawn:
        raise TaskError(f"{frozen.name}: its shots are not drawn, so it has one draw only")
    return [replace(frozen, seed=frozen.seed + draw, threshold=None) for draw in range(count)]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of predictions that have probabilities."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["probs"] is not None:
                yield row


def _label(task: Task[Any, Any], said: Sequence[Prediction]) -> Any:
    """Return the label of the highest mean probability."""
    shares = mean_shares([one.probs for one in said if one.probs is not None])
    best = max(shares, key=shares.__getitem__)
    return task.output_type.plain(task.output_type.values.get(best, best))


def _accuracies(
    made: Sequence[Prediction], labels: Sequence[Any], ours: Sequence[Any]
) -> dict[str, Any]:
    """Return both accuracies, their difference and its lower bound, where gold is known."""
    known = [place for place, one in enumerate(made) if one.correct is not None]
    if not known:
        return {}
    theirs = [[labels[place] == made[place].gold] for place in known]
    own = [[ours[place] == made[place].gold] for place in known]
    found = paired_difference(theirs, own, ONE_SIDED)
    return {
        "teacher_accuracy": float(np.mean(theirs)),
        "student_accuracy": float(np.mean(own)),
        "accuracy_difference": found.delta,
        "accuracy_bound": found.ci.low,
    }
