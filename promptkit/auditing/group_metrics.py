"""Metrics that groups are compared by, each a `Metric` of the answers of a group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from promptkit.auditing.audited_answers import AuditedAnswers
from promptkit.evaluation.confidence_metrics import calibration_error
from promptkit.evaluation.metric import ACCURACY, BY_NAME, Metric, measured
from promptkit.evaluation.outcomes import Losses, Outcomes
from promptkit.translation import mark, tr

SELECTION, FALSE_POSITIVE, FALSE_NEGATIVE = RATES = (
    "selection_rate",
    "false_positive_rate",
    "false_negative_rate",
)
"""Names of the rates of one label against the rest."""

ERRORS = ("accuracy", FALSE_POSITIVE, FALSE_NEGATIVE)
"""Metrics whose gaps a gate bounds where none is named."""

_NOUNS = dict(
    zip(
        RATES,
        (mark("selection rate"), mark("false-positive rate"), mark("false-negative rate")),
        strict=True,
    )
)

_MACRO = "macro_"

CALIBRATION_ERROR = "ece"
"""Name of the expected calibration error, which depends on the size of a group by itself."""


def metrics_of_groups(answers: AuditedAnswers) -> Iterator[Metric]:
    """Yield the metrics of audited answers, the most important first.

    Args:
        answers: The answers.
    """
    one = answers.outcomes
    numbers = one.values is not None and one.scores is None and not answers.labels
    if not numbers:
        yield ACCURACY
    if answers.positive is not None:
        yield from map(metric_of_groups, RATES)
    elif answers.labels:
        yield from (metric_of_groups(f"{_MACRO}{name}") for name in RATES[1:])
    for name in ("mae", "bias", "brier", "log_loss", CALIBRATION_ERROR):
        metric = metric_of_groups(name)
        found = metric.shares(one)
        if found is not None and np.isfinite(found).any():
            yield metric
    for label in answers.labels:
        yield from (metric_of_groups(f"{name}.{label}") for name in RATES)


def metric_of_groups(name: str) -> Metric:
    """Return a metric of groups by its name, such as `false_positive_rate.LABEL`."""
    rate, _, label = name.removeprefix(_MACRO).partition(".")
    if name == CALIBRATION_ERROR:
        return Metric(name, mark("calibration error"), _calibration_error, larger_is_better=False)
    if rate not in RATES:
        return BY_NAME.get(name) or measured(name)
    larger = None if rate == SELECTION else False
    if name.startswith(_MACRO):
        return Metric(
            name, tr("macro {rate}", rate=tr(_NOUNS[rate])), partial(_macro, rate), 0, 1, larger
        )
    said = _NOUNS[rate]
    said = tr("{rate} of {label}", rate=tr(said), label=label) if label else said
    return Metric(name, said, partial(_rate, name), 0, 1, larger, counts=True)


def _rate(name: str, one: Outcomes) -> Losses | None:
    return one.measures.get(name)


def _macro(rate: str, one: Outcomes) -> Losses | None:
    """Return shares in the mean of a rate over the labels that it is known of.

    Each query's share in a rate is the rate, moved by how far its own answer is from that, times
    the queries for each that the rate is about: their scatter is that of the rate.
    """
    tables = [table for name, table in one.measures.items() if name.startswith(f"{rate}.")]
    known = [table for table in tables if not np.isnan(table).all()]
    if not known:
        return None
    mean: Losses = np.mean([_linear(table) for table in known], axis=0)
    return mean


def _linear(table: Losses) -> Losses:
    about = ~np.isnan(table)
    rates = np.nanmean(table, axis=0)
    weight = len(table) / about.sum(axis=0)
    shares: Losses = np.where(about, rates + weight * (table - rates), rates)
    return shares


def _calibration_error(one: Outcomes) -> Losses | None:
    scores = one.scores
    if scores is None:
        return None
    each: list[Losses] = [
        calibration_error(np.exp(scores.logprobs[:, seed]), scores.gold)
        for seed in range(scores.said.shape[1])
    ]
    return np.stack(each, axis=1)
