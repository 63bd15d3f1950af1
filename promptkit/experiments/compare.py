"""`compare`: a grid of cells over the same queries, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

from promptkit.baselines.trained_baselines import trained_baselines
from promptkit.calibration import apply
from promptkit.calibration import option_orders as averages
from promptkit.calibration.apply import ALL
from promptkit.calibration.calibration_note import CalibrationNote
from promptkit.calibration.methods import Calibration
from promptkit.errors import TaskError
from promptkit.evaluation import cell_metrics, selective, slices, summary
from promptkit.evaluation.against_baselines import without
from promptkit.evaluation.chosen_metric import chosen_metric, usable_metric
from promptkit.evaluation.field_confusion import field_confusion
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import ByCell, outcomes
from promptkit.evaluation.results import FreeAnswers
from promptkit.experiments import draw_count
from promptkit.experiments import rationales as reasons
from promptkit.experiments.cell_profiles import costed
from promptkit.experiments.comparison import Comparison
from promptkit.experiments.free_answers import EarlyAnswerStage, FreeAnswerStage
from promptkit.experiments.grid import Grid
from promptkit.experiments.identical_prompts import same_prompts
from promptkit.experiments.learning_curves import curve_of
from promptkit.experiments.made_lines import own_prompts
from promptkit.experiments.prompt_warnings import near_warning, wording_warnings
from promptkit.experiments.promptless import Others, check_others, predict_beside
from promptkit.experiments.run_changes import pool_digests
from promptkit.experiments.seen_tests import seen_warnings
from promptkit.experiments.setup import setup_of
from promptkit.inference import batch
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.batch import Announce, AnswerStage, CellRequests, Cost, Predictions, Stage
from promptkit.inference.prediction import Fit, Predictor
from promptkit.inference.reasoning import RATIONALE_TOKENS, Reasoning
from promptkit.inference.store import Store, opened
from promptkit.inference.threshold_stage import ThresholdStage, sentence_on
from promptkit.linting.screening import screen
from promptkit.models.base import Model, Sampling
from promptkit.selection.orders import Order
from promptkit.selection.orders import orders as balanced_orders
from promptkit.selection.strategies import Selection
from promptkit.tasks.asked_language import as_asked
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.template import Template
from promptkit.text import sentence
from promptkit.translation import tr

SEEDS = 8
"""How many draws of shots are asked where nobody says so: see "more draws, fewer queries" in
docs/evidence.md."""


def compare(
    task: Task[Any, Any],
    *,
    models: Sequence[Model] | None = None,
    templates: Sequence[Template | str] = (),
    formats: int = 1,
    selections: Sequence[Selection | str | Sequence[str]] = (),
    orders: Sequence[Order | str] | int = (),
    verbalizers: Sequence[Verbalizer | str] = (),
    calibrations: Sequence[Calibration] | Literal["all"] = (),
    option_orders: int = 1,
    languages: Sequence[str] = (),
    shots: Sequence[int] = (0, 1, 2, 4, 8),
    seeds: int | Sequence[int] | Literal["auto"] = SEEDS,
    limit: int | None = None,
    fit: Fit = "error",
    sampling: Sampling | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
    announce: Announce | None = None,
    lint: bool = True,
    predictors: Sequence[AnyPredictor] = (),
    by: str | Sequence[str] = (),
    max_error: float | None = None,
    metric: str | None = None,
    rationale_tokens: int = RATIONALE_TOKENS,
    rationales: int = 1,
    think: int = 0,
    baselines: bool = False,
    learning_curve: bool = False,
) -> Comparison:
    """Run every test in every cell of a grid, and compare the cells.

    The grid is models x templates x formats x languages x verbalizers x selections x orders x
    shots x seeds.

    Args:
        task: The task; its tests are the queries.
        models: Models, such as `load_model()` returns; the bundled one by default.
        templates: Templates or their names; the task's own by default.
        formats: Number of variants of each template, itself included (see `promptkit.variants`).
        selections: Selections of shots: a `Selection`, the name of one, or the ids of shots.
        orders: Orders of the same shots, or a number of balanced ones.
        verbalizers: Verbalizers of the labels, or names of those of the task.
        calibrations: Methods that correct label bias, beside the raw probabilities; "all" for those
            that the task allows.
        option_orders: Number of cyclic orders of each query's own options, over which the scores of
            an option are averaged, beside those of the given order; 1 for no average.
        languages: Languages of the task, each for whole prompts, such as "hi", or for their parts,
            such as "instruction=en,shots=hi,labels=hi"; its own by default. Queries are in the
            language of the shots.
        shots: Numbers of shots.
        seeds: Number of draws of shots, the seeds themselves, or "auto": as many draws, up to a
            bound, as make them the smaller part of the error.
        limit: Number of tests to run, from the first; all of them by default.
        fit: What happens to a prompt that does not fit the context.
        sampling: How answers are generated.
        store: Prediction store, or its path; by default the one in the current folder.
        progress: Called after each result, with counts of its round and model.
        announce: Called with a sentence on what each model will be asked, before it runs.
        lint: Whether templates are checked first: errors are raised, warnings announced.
        predictors: Predictors without a prompt that are compared with the grid, such as a table.
        by: Columns whose values group the queries into slices: input fields, metadata, `output`.
        max_error: Share of wrong answers that the best cell may give when it holds back answers of
            low probability; the result says how many queries it can then answer (`selective`).
        metric: Metric by which cells are compared, such as "macro_f1"; by default the accuracy, for
            numbers the mean absolute error, "mae", and for lists of labels "micro_f1".
        rationale_tokens: Budget of tokens of a rationale, where a template prints {{ rationale }}.
        rationales: Number of rationales (and thoughts) that are sampled for each query; the answers
            after them vote.
        think: Budget of tokens of a thought before each answer, of models whose chat template has
            thoughts; 0 for none.
        baselines: Whether models are trained on the pool too, by scikit-learn, and compared with
            the best prompt: the majority class, TF-IDF with logistic regression, nearest neighbours
            and naive Bayes; for numbers the mean, the median and TF-IDF with ridge regression.
        learning_curve: Whether baselines are also trained on as many rows as the prompts see, and
            on growing parts of the pool, so that the result says from how many labelled rows on
            which is better. Adapters that were trained for prompts of the grid are asked these
            alone.

    Returns:
        The rows, pairs, warnings, cost and predictions; print it, or save it.

    Raises:
        PromptkitError: An argument or a prompt is wrong, before any model runs.

    Example:
        >>> import pydantic
        >>> from promptkit import FakeModel, Store, Task, Template
        >>> class Fruit(pydantic.BaseModel):
        ...     name: str
        >>> rows = [{"input": {"name": "fig"}, "output": "pome"}]
        >>> task = Task[Fruit, Literal["drupe", "pome"]](name="fruit", tests=rows)
        >>> source = "{% example %}{{ input.name }}: {{ output }};{% endexample %}"
        >>> result = compare(
        ...     task, models=[FakeModel()], templates=[Template(source)], shots=[0], store=Store()
        ... )
        >>> [(row.shots, row.n) for row in result.rows if row.seed is None]
        [(0, 1)]
    """
    started = perf_counter()
    queries = _queries(task, limit)
    wanted = _wanted(task, queries, by, max_error, metric, votes=rationales > 1)
    methods = *apply.methods_of(calibrations, task), *averages.methods_of(option_orders, task)
    grid = Grid(
        models=_bundled() if models is None else models,
        templates=templates,
        formats=formats,
        verbalizers=verbalizers,
        selections=selections,
        orders=balanced_orders(orders) if isinstance(orders, int) else orders,
        shots=shots,
        seeds=draw_count.first_seeds(seeds),
        fit=fit,
        sampling=sampling or Sampling(),
        reasoning=Reasoning(rationale_tokens, rationales, think),
        languages=languages,
    )
    trained = trained_baselines(task) if baselines or learning_curve else ()
    check_others(task, grid, (*predictors, *trained))
    said = _screened(task, grid) if lint else []
    cells = batch.prepare(_asked(grid, task, learning_curve, announce), queries)
    if (described := reasons.described(grid.reasoning, grid.sampling, cells)) and announce:
        announce(described)
    pilot = Cost()
    if seeds == "auto":
        grid, pilot = _with_enough_draws(grid, cells, wanted.metric, store, progress, announce)
        cells = batch.prepare(_asked(grid, task, learning_curve), queries, cells)
    said += same_prompts(cells)
    calibration, left_out = apply.plan(methods, cells, lenient=calibrations == ALL)
    said += left_out
    answers, thresholds = AnswerStage(cells), ThresholdStage.of(cells)
    if announce is not None:
        for reason in said:
            announce(reason)
    with opened(store) as kept:
        free = FreeAnswerStage(answers, EarlyAnswerStage(cells, kept))
        rounds: list[list[Stage]] = [[answers, calibration, thresholds, free.early], [free]]
        predictions, usage = batch.run(rounds, kept, progress=progress, announce=announce)
        beside = predict_beside(predictors, trained, queries, grid.seeds, kept, announce)
    said += reasons.cut_off(answers.before)
    cells = [*answers.cells]
    notes = tuple(calibration.notes(predictions))
    usage += beside.cost
    usage = replace(
        pilot + usage,
        prompts=usage.prompts,  # where the run found those of the pilot in the store
        cached=usage.cached - (pilot.prompts - pilot.cached),
        wall_seconds=perf_counter() - started,
    )
    result = _judged(task, cells, predictions, beside, free.found, notes, usage, wanted)
    others = (*predictors, *trained)
    prompted = [one.predictor for one in cells]
    told = [*_told(task, prompted, predictors, queries), *map(sentence, said)]
    rows = costed(result.rows, prompted, others, beside.predictions, notes)
    result = replace(_with_thresholds(result, thresholds), rows=rows)
    known = (*result.models, *(one.identity for one in others))
    result = replace(result, warnings=(*result.warnings, *told), models=known)
    curve = curve_of(task, result, predictors, trained, announce) if learning_curve else None
    return replace(result, learning_curve=curve)


def _screened(task: Task[Any, Any], grid: Grid) -> list[str]:
    """Return sentences about likely faults of the task in each language; see `screen`."""
    templates, tasks = grid.originals(task), grid.tasks(task)
    return [*dict.fromkeys(s for one in tasks for s in screen(one, templates, grid.shots))]


def _asked(
    grid: Grid, task: Task[Any, Any], learning_curve: bool, notify: Announce | None = None
) -> list[Predictor]:
    """Return the predictors of a grid, adapters in a learning curve with their own prompts."""
    every = grid.predictors(task, notify)
    return own_prompts(every) if learning_curve else every


def _told(
    task: Task[Any, Any],
    prompted: Sequence[Predictor],
    predictors: Sequence[AnyPredictor],
    queries: Sequence[Example[Any, Any]],
) -> Iterator[str]:
    """Yield warnings about what is compared."""
    found = (*wording_warnings(prompted), near_warning(prompted, queries))
    found = (*found, *seen_warnings(task, predictors, queries))
    yield from map(sentence, filter(None, found))


def _with_thresholds(result: Comparison, stage: ThresholdStage) -> Comparison:
    """Return the result with the thresholds of labels, and a note on them."""
    notes = (*result.notes, *sentence_on(stage.found))
    return replace(result, notes=notes, thresholds=stage.found)


class _Wanted(NamedTuple):
    """What the predictions are judged by."""

    columns: Mapping[str, slices.Levels]
    """Queries of each slice, by column."""
    max_error: float | None
    """Largest error of selective answering."""
    metric: Metric
    chosen: bool
    """Whether somebody asked for just this metric."""


def _wanted(
    task: Task[Any, Any],
    queries: Sequence[Example[Any, Any]],
    by: str | Sequence[str],
    max_error: float | None,
    metric: str | None,
    *,
    votes: bool,
) -> _Wanted:
    if max_error is not None:
        selective.check_error(max_error)
    columns = slices.levels_by_column(task, queries, [by] if isinstance(by, str) else by)
    by_name = chosen_metric(task, metric, votes=votes)
    return _Wanted(columns, max_error, by_name, metric is not None)


def _with_enough_draws(
    grid: Grid,
    cells: Sequence[CellRequests],
    metric: Metric,
    store: Store | str | Path | None,
    progress: Progress | None,
    announce: Announce | None,
) -> tuple[Grid, Cost]:
    """Return the grid with as many draws as a pilot of its cells shows, and the pilot's cost."""
    if announce is not None:
        drawn = sum(one.predictor.is_drawn for one in cells)
        most = len(cells) - drawn + drawn * draw_count.MOST // draw_count.PILOT
        announce(
            tr(
                "seeds auto: {PILOT} draws of shots first, and {MOST} at the most, which "
                "is {most:,} predictions",
                PILOT=draw_count.PILOT,
                MOST=draw_count.MOST,
                most=most * len(cells[0].queries),
            )
        )
    with opened(store) as kept:
        stages: list[list[Stage]] = [[AnswerStage(cells), ThresholdStage.of(cells)]]
        predictions, cost = batch.run(stages, kept, progress=progress, announce=announce)
    made = chain.from_iterable(predictions)
    by_cell = outcomes(made, cells[0].predictor.task.output_type.label_of)
    enough = draw_count.enough(by_cell, usable_metric(metric, by_cell, chosen=False))
    if announce is not None:
        still = tr(", the most: they may still be the larger part of the error")
        announce(
            tr(
                "seeds auto: {enough} draws{still}",
                enough=enough,
                still=still if enough == draw_count.MOST else "",
            )
        )
    return replace(grid, seeds=range(enough)), cost


