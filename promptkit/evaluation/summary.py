"""Summary of a comparison: pairs, verdicts, variance components, warnings and notes."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from promptkit.evaluation import baselines, best_cell, metric_text, variance_sources
from promptkit.evaluation import pairs as paired
from promptkit.evaluation import warnings as warned
from promptkit.evaluation.against_baselines import Trained, against, without
from promptkit.evaluation.exact_match import exactness
from promptkit.evaluation.label_swap import swap_verdicts
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.results import Best, FreeAnswers, Pair, Row, Spread, Variance
from promptkit.evaluation.scale_means import mean_verdict
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Prediction
from promptkit.tasks.task import Task
from promptkit.text import percent, sentence
from promptkit.translation import tr


def _reading(task: Task[Any, Any], by_cell: ByCell, metric: Metric) -> str | None:
    """Return a hint on reading the figures: what counts as right, or how often chance is."""
    if task.options is None:
        return exactness(task.output_type, metric, task.scoring)
    chance = baselines.baseline(by_cell)
    if chance is None:
        return None
    used = {cell.calibration for cell in by_cell} != {RAW}
    hint = tr(
        " Scores are sums over the tokens of an option; --calibrate all compares "
        "them with scores per byte, per token and PMI."
    )
    return tr(
        "Chance is {value}: the mean over queries of 1 / the number of their options.{hint}",
        value=percent(chance.value),
        hint="" if used else hint,
    )


class Summary(NamedTuple):
    """Part of a comparison that is drawn from its outcomes, under the same names."""

    pairs: tuple[Pair, ...]
    best: Best
    verdicts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    variance: tuple[Variance, ...]
    spreads: tuple[Spread, ...]


def weigh(
    task: Task[Any, Any],
    by_cell: ByCell,
    rows: Sequence[Row],
    predictions: Sequence[Sequence[Prediction]],
    free: Sequence[FreeAnswers] = (),
    metric: Metric = ACCURACY,
    trained: Trained = MappingProxyType({}),
) -> Summary:
    """Return the summary of the outcomes of a task.

    Args:
        task: The task.
        by_cell: The outcomes.
        rows: The rows of the outcomes.
        predictions: The predictions behind them.
        free: Free-form answers of the models.
        metric: What the pairs, the best cell, the verdicts, the variance components and the ranges
            are about.
        trained: Baselines among the cells, with the number of labelled rows of each; all but the
            pairs and the verdicts is about the other cells alone.
    """
    every, by_cell = by_cell, without(by_cell, trained)
    predictions = [made for made in predictions if made[0].model not in trained]
    found = paired.compared(by_cell, metric)
    pairs = tuple(paired.pairs(by_cell, found))
    planned = paired.plan(by_cell, found, metric)
    baseline = baselines.baseline(by_cell, metric, task)
    best = best_cell.best(by_cell, baseline, metric)
    beside = against(every, trained, best, metric)
    said = None if beside is None else beside.beside
    verdicts = paired.verdicts_on(by_cell, found, best, planned, metric, said)
    lines = list(variance_sources.lines(by_cell, metric))
    swaps = swap_verdicts(rows, pairs, len(task.output_type.labels)) if metric == ACCURACY else []
    notes = _reading(task, by_cell, metric), _level(baseline, metric), _folds(task)
    return Summary(
        (*pairs, *(() if beside is None else beside.pairs)),
        best,
        (*verdicts, *map(sentence, swaps), *filter(None, [mean_verdict(by_cell, best)])),
        tuple(warned.warnings(task, by_cell, planned, baseline, predictions, free, metric)),
        tuple(filter(None, notes)),
        tuple(variance_sources.variance(lines)),
        tuple(variance_sources.spreads(lines)),
    )


def _level(baseline: baselines.Baseline | None, metric: Metric) -> str | None:
    """Return a note on the metric of answers without a model; the warnings name an accuracy's."""
    if baseline is None or metric == ACCURACY:
        return None
    level = metric_text.figure(metric, baseline.value)
    return sentence(
        tr("{name} would have {noun} {level}", name=baseline.name, noun=metric.noun, level=level)
    )


def _folds(task: Task[Any, Any]) -> str | None:
    """Return a note on the pool of each query; None without folds."""
    count = len({*task.folds.values()})
    return (
        tr(
            "Each query has shots from the other {others} of {folds} folds.",
            others=count - 1,
            folds=count,
        )
        if count
        else None
    )
