"""Shots of one label against balanced ones: how far each group of the tests moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.auditing.prompt_bias_results import GroupShift
from promptkit.auditing.prompt_leans import BiasAsking, Queries
from promptkit.evaluation import mean_intervals, targets
from promptkit.evaluation.independent_intervals import Estimate, difference_interval
from promptkit.evaluation.intervals import Interval, holm
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.selection.strategies import Balanced, Random
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr

Table = NDArray[np.float64]
"""Probability of a label, or whether it is the answer, (queries, draws)."""


def group_shifts(
    asking: BiasAsking, queries: Queries, groups: Mapping[str, Sequence[str]]
) -> tuple[list[GroupShift], list[str]]:
    """Return how each group moves where all shots have one label, and notes.

    Args:
        asking: How prompts are asked.
        queries: The queries.
        groups: The ids of the queries of each group.
    """
    task, shots = asking.base.task, asking.base.shots
    labels, notes = [], []
    for label in task.labels:
        count = len(_with_label(task, label))
        if count < shots:
            notes.append(
                tr(
                    "groups: no shots that are all {label!r}, since the pool has "
                    "{demonstrations} of it, and {shots} are shown",
                    label=label,
                    demonstrations=counted(count, "demonstration", "demonstrations"),
                    shots=shots,
                )
            )
        else:
            labels.append(label)
    if not labels or not shots:
        return [], notes
    balanced = [
        replace(asking.base, selection=Balanced(), order=None, seed=seed) for seed in asking.seeds
    ]
    loaded = [_loaded(asking.base, label, seed) for label in labels for seed in asking.seeds]
    made = asking.predictions([*balanced, *loaded], queries)
    draws = len(asking.seeds)
    inside = {
        group: np.isin([query.id for query in queries], [*ids]) for group, ids in groups.items()
    }
    found: list[GroupShift] = []
    for number, label in enumerate(labels, start=1):
        before, after = made[:draws], made[number * draws : (number + 1) * draws]
        found += _of_label(task, label, before, after, inside)
    return _corrected(found), notes


def _with_label(task: Task[Any, Any], label: str) -> list[Any]:
    return [demo for demo in task.demos if task.output_type.text(demo.output) == label]


def _loaded(base: Predictor, label: str, seed: int) -> Predictor:
    """Return the prompt with shots that all have a label."""
    task = base.task
    demos = task.demos.model_construct(tuple(_with_label(task, label)))
    own = task.model_copy(update={"demos": demos, "folds": {}})
    return replace(base, task=own, selection=Random(), order=None, seed=seed)


def _of_label(
    task: Task[Any, Any],
    label: str,
    before: Sequence[Sequence[Prediction]],
    after: Sequence[Sequence[Prediction]],
    inside: Mapping[str, NDArray[np.bool_]],
) -> Iterator[GroupShift]:
    one, other = _probs(before, label), _probs(after, label)
    said = _said(task, after, label) - _said(task, before, label)
    drawn = one.shape[1] > 1
    for group, mask in inside.items():
        found = targets.mean_difference(one[mask], other[mask], drawn=drawn, most=1.0)
        decisive = None if found is None else found.decisive
        rest = _from_rest((other - one)[mask], (other - one)[~mask], drawn)
        yield GroupShift(
            label,
            group,
            int(mask.sum()),
            float(one[mask].mean()),
            float(other[mask].mean()),
            float((other - one)[mask].mean()),
            None if decisive is None else (decisive.ci.low, decisive.ci.high),
            None if decisive is None else decisive.p,
            None,
            float(said[mask].mean()),
            *rest,
            None,
        )


def _from_rest(
    own: Table, rest: Table, drawn: bool
) -> tuple[float | None, tuple[float, float] | None, float | None]:
    """Return the difference of two means over different queries, its interval and p-value."""
    if min(len(own), len(rest)) < 2:
        return None, None, None
    sides = [targets.mean(side, drawn=drawn, least=-1.0, most=1.0) for side in (own, rest)]
    around = [Interval(-1.0, 1.0) if side is None else side.decisive for side in sides]
    here, there = (
        Estimate(float(side.mean()), interval)
        for side, interval in zip((own, rest), around, strict=True)
    )
    ends = difference_interval(here, there)
    return here.value - there.value, (ends.low, ends.high), mean_intervals.apart(own, rest)


def _probs(made: Sequence[Sequence[Prediction]], label: str) -> Table:
    rows = [[(one.probs or {}).get(label, 0.0) for one in own] for own in made]
    return np.array(rows, dtype=np.float64).T


def _said(task: Task[Any, Any], made: Sequence[Sequence[Prediction]], label: str) -> Table:
    label_of = task.output_type.label_of
    rows = [[label_of.get(one.label) == label for one in own] for own in made]
    return np.array(rows, dtype=np.float64).T


def _corrected(found: Sequence[GroupShift]) -> list[GroupShift]:
    """Return the shifts with p-values corrected for their number."""
    moved = iter(holm([one.p for one in found if one.p is not None]).tolist())
    apart = [one for one in found if one.from_rest_p is not None]
    rest = iter(holm([one.from_rest_p for one in apart if one.from_rest_p is not None]).tolist())
    return [
        replace(
            one,
            p_holm=None if one.p is None else next(moved),
            from_rest_p_holm=None if one.from_rest_p is None else next(rest),
        )
        for one in found
    ]
