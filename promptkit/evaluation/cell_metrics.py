"""Metrics of each cell: its row, its reliability bins and its confusion matrix."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from promptkit.evaluation import metrics, targets
from promptkit.evaluation.metric import metrics_of
from promptkit.evaluation.outcomes import ByCell, LabelScores, Losses, Outcomes
from promptkit.evaluation.results import Confusion, Figure, Reliability, Row


def rows(by_cell: ByCell) -> Iterator[Row]:
    """Yield the row of each cell over all seeds, then one for each seed."""
    for one in by_cell.values():
        yield _row(one)
        yield from map(_row, one.by_seed())


def _row(one: Outcomes) -> Row:
    return Row(
        **one.cell.factors(),
        n=len(one.correct),
        accuracy=metrics.accuracy(one.correct),
        **_ends("accuracy", one.accuracy),
        failures=sum(one.failures),
        tokens=sum(one.tokens),
        seconds=math.fsum(one.seconds),
        **_label_metrics(one),
        figures=dict(_figures(one)),
    )


def _figures(one: Outcomes) -> Iterator[tuple[str, Figure]]:
    """Yield the metrics that are no fields of a row, by name."""
    for metric in metrics_of(one):
        value = None if metric.name in Row.__slots__ else metric.value(one)
        if value is None or not math.isfinite(value):
            continue
        found = metric.intervals(one) if one.cell.seed is None else None
        yield metric.name, Figure(value, *(found.ends if found is not None else ()))


def _label_metrics(one: Outcomes) -> dict[str, Any]:
    """Return the metrics of scored labels, each the mean over seeds; none without scores.

    Pooled over seeds, opposite biases would cancel: a seed that always answers A and another that
    always answers B would look like a model that tells them apart half of the time.
    """
    if one.scores is None:
        return {}
    found: dict[str, Any] = {
        name: float(np.mean(one.scores.each(metric))) for name, metric in _METRICS.items()
    }
    if one.coverage is not None:
        found["coverage"] = float(np.mean(one.coverage.mean(axis=0)))
    for name, (tabled, most) in _TABLES.items():
        table = tabled(one)
        if table is not None:
            found |= _ends(name, targets.mean(table, one.drawn, least=0.0, most=most))
    return found


_METRICS: Mapping[str, Callable[..., float]] = {
    "macro_f1": lambda logprobs, gold, said: metrics.macro_f1(
        gold.tolist(), said.tolist(), range(logprobs.shape[1])
    ),
    "log_loss": lambda logprobs, gold, _: metrics.log_loss(logprobs, gold),
    "brier": lambda logprobs, gold, _: metrics.brier_score(np.exp(logprobs), gold),
    "ece": lambda logprobs, gold, _: metrics.expected_calibration_error(np.exp(logprobs), gold),
}
"""Fields of a row by name, each computed from the label scores of one seed."""

_TABLES: Mapping[str, tuple[Callable[[Outcomes], Losses | None], float]] = {
    "macro_f1": (lambda one: one.f1_shares, 1.0),
    "log_loss": (lambda one: one.log_losses, math.inf),
    "brier": (lambda one: one.brier_scores, 2.0),
    "coverage": (lambda one: one.coverage, 1.0),
}
"""Fields of a row that have intervals: the table of each, and the most that it can be."""


def _ends(name: str, found: targets.Intervals | None) -> dict[str, Any]:
    """Return the fields of a row that hold the intervals of a metric."""
    general, these = (None, None) if found is None else found.ends
    return {f"{name}_ci": general, f"{name}_ci_fixed": these}


def reliability(by_cell: ByCell) -> Iterator[Reliability]:
    """Yield the reliability bins of each cell, over the answers of all its seeds.

    They are for display: the calibration error of a row is the mean of its seeds' own.
    """
    for cell, scores in _scored(by_cell):
        n, seeds, labels = scores.logprobs.shape
        probs = np.exp(scores.logprobs.reshape(n * seeds, labels))
        bins = metrics.reliability(probs, np.repeat(scores.gold, seeds))
        yield Reliability(**cell.factors(), bins=tuple(bins))


def confusion(by_cell: ByCell) -> Iterator[Confusion]:
    """Yield the confusion matrix of each cell, the counts summed over its seeds.

    It is for display: the macro-F1 of a row is the mean of its seeds' own.
    """
    for cell, scores in _scored(by_cell):
        counts: list[Counter[int]] = [Counter() for _ in scores.labels]
        for gold, said in zip(scores.gold, scores.said.tolist(), strict=True):
            counts[gold].update(said)
        answers = tuple(tuple(sorted(row.items())) for row in counts)
        yield Confusion(**cell.factors(), labels=scores.labels, answers=answers)


def _scored(by_cell: ByCell) -> Iterator[tuple[Any, LabelScores]]:
    for cell, one in by_cell.items():
        if one.scores is not None:
            yield cell, one.scores
