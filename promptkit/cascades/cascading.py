"""Making of a cascade: thresholds are chosen on rows that nothing was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptkit.cascades.cascade import Cascade
from promptkit.cascades.cascade_evidence import evidence_of
from promptkit.cascades.cascade_step import CascadeStep, confidence_of
from promptkit.cascades.cascade_thresholds import LEARNT, StepAnswers, choose
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.selective import (
    LEVEL,
    MOST_QUERIES,
    check_error,
    error_bound,
)
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor, predict_each
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store, opened
from promptkit.tasks.examples import Example, text_key
from promptkit.tasks.task import Task
from promptkit.text import about, counted, percent
from promptkit.translation import tr


def cascade(
    predictors: Iterable[AnyPredictor],
    task: Task[Any, Any],
    *,
    max_error: float = 0.1,
    rows: Iterable[Example[Any, Any]] | None = None,
    abstain: bool = False,
    seed: int = 0,
    name: str = "cascade",
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> Cascade:
    """Return a cascade: each predictor answers where it may, and the rest goes up to the next.

    The thresholds of confidence are chosen on labelled rows so that at most `max_error` of the
    answers that the cascade gives are wrong: with 95 % confidence, for new rows of the same source.

    Args:
        predictors: Predictors, the cheapest first, such as a student and a prompt.
        task: The task of the rows.
        max_error: The largest share of wrong answers among those that are given, between 0 and 1.
        rows: Labelled rows, which no predictor was trained on or chosen by; by default the tests of
            the task.
        abstain: Whether the last predictor may hold an answer back where it is not confident
            either; otherwise it answers everything.
        seed: The seed of the draw of the rows that thresholds are learnt from.
        name: The name of the cascade in tables.
        store: The prediction store of prompts, or its path; by default
            `.promptkit/predictions.sqlite`.
        progress: A function that is called with the number of done and of all requests to a model.

    Returns:
        The cascade, with the evidence; print it.

    Raises:
        TaskError: No thresholds are shown to keep the error; or there are no rows, one has no gold
            output or is in the task's pool; or answers are lists of labels.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/remarks")
        >>> small, large = (
        ...     pk.Predictor(task, pk.Template.of(task), pk.FakeModel(name=name), shots)
        ...     for name, shots in (("small", 0), ("large", 4))
        ... )
        >>> made = cascade([small, large], task, max_error=0.9, store=pk.Store())
        >>> [step.predictor.identity.name for step in made.steps]
        ['small', 'large']
    """
    check_error(max_error)
    every = [*predictors]
    asked = _rows(task, rows)
    if not every:
        raise TaskError(tr("a cascade needs a predictor, and the cheapest first"))
    for one in every[:-1]:
        if isinstance(one, Predictor) and one.scores == "best":
            raise TaskError(
                tr(
                    "{name}: scores 'best' has no probabilities, so that nothing says which of "
                    "its answers go up; make it with scores 'all'",
                    name=_name(one),
                )
            )
    with opened(store) as kept:
        made = [_predictions(one, asked, kept, progress) for one in every]
    steps = [_answers(own) for own in made]
    chosen = choose(steps, max_error, abstain=abstain, seed=seed)
    names = [*map(_name, every)]
    if chosen.thresholds is None:
        raise TaskError(_none(names[-1], steps, max_error, abstain))
    seconds = [math.fsum(one.seconds for one in own) / len(own) for own in made]
    thresholds, tested = chosen.thresholds, chosen.tested
    evidence = evidence_of(names, steps, seconds, thresholds, tested, max_error)
    parts = [CascadeStep(*one) for one in zip(every, thresholds, strict=True)]
    return Cascade(parts, task, name, evidence)


def _rows(
    task: Task[Any, Any], rows: Iterable[Example[Any, Any]] | None
) -> list[Example[Any, Any]]:
    """Return the rows that thresholds are chosen on. Raises `TaskError`."""
    asked = [*(task.tests if rows is None else rows)]
    if not asked:
        raise TaskError(
            tr("task {name!r} has no tests to choose thresholds on; give rows", name=task.name)
        )
    pool = {text_key(demo.input) for demo in task.demos if not task.folds}
    for row in asked:
        if not row.labelled:
            raise TaskError(
                tr("row {id}: thresholds are chosen on rows with a label", id=shorten(row.id))
            )
        if text_key(row.input) in pool:
            raise TaskError(
                tr(
                    "row {id} is in the task's pool, which predictors learn from; choose "
                    "thresholds on other rows",
                    id=shorten(row.id),
                )
            )
    return asked


def _name(one: AnyPredictor) -> str:
    """Return the name of a predictor; prompts of one model differ in their shots."""
    name = one.identity.name
    is_prompt = isinstance(one, Predictor) and not getattr(one, "name", "")
    return f"{name}, {one.shots:,} shot{'s' * (one.shots != 1)}" if is_prompt else name  # type: ignore[attr-defined]


def _predictions(
    one: AnyPredictor,
    rows: Sequence[Example[Any, Any]],
    store: Store,
    progress: Progress | None,
) -> Sequence[Prediction]:
    if isinstance(one, Predictor):
        return one.predict(rows, store=store, progress=progress)
    return predict_each([one], rows, [0])[0]


def _answers(made: Sequence[Prediction]) -> StepAnswers:
    confidence = np.array([confidence_of(one) for one in made], np.float64)
    return StepAnswers(confidence, np.array([not one.correct for one in made]))


def _none(last: str, steps: Sequence[StepAnswers], error: float, abstain: bool) -> str:
    """Return why there are no thresholds, and what would help."""
    n = len(steps[-1].wrong)
    alone = float(steps[-1].wrong.mean())
    said = tr(
        "no thresholds are shown to keep an error of at most {error} ({LEVEL} "
        "confidence) with {rows}: {last} alone is wrong in {alone} of them",
        error=percent(error),
        LEVEL=percent(LEVEL),
        rows=counted(n, "row", "rows"),
        last=last,
        alone=percent(alone),
    )
    help_ = [] if abstain else [tr("let the last one hold answers back (--abstain)")]
    needed = _rows_needed(_best_error(steps, abstain), error)
    if needed is not None and needed > n:
        help_.append(tr("give about {about} rows, if answers stay as good", about=about(needed)))
    ways = [*help_, tr("allow a larger error")]
    return f"{said}; " + tr(", or ").join(ways)


def _best_error(steps: Sequence[StepAnswers], abstain: bool) -> float:
    """Return the smallest error of one step; of the more confident half where one may abstain."""
    if not abstain:
        return min(float(one.wrong.mean()) for one in steps)
    half = np.argsort(-steps[-1].confidence)[: max(1, len(steps[-1].wrong) // 2)]
    return float(steps[-1].wrong[half].mean())


def _rows_needed(alone: float, error: float) -> int | None:
    """Return about how many rows show an error, given the one that they have."""
    tested = 10
    while alone < error and tested <= MOST_QUERIES:
        if error_bound(math.ceil(alone * tested), tested, 1 - LEVEL) <= error:
            return math.ceil(tested / (1 - LEARNT))
        tested = math.ceil(tested * 1.05)
    return None
