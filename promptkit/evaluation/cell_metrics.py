"""Metrics of each cell: its row, its reliability bins and its confusion matrix."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from promptkit.evaluation import metrics
from promptkit.evaluation.metric import metrics_of
from promptkit.evaluation.outcomes import ByCell, LabelScores, Outcomes
from promptkit.evaluation.results import Confusion, Figure, Reliability, Row
from promptkit.evaluation.row_costs import items_per_second


def rows(by_cell: ByCell) -> Iterator[Row]:
    """Yield the row of each cell over all seeds, then one for each seed."""
    for one in by_cell.values():
        yield row(one)
        yield from map(row, one.by_seed())


def row(one: Outcomes) -> Row:
    """Return the metrics of one cell."""
    own, figures = _metrics(one)
    return Row(
        **one.cell.factors(),
        n=len(one.correct),
        failures=sum(one.failures),
        tokens=sum(one.tokens),
        seconds=math.fsum(one.seconds),
        items_per_second=items_per_second(len(one.correct), one.seconds),
        ece=_calibration_error(one),
        **own,
        figures=figures,
    )


def _metrics(one: Outcomes) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Return the metrics that are fields of a row with their intervals, and the others by name.

    Each is the mean over seeds. Pooled over seeds, opposite biases would cancel: a seed that always
    answers A and another that always answers B would look like a model that tells them apart half
    of the time.
    """
    own: dict[str, Any] = {}
    figures: dict[str, Figure] = {}
    for metric, shares in metrics_of(one):
        name, value = metric.name, metric.value_of(shares)
        is_own = name in Row.__slots__
        if value is None or not (is_own or math.isfinite(value)):
            continue
        whole = is_own or one.cell.seed is None
        found = metric.intervals_of(shares, one.drawn) if whole else None
        ends = (None, None) if found is None else found.ends
        if is_own:
            own |= {name: value, f"{name}_ci": ends[0], f"{name}_ci_fixed": ends[1]}
        else:
            figures[name] = Figure(value, *ends)
    return own, figures


def _calibration_error(one: Outcomes) -> float | None:
    if one.scores is None:
        return None
    errors = one.scores.each(
        lambda logprobs, gold, _: metrics.expected_calibration_error(np.exp(logprobs), gold)
    )
    return float(np.mean(errors))


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
        if not scores.labels:
            continue
        counts: list[Counter[int]] = [Counter() for _ in scores.labels]
        for gold, said in zip(scores.gold, scores.said.tolist(), strict=True):
            counts[gold].update(said)
        answers = tuple(tuple(sorted(row.items())) for row in counts)
        yield Confusion(**cell.factors(), labels=scores.labels, answers=answers)


def _scored(by_cell: ByCell) -> Iterator[tuple[Any, LabelScores]]:
    for cell, one in by_cell.items():
        if one.scores is not None:
            yield cell, one.scores
