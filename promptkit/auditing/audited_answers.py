"""Answers of one predictor to labelled queries, one against rest for each label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.calibration.calibrated_predictors import calibrated_predictor
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.outcomes import LabelScores, Losses, Outcomes, outcomes
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor, apart, uncalibrated
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.tasks.examples import Example
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task
from promptkit.text import counted, did_you_mean
from promptkit.translation import tr

Queries = Sequence[Example[Any, Any]]
Positive = str | float
"""The output that rates are about: a label, or the number from which on outputs count as it."""

FROM = ">="
"""Beginning of a positive output that is every number from one on."""


@dataclass(frozen=True, eq=False)
class AuditedAnswers:
    """Answers of one predictor, with the rates that groups are judged by as measures."""

    name: str
    """Name of the predictor."""
    outcomes: Outcomes
    """Its answers; `selection_rate`, `false_positive_rate` and `false_negative_rate` are measures
    of the positive output, and `selection_rate.LABEL` and so on of each label without one."""
    positive: Positive | None
    """The positive output; None where there is none, or each label is judged against the rest."""
    labels: tuple[str, ...]
    """Labels that are judged one against the rest; empty where there is one positive output."""
    scores: Losses | None
    """Scores of the positive output, the higher the surer, (queries, seeds)."""
    gold: NDArray[np.bool_] | None
    """Whether the gold output is the positive one, (queries,)."""


class Asking(NamedTuple):
    """How predictors are asked."""

    seeds: int = 1
    """Number of draws of shots, of a predictor that draws them."""
    calibration: str = RAW
    """Calibration of prompts, which learns as that of a comparison does; `none` for none."""
    store: Store | None = None
    """Prediction store of prompts."""
    progress: Progress | None = None
    """Function that is told how many prompts are answered."""


def queries_of(task: Task[Any, Any], rows: Queries | None, limit: int | None) -> Queries:
    """Return the labelled queries of an audit.

    Args:
        task: The task.
        rows: The queries; those of the task by default.
        limit: Number of queries; all by default.

    Raises:
        TaskError: There are none, or a gold output is not known.
    """
    queries = [*(task.tests if rows is None else [apart(task, row) for row in rows])][:limit]
    if not queries:
        raise TaskError(
            tr(
                "{name}: no tests to audit; give labelled rows, or a task that has tests",
                name=task.name,
            )
        )
    if unknown := [query.id for query in queries if not query.labelled]:
        raise TaskError(
            tr(
                "{rows} of {count:,} without a gold output, the first is {id}; an "
                "audit compares answers with gold outputs",
                rows=counted(len(unknown), "row", "rows"),
                count=len(queries),
                id=shorten(unknown[0]),
            )
        )
    return queries


def is_drawn(predictor: AnyPredictor | None) -> bool:
    """Return whether another seed would draw other shots."""
    return isinstance(predictor, Predictor) and predictor.is_drawn


def predictions_of(
    predictor: AnyPredictor, queries: Queries, asking: Asking = Asking()
) -> list[Prediction]:
    """Return the predictions of each seed, whose probabilities count as they are.

    A predictor that draws nothing is asked once, and its answers are those of every seed.

    Args:
        predictor: The predictor.
        queries: What is asked.
        asking: How it is asked.
    """
    if isinstance(predictor, Predictor):
        seeds = range(predictor.seed, predictor.seed + asking.seeds)
        each = [replace(predictor, seed=seed) for seed in (seeds if predictor.is_drawn else ())]
        found = [_asked(one, queries, asking) for one in each or [predictor]]
    else:
        found = [[*predictor.predict(queries)]]
    if len(found) < asking.seeds:
        found *= asking.seeds
    return [
        replace(uncalibrated(one), seed=seed) for seed, made in enumerate(found) for one in made
    ]


def _asked(predictor: Predictor, queries: Queries, asking: Asking) -> list[Prediction]:
    if asking.calibration == RAW:
        return predictor.predict(queries, store=asking.store, progress=asking.progress)
    how = asking.calibration, queries, predictor.shots, asking.store
    return calibrated_predictor(predictor, *how)[1]


def calibrated_by(predictor: AnyPredictor, queries: Queries, asking: Asking) -> AnyPredictor:
    """Return a predictor with the calibration that is asked for, learnt as `answers_of` does.

    Args:
        predictor: The predictor.
        queries: What the calibration may learn from.
        asking: How predictors are asked.
    """
    if asking.calibration == RAW or not isinstance(predictor, Predictor):
        return predictor
    how = asking.calibration, queries, predictor.shots, asking.store
    return calibrated_predictor(predictor, *how)[0]


def answers_of(
    predictor: AnyPredictor,
    task: Task[Any, Any],
    queries: Queries,
    positive: Positive | None = None,
    asking: Asking = Asking(),
) -> AuditedAnswers:
    """Return the answers of a predictor to labelled queries.

    Args:
        predictor: The predictor.
        task: The task of the queries.
        queries: What is asked.
        positive: The positive output, as `positive_of` returns it.
        asking: How it is asked.
    """
    made = predictions_of(predictor, queries, asking)
    one = next(iter(outcomes(made, task.output_type.label_of, task.judge.of_label).values()))
    return audited(predictor.identity.name, task, one, made, positive)


def audited(
    name: str,
    task: Task[Any, Any],
    one: Outcomes,
    predictions: Sequence[Prediction],
    positive: Positive | None,
) -> AuditedAnswers:
    """Return the outcomes of one cell as answers that are audited.

    Args:
        name: The name of the predictor.
        task: The task of the queries.
        one: The outcomes; under a calibration, its most probable labels are the answers.
        predictions: The predictions of all seeds that these are of.
        positive: The positive output, as `positive_of` returns it.
    """
    rows: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        rows.setdefault(prediction.id, []).append(prediction)
    table = [*rows.values()]
    if one.cell.calibration == RAW or one.scores is None:
        given = [[made.label for made in row] for row in table]
    else:
        values = [*map(task.output_type.values.get, one.scores.labels)]
        plain = [*map(task.output_type.plain, values)]
        given = [[plain[number] for number in row] for row in one.scores.said.tolist()]
    labels = () if positive is not None else task.labels
    measures = dict(one.measures)
    gold = None
    for target in labels or [positive]:
        if target is not None:
            is_target = partial(_is_target, task, target)
            gold = np.array([is_target(row[0].gold) for row in table], dtype=np.bool_)
            said = np.array([[*map(is_target, row)] for row in given], dtype=np.bool_)
            suffix = f".{target}" if labels else ""
            measures |= {f"{key}{suffix}": values for key, values in _rates(gold, said)}
    return AuditedAnswers(
        name,
        replace(one, measures=measures),
        positive,
        labels,
        None if positive is None else _scores(one, table, positive),
        None if positive is None else gold,
    )


def positive_of(task: Task[Any, Any], named: str | float | None) -> Positive | None:
    """Return the positive output of a task.

    Of two labels it is by default the second one, as for AUROC, and of true and false, true. Of
    more labels, and of numbers, there is none unless it is named.

    Args:
        task: The task.
        named: A label; or for outputs that are numbers, `>=N` or N, from which on they count.

    Raises:
        TaskError: It is none of the task's labels, no number, or the task has texts for outputs.
    """
    labels = task.labels
    if named is None:
        binary = len(labels) == 2 and not task.many
        return None if not binary else "true" if "true" in labels else labels[1]
    text = str(named)
    if text in labels:
        return text
    numeric = task.output_type.is_number or (bool(labels) and None not in map(number_of, labels))
    number = number_of(text.removeprefix(FROM)) if numeric else None
    if number is not None and (text.startswith(FROM) or not labels):
        return number
    if labels:
        hint = did_you_mean(text, labels, lead="; ")
        raise TaskError(
            tr(
                "positive {text}: not a label of {name}; choose one of: {labels}{number}{hint}",
                text=shorten(text),
                name=task.name,
                labels=", ".join(labels),
                number=tr(", or >=N") if numeric else "",
                hint=hint,
            )
        )
    reason = (
        tr("outputs are numbers; write >=0.5, for example") if numeric else tr("outputs are texts")
    )
    raise TaskError(
        tr(
            "positive {text}: no output of {name}, whose {reason}",
            text=shorten(text),
            name=task.name,
            reason=reason,
        )
    )


def _is_target(task: Task[Any, Any], target: Positive, value: Any) -> bool:
    """Return whether an output, as predictions hold it, is the target."""
    if isinstance(target, float):
        return _counts(value, target)
    if task.many:
        return target in (value or ())
    return value is not None and task.output_type.label_of.get(value) == target


def _rates(gold: NDArray[np.bool_], said: NDArray[np.bool_]) -> Iterator[tuple[str, Losses]]:
    """Yield each answer's share in the rates; NaN for queries that a rate is not about."""
    chosen, is_gold = said.astype(np.float64), gold[:, np.newaxis]
    yield "selection_rate", chosen
    yield "false_positive_rate", np.where(is_gold, np.nan, chosen)
    yield "false_negative_rate", np.where(is_gold, 1 - chosen, np.nan)


