"""Figures of students on the tests of a task: against gold, and beside their teacher."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from promptkit.evaluation import intervals
from promptkit.evaluation.cell_metrics import row
from promptkit.evaluation.chosen_metric import default_metric
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.inference.prediction import Prediction
from promptkit.students.student import Student
from promptkit.students.taught import Taught
from promptkit.students.teacher import LEAST, targets_of
from promptkit.students.training_set import Table
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

Figures = dict[str, Any]
"""Figures by name, as JSON holds them; the interval of `x` is `x_ci`."""

_OF_LABELS = ("accuracy", "macro_f1", "log_loss", "brier", "ece")
_OF_NUMBERS = ("mae", "rmse", "pearson", "spearman", "bias")
_TIMED_SECONDS, _MOST_ROUNDS = 0.3, 200

Made = Sequence[Prediction]


def judge(student: Student, taught: Taught) -> Figures:
    """Return the figures of a student, and of its teacher, on the tests; empty without tests."""
    task, tests, said = taught.task, taught.tests, taught.said
    if not tests:
        return {}
    made = student.predict(tests)
    own = judged(task, said, made) | {"items_per_second": items_a_second(student, tests)}
    if not said:
        return {"student": own}
    seconds = sum(one.seconds for one in said)
    rate = len(said) / seconds if seconds > 0 else None
    return {"teacher": figures_of(task, said) | {"items_per_second": rate}, "student": own}


def judged(task: Task[Any, Any], said: Made, made: Made) -> Figures:
    """Return the figures of a student, beside its teacher where it has one.

    Args:
        task: Task of the student.
        said: Answers of the teacher; empty without one.
        made: Answers of the student to the same queries.
    """
    own = figures_of(task, made) | {"metric": main_metric(task).name}
    return own | beside(task, said, made) if said else own


def outcome_of(task: Task[Any, Any], made: Made) -> Outcomes:
    """Return the outcomes of one predictor on labelled queries."""
    (found,) = outcomes(made, task.output_type.label_of).values()
    return found


def figures_of(task: Task[Any, Any], made: Made) -> Figures:
    """Return the figures of predictions against the gold outputs."""
    found = row(outcome_of(task, made))
    names = _OF_LABELS if task.labels else _OF_NUMBERS
    figures: Figures = {"n": found.n}
    for name in names:
        if (figure := found.figures.get(name)) is not None:
            figures |= {name: figure.value, f"{name}_ci": _ends(figure.ci or figure.ci_fixed)}
        elif getattr(found, name, None) is not None:
            ends = getattr(found, f"{name}_ci", None) or getattr(found, f"{name}_ci_fixed", None)
            figures |= {name: getattr(found, name)} | ({f"{name}_ci": _ends(ends)} if ends else {})
    return figures


def _ends(interval: Any) -> list[float] | None:
    return None if interval is None else [*map(float, interval)]


def beside(task: Task[Any, Any], teacher: Made, student: Made) -> Figures:
    """Return the figures of a student beside its teacher, on the same queries.

    For labels they are the agreement and the mean KL divergence of the student's probabilities from
    the teacher's, in nats; for numbers the mean distance and the correlation.
    """
    one, other = _targets(task, teacher), _targets(task, student)
    metric = main_metric(task)
    figures: Figures = {}
    if task.labels:
        agreed = (one.argmax(axis=1) == other.argmax(axis=1)).astype(np.int64)
        ends = intervals.wilson(agreed)
        logs = [np.log(np.maximum(table, LEAST)) for table in (one, other)]
        figures |= {
            "agreement": float(agreed.mean()),
            "agreement_ci": [ends.low, ends.high],
            "kl": float((one * (logs[0] - logs[1])).sum(axis=1).mean()),
        }
    else:
        figures["distance"] = float(np.abs(one - other).mean())
    mine, theirs = outcome_of(task, student), outcome_of(task, teacher)
    values = metric.value(theirs), metric.value(mine)
    if None not in values and values[0]:
        figures["share_of_teacher"] = float(values[1] or 0.0) / float(values[0])
    if (change := metric.difference(theirs, mine)) is not None:
        found = change.decisive
        figures |= {"difference": found.delta, "difference_ci": [found.ci.low, found.ci.high]}
    return figures


def main_metric(task: Task[Any, Any]) -> Metric:
    """Return the metric that students of a task are judged by."""
    return ACCURACY if task.labels else default_metric(task)


def _targets(task: Task[Any, Any], made: Made) -> Table:
    return np.array([targets_of(task, one) for one in made], np.float64)


def items_a_second(student: Student, queries: Sequence[Example[Any, Any]]) -> float | None:
    """Return how many inputs a student answers in a second, a thousand at once; measured now."""
    if not queries:
        return None
    plain = [type(one)(input=one.input, id=one.id) for one in queries[:1000]]
    asked = (plain * (1 + 1000 // len(plain)))[:1000]
    student.predict(asked)  # what is made once
    begun, rounds = perf_counter(), 0
    while perf_counter() - begun < _TIMED_SECONDS and rounds < _MOST_ROUNDS:
        student.predict(asked)
        rounds += 1
    return rounds * len(asked) / (perf_counter() - begun)
