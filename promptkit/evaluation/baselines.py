"""Baselines: metrics of answers that need no model.

The commonest label for labels, and for metrics of their probabilities the label frequencies;
chance among the options of each query; a constant for numbers, the median of the pool for an MAE
and its mean for an RMSE, which are the best constants for them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from promptkit.evaluation import intervals, sentences, targets
from promptkit.evaluation.metric import ACCURACY, BY_NAME, Metric
from promptkit.evaluation.outcomes import ByCell, LabelScores, Losses, Numbers, Outcomes
from promptkit.inference.cell import distinct
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task
from promptkit.text import places, plain, quoted
from promptkit.translation import tr

CENTRES = {"mae": "median", "rmse": "mean", "within": "median"}
"""Statistic of the pool that is the constant answer, by the first word of a metric of numbers."""

OF_PROBABILITIES = ("log_loss", "brier", "auroc", "top_2_accuracy", "top_3_accuracy")
"""Metrics of labels that look at more than the most probable one."""

OF_CHANCE = ("log_loss", "brier")
"""Metrics of options, accuracy aside, that chance has."""


class Baseline(NamedTuple):
    """Answers without a model, and their metric."""

    label: str | None
    """The commonest gold label, for an accuracy; None for others and for chance."""
    value: float
    """The metric of these answers."""
    shares: Losses
    """Their shares in it, (queries,)."""
    name: str
    """The answers in words: `chance`, `always answering "pome"`, `a constant 3.0 (the median of the
    pool)`."""


def baseline(
    by_cell: ByCell, metric: Metric = ACCURACY, task: Task[Any, Any] | None = None
) -> Baseline | None:
    """Return the baseline of the queries in a metric; None where there is none.

    Args:
        by_cell: The outcomes of a comparison.
        metric: The metric.
        task: The task, whose pool and tolerance the constants of numbers take.
    """
    one = next(iter(by_cell.values()))
    centre = CENTRES.get(metric.name.partition("_")[0])
    if centre is not None:
        return None if task is None else _of_number(one, metric, centre, task)
    scores = one.scores
    if scores is None:
        return None
    if not scores.labels:
        return _of_chance(one, metric)
    ((gold, times),) = Counter(scores.gold.tolist()).most_common(1)
    label = scores.labels[gold]
    if metric == ACCURACY:
        right = scores.gold == gold
        shares = right.astype(np.float64)
        return Baseline(
            label, times / len(right), shares, tr("always answering {label}", label=quoted(label))
        )
    if metric.name in OF_PROBABILITIES:
        name = tr("constant probabilities, the frequencies of the labels")
    else:
        name = tr("always answering {label}", label=quoted(label))
    return _of(_constant(one, scores, gold), metric, name)


def _of(answers: Outcomes, metric: Metric, name: str) -> Baseline | None:
    if metric.name in ("coverage", "aurc") or (shares := metric.shares(answers)) is None:
        return None
    value = metric.value_of(shares)
    return None if value is None else Baseline(None, value, shares[:, 0], name)


def _constant(one: Outcomes, scores: LabelScores, label: int) -> Outcomes:
    """Return the outcomes of one label for all queries, with the label frequencies."""
    n, labels = len(scores.gold), len(scores.labels)
    counts = np.bincount(scores.gold, minlength=labels)
    with np.errstate(divide="ignore"):  # of labels that no query has
        logprobs = np.broadcast_to(np.log(counts / n), (n, 1, labels))
    said = np.full((n, 1), label)
    values = one.values and Numbers(one.values.gold, np.full((n, 1), float(scores.labels[label])))
    right = (said == scores.gold[:, np.newaxis]).astype(np.int64)
    constant = LabelScores(scores.labels, logprobs, scores.gold, said)
    return Outcomes(one.cell, right, constant, drawn=False, values=values)


def _of_chance(one: Outcomes, metric: Metric) -> Baseline | None:
    """Return chance among the options of each query."""
    scores = one.scores
    assert scores is not None
    known = np.isfinite(scores.logprobs[:, 0])
    chances = 1 / known.sum(axis=1)
    if metric == ACCURACY:
        return Baseline(None, float(chances.mean()), chances, "chance")
    if metric.name not in OF_CHANCE:
        return None
    even = np.where(known, np.log(chances)[:, np.newaxis], -np.inf)[:, np.newaxis]
    said = np.zeros((len(chances), 1), dtype=np.int64)
    return _of(replace(one, scores=LabelScores((), even, scores.gold, said)), metric, "chance")


def _of_number(one: Outcomes, metric: Metric, centre: str, task: Task[Any, Any]) -> Baseline | None:
    """Return a constant that is the median or the mean of the gold numbers of the pool."""
    golds = [task.output_type.plain(demo.output) for demo in task.demos if demo.labelled]
    numbers = [number for gold in golds if (number := number_of(gold)) is not None]
    if one.values is None or len(numbers) < 2:
        return None
    constant = float(np.median(numbers) if centre == "median" else np.mean(numbers))
    shown = plain(constant, places(float(np.std(numbers))))
    name = tr("a constant {shown} (the {centre} of the pool)", shown=shown, centre=centre)
    gold = one.values.gold
    said = np.full((len(gold), 1), constant)
    if metric.name == "within":
        near = (np.abs(said - gold[:, np.newaxis]) <= (task.scoring.within or 0)).astype(np.float64)
        return Baseline(None, float(near.mean()), near[:, 0], name)
    answers = Outcomes(one.cell, np.zeros(said.shape, np.int64), values=Numbers(gold, said))
    return _of(answers, BY_NAME[metric.name.partition("_")[0]], name)


def not_above(by_cell: ByCell, baseline: Baseline, metric: Metric = ACCURACY) -> tuple[int, int]:
    """Return the number of cells that are not significantly better than a baseline, and of all.

    Their p-values are corrected by Holm's method. Cells of which nothing can be said are left out.

    Args:
        by_cell: The outcomes of a comparison.
        baseline: The baseline.
        metric: The metric that it is of.
    """
    found = [
        above.decisive
        for cell in distinct(by_cell)
        if (above := _above(by_cell[cell], baseline, metric)) is not None
    ]
    corrected = intervals.holm([one.p for one in found])
    beat = sum(
        p <= sentences.ALPHA and min(metric.sign * end for end in (one.ci.low, one.ci.high)) > 0
        for p, one in zip(corrected, found, strict=True)
    )
    return len(found) - beat, len(found)


def _above(one: Outcomes, baseline: Baseline, metric: Metric) -> targets.Differences | None:
    """Return the metric of a cell less that of a baseline."""
    shares = metric.shares(one)
    if shares is None:
        return None
    known = np.isfinite(shares).all(axis=1)
    if not known.any():
        return None
    own = shares[known]
    constant = np.broadcast_to(baseline.shares[known, np.newaxis], own.shape)
    if metric.counts and np.isin(own, (0, 1)).all() and np.isin(constant, (0, 1)).all():
        return targets.difference(constant, own, one.drawn)
    return targets.mean_difference(constant, own, one.drawn)