def _judged(
    task: Task[Any, Any],
    cells: Sequence[CellRequests],
    asked: Predictions,
    beside: Others,
    free: tuple[FreeAnswers, ...],
    notes: tuple[CalibrationNote, ...],
    usage: Cost,
    wanted: _Wanted,
) -> Comparison:
    predictions, trained = [*asked, *beside.predictions], beside.trained
    every = tuple(chain.from_iterable(predictions))
    judged = task.output_type.label_of, task.judge.of_label
    by_cell = outcomes(every, *judged)
    rows = tuple(cell_metrics.rows(by_cell))
    by = usable_metric(wanted.metric, by_cell, chosen=wanted.chosen)
    weighed = summary.weigh(task, by_cell, rows, predictions, free, by, trained)
    others = without(by_cell, trained)
    predictors = tuple([one.predictor for one in cells])
    models = {id(one.model): one.model.identity for one in predictors}
    made = Comparison(
        task.name,
        task.fingerprint,
        models=tuple(models.values()),
        templates=tuple(dict.fromkeys(one.predictor.template for one in cells)),
        rows=rows,
        **weighed._asdict(),
        reliability=tuple(cell_metrics.reliability(by_cell)),
        confusion=tuple(cell_metrics.confusion(by_cell)),
        field_confusion=tuple(field_confusion(task.output_type, every)),
        calibrations=notes,
        free_answers=free,
        usage=usage,
        predictions=every,
        prompts={one.prompt.sha256: one.prompt for cell in cells for one in cell.requests},
        pool=pool_digests(task.demos),
        slices=tuple(slices.slicings(wanted.columns, every, judged, others, weighed.best, by)),
        metric=by.name,
        setup=setup_of(task, predictors),
        predictors=predictors,
        queries=tuple(as_asked(task, cells[0].queries)),
    )
    if wanted.max_error is None:
        return made
    return _with_selective(made, others, wanted.max_error)


def _with_selective(result: Comparison, by_cell: ByCell, max_error: float) -> Comparison:
    """Return the result with the selective answering of its best cell, or a warning."""
    try:
        found = selective.of_best(by_cell, result.best.cell, result.predictions, max_error)
    except TaskError as error:
        return replace(
            result, warnings=(*result.warnings, sentence(f"Selective answering: {error}"))
        )
    return replace(result, selective=found)


def _bundled() -> list[Model]:
    from promptkit.models.llama import load_model

    return [load_model()]


def _queries(task: Task[Any, Any], limit: int | None) -> list[Example[Any, Any]]:
    if limit is not None and limit < 1:
        raise TaskError(tr("limit is {limit}; it is 1 or more", limit=limit))
    if not task.tests:
        raise TaskError(tr("task {name!r} has no tests to ask", name=task.name))
    return list(task.tests)[:limit]