def _scores(
    one: Outcomes, rows: Sequence[Sequence[Prediction]], positive: Positive
) -> Losses | None:
    """Return what is higher the surer an answer is of the positive output; None without any."""
    scores = one.scores
    if scores is not None and scores.labels:
        values = _log_odds(scores, [_counts(label, positive) for label in scores.labels])
    elif isinstance(positive, float):
        values = np.full((1, 1), np.nan) if one.values is None else one.values.said
    else:
        values = np.array([[_probability(p.probs, positive) for p in row] for row in rows])
    return values if np.isfinite(values).all() else None


def _counts(label: Any, positive: Positive) -> bool:
    """Return whether a label is the positive output, or among the numbers that are."""
    if isinstance(positive, str):
        return bool(label == positive)
    number = number_of(label)
    return number is not None and number >= positive


def _log_odds(scores: LabelScores, inside: Sequence[bool]) -> Losses:
    """Return log-odds, which keep apart what probabilities near 1 do not; of any size, finite."""
    mask = np.array(inside)
    if mask.all() or not mask.any():
        return np.zeros(scores.said.shape)
    with np.errstate(invalid="ignore"):  # of labels without any probability
        own, rest = (
            np.logaddexp.reduce(scores.logprobs[:, :, side], axis=2) for side in (mask, ~mask)
        )
        odds: Losses = own - rest
    return np.nan_to_num(odds, nan=0.0)


def _probability(probs: Mapping[str, float] | None, label: str) -> float:
    return (probs or {}).get(label, 0.0 if probs else math.nan)
