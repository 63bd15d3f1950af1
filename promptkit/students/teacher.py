"""Teachers: predictors whose probabilities or numbers are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from promptkit.errors import TaskError, shorten
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.cell import describe
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.profile import profile_of
from promptkit.inference.store import Store
from promptkit.selection.orders import DEFAULT
from promptkit.students.number_tasks import number_task, scale_of
from promptkit.students.soft_predictions import label_predictions, number_predictions
from promptkit.students.student import check_teachable
from promptkit.students.training_set import Table
from promptkit.tasks.examples import Example
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task
from promptkit.translation import tr

LEAST = 1e-12
"""Floor of probabilities whose logarithms are taken."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """Predictors of one task, such as a prompt with several orders of its shots.

    Raises:
        TaskError: There are none, or the task has outputs that a student cannot learn.
    """

    members: tuple[AnyPredictor, ...]
    task: Task[Any, Any]
    expects: bool = False
    """Whether students answer with the expected number of a scale, not with one of its labels."""

    def __post_init__(self) -> None:
        if not self.members:
            raise TaskError(tr("a student needs a teacher; give a predictor"))
        check_teachable(self.taught_task)

    @cached_property
    def taught_task(self) -> Task[Any, Any]:
        """Task of the students."""
        return number_task(self.task) if self.expects else self.task

    def expected(self, targets: Table) -> Table:
        """Return what students learn of probabilities or numbers, (rows, outputs)."""
        return targets @ scale_of(self.task)[:, np.newaxis] if self.expects else targets

    @property
    def name(self) -> str:
        """Name in tables and cards."""
        first, count = self.members[0], len(self.members)
        if isinstance(first, Predictor):
            cell = first.cell
            name = describe(cell.at(order=DEFAULT) if count > 1 else cell)
        else:
            name = first.identity.name
        return f"{name} · mean of {count}" if count > 1 else name

    @property
    def keys(self) -> tuple[str, ...]:
        """Digest of everything that decides the answers of each member."""
        return tuple([predictor_key(member) for member in self.members])

    @property
    def tokens(self) -> int:
        """Number of tokens that the members have decoded so far."""
        usages = {id(member.usage): member.usage for member in self.members}
        return sum(usage.decoded_tokens for usage in usages.values())

    @property
    def labels(self) -> int:
        """Number of gold labels that it was made from."""
        shots = [m.shots if isinstance(m, Predictor) else 0 for m in self.members]
        return max(*shots, *(profile_of(member).labels for member in self.members))

    @property
    def tests(self) -> tuple[Example[Any, Any], ...]:
        """Labelled tests of the students' task."""
        return tuple([test for test in self.taught_task.tests if test.labelled])

    def answered_tests(self, store: Store) -> list[Prediction]:
        """Return a prediction for each test: the mean of those of the members.

        Raises `TaskError` where a member has no answer to one.
        """
        queries = [test for test in self.task.tests if test.labelled]
        made = [
            member.predict(queries, store=store)
            if isinstance(member, Predictor)
            else member.predict(queries)
            for member in self.members
        ]
        for one in (one for own in made for one in own):
            if targets_of(self.task, one) is None:
                reason = f": {one.failure}" if one.failure else ""
                raise TaskError(
                    tr(
                        "{name}: no answer with probabilities to {id}{reason}; a student is judged "
                        "beside it",
                        name=self.name,
                        id=shorten(one.id),
                        reason=reason,
                    )
                )
        tables = [[targets_of(self.task, one) or () for one in own] for own in made]
        seconds = sum(one.seconds for own in made for one in own)
        if not queries:
            return []
        targets = self.expected(np.mean(tables, axis=0))
        return predictions(self.taught_task, self.tests, targets, self.name, seconds)


def targets_of(task: Task[Any, Any], made: Any) -> Sequence[float] | None:
    """Return the probabilities of the labels that a prediction has, or its number in a list.

    None where it has none. `made` has the fields of a `Prediction`.
    """
    if task.labels:
        probs = made.probs
        known = probs is not None and all(label in probs for label in task.labels)
        return [float(probs[label]) for label in task.labels] if known else None
    number = number_of(made.label)
    return None if number is None else [number]


def predictions(
    task: Task[Any, Any],
    queries: Sequence[Example[Any, Any]],
    targets: Table,
    name: str,
    seconds: float,
) -> list[Prediction]:
    """Return predictions of probabilities, (queries, labels), or of numbers, (queries, 1)."""
    if task.labels:
        logprobs = np.log(np.maximum(targets, LEAST))
        logprobs -= np.logaddexp.reduce(logprobs, axis=1, keepdims=True)
        return label_predictions(task, queries, logprobs, model=name, seconds=seconds)
    return number_predictions(task, queries, targets[:, 0], model=name, seconds=seconds)
