"""Thresholds of labels, where an answer is a list of them: chosen on the pool, never on the tests.

Each label is scored as a candidate of the same prompt, and is given where its log-probability is
above its threshold. The pool's rows are asked for that with shots from the rest of the pool, as
their gold labels are known. A label's threshold is the one with the highest F1 on these rows
(Yang, "A study of thresholding strategies for text categorization", SIGIR 2001).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import TaskError
from promptkit.inference.answer_fields import answered
from promptkit.inference.store import Result
from promptkit.models.base import Request, Score
from promptkit.selection.pool import digest
from promptkit.selection.strategies import Given, as_selection
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.renderer import Renderer
from promptkit.translation import tr

MOST_ROWS = 256
"""Largest number of rows of the pool that are asked."""

LEAST_ROWS = 3
"""Number of rows of a label from which it has a threshold of its own."""

CROSSED = 5
"""Number of parts of queries, each judged by thresholds that the others give."""

P = TypeVar("P")

Examples = Sequence[Example[Any, Any]]
Cutoffs = NDArray[np.float64]
"""Log-probability above which each label is given, (labels,)."""


class PoolRows(NamedTuple):
    """Rows of a pool, as requests, and the queries whose thresholds they tell."""

    queries: Sequence[int]
    """Queries by their number."""
    rows: Examples
    requests: Sequence[Request]


def pools(
    task: Task[Any, Any], queries: Examples, given: Collection[str] = ()
) -> Iterator[tuple[list[int], Task[Any, Any], Examples]]:
    """Yield the numbers of the queries of each pool, the task of that pool, and its rows.

    With folds there are several pools, and the task has no other rows.

    Args:
        task: The task.
        queries: The queries.
        given: Ids of shots that all prompts show, and that are therefore not asked.

    Raises:
        TaskError: A pool has no rows to ask.
    """
    groups: dict[int, list[int]] = {}
    for number, query in enumerate(queries):
        groups.setdefault(id(task.pool_of(query)), []).append(number)
    for numbers in groups.values():
        pool = task.pool_of(queries[numbers[0]])
        own = task
        if task.folds:
            own = task.model_copy(update={"demos": pool, "tests": ExampleSet(()), "folds": {}})
        rows = [demo for demo in pool if demo.labelled and demo.id not in given]
        if not rows:
            raise TaskError(
                tr(
                    "thresholds of labels are chosen on rows of the pool, and it has none that "
                    "are no shots of every prompt; add demonstrations"
                )
            )
        rows.sort(key=lambda demo: digest("thresholds", 0, demo.id))
        yield numbers, own, rows[:MOST_ROWS]


def pool_rows(predictor: Any, queries: Examples, renderer: Renderer) -> list[PoolRows]:
    """Return the pool's own rows as requests, each with shots from the rest of the pool.

    There are none unless outputs are lists of labels.

    Args:
        predictor: The `Predictor` that is asked.
        queries: The queries.
        renderer: The renderer of their prompts.

    Raises:
        TaskError: A pool has no rows to ask.
    """
    if not predictor.task.many:
        return []
    selection = predictor.selection
    given = as_selection(selection) if selection is not None else None
    shown = given.ids if isinstance(given, Given) else ()
    found = []
    for numbers, task, rows in pools(predictor.task, queries, shown):
        same = task is predictor.task
        own = renderer if same else predictor.template.renderer(task, predictor.verbalizer)
        requests = replace(predictor, task=task).tokenize(rows, own)
        found.append(PoolRows(numbers, rows, requests))
    return found


def decide(
    predictor: Any,
    queries: Examples,
    predictions: Sequence[P],
    pool: Sequence[PoolRows],
    results: Sequence[Result],
) -> list[P]:
    """Return predictions with the labels above the thresholds that the pool's rows give.

    Without rows they stay as they are.

    Args:
        predictor: The `Predictor` that was asked.
        queries: The queries.
        predictions: A prediction for each query.
        pool: The rows of the pool.
        results: The results of their requests.
    """
    made: list[Any] = [*predictions]
    task, tolerance = predictor.task, predictor.model.identity.tolerance
    for part, cutoffs in learnt(task, pool, results):
        for number in part.queries:
            one = made[number]
            fields = decided(task, queries[number], one.logprobs or {}, cutoffs, tolerance)
            made[number] = replace(one, **fields)
    return made


def pool_requests(pool: Sequence[PoolRows]) -> list[Request]:
    """Return the requests of all rows."""
    return [request for part in pool for request in part.requests]


def learnt(
    task: Task[Any, Any], pool: Sequence[PoolRows], results: Sequence[Result]
) -> Iterator[tuple[PoolRows, Cutoffs]]:
    """Yield the thresholds that the results of a pool's rows give, part by part."""
    rest = iter(results)
    for part in pool:
        scores = np.array([score_of(next(rest)) for _ in part.rows])
        yield part, chosen(scores, gold_of(task, part.rows))


