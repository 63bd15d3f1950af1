"""Prompt bias: the lean of a prompt by its shots, their order and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from promptkit.auditing.calibration_leans import METHODS, calibration_leans, without_calibration
from promptkit.auditing.group_shifts import group_shifts
from promptkit.auditing.prompt_bias_results import CalibrationLean, PromptBias
from promptkit.auditing.prompt_leans import BiasAsking, by_last, by_order, by_shots
from promptkit.calibration.probes import content_free, random_texts
from promptkit.errors import TaskError
from promptkit.evaluation.slices import levels_by_column
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Predictor
from promptkit.inference.store import Store, opened
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr

DRAWS = 8
"""Number of draws of shots."""

ORDERS = 4
"""Number of orders of the same shots."""

MOST_TESTS = 200
"""Number of tests that are asked, at most, where nobody says how many."""


def prompt_bias(
    predictor: AnyPredictor,
    task: Task[Any, Any] | None = None,
    *,
    groups: str | None = None,
    rows: Iterable[Example[Any, Any]] | None = None,
    limit: int | None = MOST_TESTS,
    draws: int = DRAWS,
    orders: int = ORDERS,
    methods: Sequence[str] = METHODS,
    store: Store | None = None,
    progress: Progress | None = None,
) -> PromptBias:
    """Measure what a prompt leans to after inputs that say nothing, and what moves that.

    Args:
        predictor: A prompt whose labels are scored.
        task: The task of the tests; by default that of the predictor.
        groups: Column of the tests that names groups: how far does each move where all shots have
            one label?
        rows: Tests; those of the task by default.
        limit: Number of tests, at most.
        draws: Number of draws of shots.
        orders: Number of orders of the same shots.
        methods: Methods of calibration, of which is told what they remove.
        store: Prediction store; one in memory by default.
        progress: Called after each result, with counts.

    Returns:
        The leans by shot count, last label and order, what calibration removes, and the groups.

    Raises:
        TaskError: The predictor is no prompt whose labels are scored, or there is no such column.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/remarks")
        >>> model = pk.FakeModel(lambda prompt: "negative")
        >>> predictor = pk.Predictor(task, pk.Template.of(task), model, 2)
        >>> found = prompt_bias(predictor, limit=4, draws=2)
        >>> [(one.shots, round(one.probs["negative"], 2)) for one in found.by_shots]
        [(0, 0.91), (1, 0.91), (2, 0.91)]
    """
    base = _prompt(predictor)
    task = base.task if task is None else task
    tests = [*islice(task.tests if rows is None else rows, limit)]
    levels = {} if groups is None else levels_by_column(task, tests, [groups])[groups]
    probes = {"content-free": content_free(task)}
    with suppress(TaskError):  # a pool that has no words, or a type that accepts none
        probes["random words"] = random_texts(task)
    with opened(Store() if store is None else store) as kept:
        asking = BiasAsking(base, draws, kept, progress)
        nothing = probes["content-free"]
        leans = [*calibration_leans(asking, probes, tests, methods)]
        shifts, notes = group_shifts(asking, tests, levels) if levels else ([], [])
        return PromptBias(
            task=task.name,
            model=base.identity.name,
            labels=task.labels,
            shots=base.shots,
            probes=len(nothing),
            by_shots=tuple(by_shots(asking, nothing, shot_counts(base.shots))),
            by_last=tuple(by_last(asking, nothing)) if base.shots > 1 else (),
            by_order=tuple(by_order(asking, nothing, orders)) if base.shots > 1 else (),
            calibrations=tuple([one for one in leans if isinstance(one, CalibrationLean)]),
            column=groups,
            groups=tuple(shifts),
            notes=(*notes, *(one for one in leans if isinstance(one, str))),
        )


def shot_counts(most: int) -> list[int]:
    """Return the numbers of shots whose leans are measured: 0, the powers of 2, and the last one.

    Args:
        most: The largest number.

    Example:
        >>> shot_counts(6)
        [0, 1, 2, 4, 6]
    """
    doubled = [1 << power for power in range(most.bit_length())]
    return sorted({0, *(count for count in doubled if count <= most), most})


def _prompt(predictor: AnyPredictor) -> Predictor:
    """Return the prompt of a predictor. Raises `TaskError` where it has none that leans."""
    name = predictor.identity.name
    if not isinstance(predictor, Predictor):
        raise TaskError(
            tr(
                "{name} has no prompt, whose shots could lean to a label; audit its groups "
                "and swaps",
                name=name,
            )
        )
    if not predictor.task.labels or predictor.task.many or predictor.scores == "best":
        raise TaskError(
            tr(
                "{name}: what a prompt leans to is measured by the probabilities of "
                "labels, of which an answer is one, and this prompt has none",
                name=predictor.task.name,
            )
        )
    return without_calibration(predictor)