def crossed(
    task: Task[Any, Any],
    queries: Examples,
    logprobs: Sequence[Mapping[str, float]],
    tolerance: float,
) -> list[dict[str, Any]]:
    """Return what thresholds decide of queries of the pool, each by those of other queries.

    Args:
        task: The task.
        queries: The queries, whose gold labels are known.
        logprobs: The log-probability of each label, of each query.
        tolerance: How far a log-probability may move with what else is read (`ModelIdentity`).
    """
    scores = np.array([[one[label] for label in task.labels] for one in logprobs])
    gold, part = gold_of(task, queries), np.arange(len(queries)) % CROSSED
    cutoffs = [chosen(scores[part != own], gold[part != own]) for own in range(CROSSED)]
    return [
        decided(task, query, one, cutoffs[own], tolerance)
        for query, one, own in zip(queries, logprobs, part, strict=True)
    ]


def score_of(result: Result) -> tuple[float, ...]:
    """Return the log-probabilities of the labels."""
    assert isinstance(result, Score)
    return result.logprobs


def gold_of(task: Task[Any, Any], rows: Examples) -> NDArray[np.bool_]:
    """Return whether each label is a gold one, (rows, labels)."""
    plain = [task.output_type.plain(row.output) for row in rows]
    return np.array([[label in gold for label in task.labels] for gold in plain], dtype=np.bool_)


def chosen(scores: NDArray[np.float64], gold: NDArray[np.bool_]) -> Cutoffs:
    """Return the threshold of each label: that with its highest F1, of equal ones the highest.

    Labels of few rows share one, with the highest micro-F1 of all labels together.

    Args:
        scores: Log-probabilities, (rows, labels).
        gold: Whether each label is a gold one, (rows, labels).

    Example:
        >>> scores = np.log([[0.9], [0.8], [0.6], [0.1], [0.2]])
        >>> gold = np.array([[True], [True], [True], [False], [False]])
        >>> np.exp(chosen(scores, gold)).round(3).tolist()
        [0.346]
    """
    few = gold.sum(axis=0) < LEAST_ROWS
    shared = _best(scores.ravel(), gold.ravel()) if few.any() else math.nan
    return np.array(
        [
            shared if rare else _best(column, right)
            for column, right, rare in zip(scores.T, gold.T, few, strict=True)
        ]
    )


def _best(scores: NDArray[np.float64], gold: NDArray[np.bool_]) -> float:
    """Return the threshold with the highest F1, in the middle between two scores."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(gold[order])
    if not gold.any():
        return math.inf
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + gold.sum())
    apart = np.append(ranked[:-1] > ranked[1:], True)  # no threshold is between equal scores
    last = int(np.argmax(np.where(apart, f1, -1.0)))
    below = ranked[last + 1] if last + 1 < len(ranked) else ranked[last] - 1.0
    if not math.isfinite(below):
        below = ranked[last] - 1.0
    return float((ranked[last] + below) / 2)


def decided(
    task: Task[Any, Any],
    query: Example[Any, Any],
    logprobs: Mapping[str, float],
    cutoffs: Cutoffs,
    tolerance: float,
) -> dict[str, Any]:
    """Return the fields of a prediction that thresholds decide.

    Args:
        task: The task.
        query: What was asked.
        logprobs: The log-probability of each label.
        cutoffs: The thresholds.
        tolerance: How far a log-probability may move with what else is read (`ModelIdentity`).
    """
    margins = np.array([logprobs[label] for label in task.labels]) - cutoffs
    labels = [label for label, margin in zip(task.labels, margins, strict=True) if margin > 0]
    margin = float(np.abs(margins).min())
    return {
        **answered(task, query, task.output_type.validate(labels), failed=False),
        "probs": {label: math.exp(value) for label, value in logprobs.items()},
        "margin": margin if math.isfinite(margin) else None,
        "near_tie": margin <= tolerance,
    }
