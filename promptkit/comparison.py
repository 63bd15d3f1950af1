"""`compare`: a grid of cells over the same queries, and what differs between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby, islice, pairwise, product
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit import metrics, stats
from promptkit.errors import TaskError, shorten
from promptkit.examples import Example
from promptkit.models.base import Model, Sampling
from promptkit.predict import Fit, Prediction, Predictor, Progress, answer, unique_tokens
from promptkit.prompts import TokenizedPrompt
from promptkit.results import Cell, Comparison, Cost, Pair, Row
from promptkit.selection import Selection, default_selection
from promptkit.store import Store, default_path
from promptkit.task import Task
from promptkit.templates import Template

Table = npt.NDArray[np.int64]
"""Whether each answer is right, (queries, seeds)."""
Matrix = npt.NDArray[np.float64]


def compare(
    task: Task[Any, Any],
    *,
    models: Sequence[Model] | None = None,
    templates: Sequence[Template | str] = (),
    selections: Sequence[Selection] = (),
    shots: Sequence[int] = (0, 1, 2, 4, 8),
    seeds: int | Sequence[int] = 3,
    limit: int | None = None,
    fit: Fit = "error",
    sampling: Sampling | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Asks every test in every cell of models x templates x selections x shots x seeds.

    `models` is the bundled one where none is given, `templates` the task's own. `seeds` is a
    number of draws, or the seeds themselves; `limit` asks only the first tests. What the store
    (by default the one in the current folder) already holds is not asked again. Raises
    `PromptkitError` for whatever is wrong, before any model runs.
    """
    started = perf_counter()
    queries = _queries(task, limit)
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    _check_lists(shots=shots, seeds=seeds, templates=templates, selections=selections)
    if models is None:
        from promptkit.models.llama import load_model

        models = [load_model()]
    _check_lists(models=models)
    for model in models:
        if not isinstance(model, Model):
            raise TaskError(f"models: {shorten(model)} is no model; load_model() makes one")
    chosen = [_template(task, template) for template in templates] or [Template.of(task)]
    _check_distinct("models", [model.identity.name for model in models])
    chosen = _named_apart(chosen)
    _check_distinct("templates", [template.name for template in chosen])
    grid = [
        Predictor(task, template, model, count, seed, selection, fit, sampling or Sampling())
        for model, template, selection, count, seed in product(
            models,
            chosen,
            dict.fromkeys(selections or [default_selection(task)]),
            sorted(set(shots)),
            dict.fromkeys(seeds),
        )
    ]
    opened = store if isinstance(store, Store) else Store(store or default_path())
    try:
        predictions, usage = _run(grid, queries, opened, progress)
    finally:
        if opened is not store:
            opened.close()
    groups = _judged(task, predictions)
    rows = tuple(_rows(groups))
    pairs = tuple(_pairs(groups))
    flat = tuple(prediction for cell in predictions for prediction in cell)
    identities = tuple(model.identity for model in models)
    usage = replace(usage, wall_seconds=perf_counter() - started)
    return Comparison(task.name, task.fingerprint, identities, rows, pairs, usage, flat)


def _queries(task: Task[Any, Any], limit: int | None) -> list[Example[Any, Any]]:
    if limit is not None and limit < 1:
        raise TaskError(f"limit is {limit}; it is 1 or more")
    if not task.tests:
        raise TaskError(f"task {task.name!r} has no tests to ask")
    return list(task.tests)[:limit]


def _check_lists(**arguments: Any) -> None:
    for name, values in arguments.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise TaskError(f"{name}: {shorten(values)} is no list; write [{shorten(values)}]")
        if not values and name not in ("templates", "selections"):  # which have a default
            raise TaskError(f"{name}: at least one is needed")


def _check_distinct(what: str, names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TaskError(f"two {what} are called {min(twice)!r}; they need different names")


def _named_apart(templates: Sequence[Template]) -> list[Template]:
    """Templates from files of one name are told apart by their paths."""
    names = Counter(template.name for template in templates)
    return [
        replace(template, name=template.file or template.name)
        if names[template.name] > 1
        else template
        for template in templates
    ]


def _template(task: Task[Any, Any], template: Template | str) -> Template:
    return template if isinstance(template, Template) else Template.of(task, template)


def _run(
    grid: Sequence[Predictor],
    queries: Sequence[Example[Any, Any]],
    store: Store,
    progress: Progress | None,
) -> tuple[list[list[Prediction]], Cost]:
    """All predictions of each cell of the grid; every prompt is made before a model runs."""
    renderers = {
        template: template.renderer(grid[0].task) for template in {p.template for p in grid}
    }
    tokenized = [
        (predictor, predictor.tokenize(queries, renderers[predictor.template]))
        for predictor in grid
    ]
    predictions: list[list[Prediction]] = []
    costs: list[Cost] = []
    for _, cells in groupby(tokenized, key=lambda cell: id(cell[0].model)):
        made, cost = _run_model(list(cells), queries, store, progress)
        predictions += made
        costs.append(cost)
    total = {name: sum(getattr(cost, name) for cost in costs) for name in Cost.__slots__}
    return predictions, Cost(**total)


def _run_model(
    cells: Sequence[tuple[Predictor, list[TokenizedPrompt]]],
    queries: Sequence[Example[Any, Any]],
    store: Store,
    progress: Progress | None,
) -> tuple[list[list[Prediction]], Cost]:
    """One model's cells, asked together so that it can share what their prompts have in common."""
    first = cells[0][0]
    model, before = first.model, asdict(first.model.usage)
    prompts = [prompt for _, cell in cells for prompt in cell]
    answers = answer(model, prompts, first.sampling, store=store, progress=progress)
    results = iter(answers.results)
    predictions = [
        predictor.join(queries, cell, list(islice(results, len(cell)))) for predictor, cell in cells
    ]
    after = asdict(model.usage)
    return predictions, Cost(
        prompts=len(answers.asked) + answers.stored,
        cached=answers.stored,
        naive_tokens=sum(prompt.naive_tokens for prompt in answers.asked) + answers.written,
        unique_tokens=unique_tokens(answers.asked) + answers.written,
        decoded_tokens=after["decoded_tokens"] - before["decoded_tokens"],
        decode_seconds=after["decode_seconds"] - before["decode_seconds"],
        wall_seconds=0.0,
    )


class _Scored(NamedTuple):
    """What a model said of the labels; the labels by their number."""

    logprobs: Matrix
    """Normalised over the labels, (queries, labels)."""
    gold: list[int]
    said: list[int]
    coverage: list[float]


class _Judged(NamedTuple):
    """The predictions of one cell, as what its row is made of."""

    cell: Cell
    correct: list[bool]
    failures: int
    tokens: int
    seconds: float
    scored: _Scored | None
    """None where answers are generated."""


Groups = Mapping[Cell, Sequence[_Judged]]
"""Per aggregate its cells, one for each seed, over the same queries."""


def _judged(task: Task[Any, Any], predictions: Sequence[Sequence[Prediction]]) -> Groups:
    output = task.output_type
    labels = {output.plain(value): index for index, value in enumerate(output.values.values())}
    cells = [_judge(cell, labels) for cell in predictions]
    return {
        aggregate: list(group)
        for aggregate, group in groupby(cells, key=lambda j: j.cell._replace(seed=None))
    }


def _judge(predictions: Sequence[Prediction], labels: Mapping[Any, int]) -> _Judged:
    first = predictions[0]
    scores = [[*p.logprobs.values()] for p in predictions if p.logprobs]
    scored = None
    if scores:
        logprobs = np.array(scores)
        scored = _Scored(
            logprobs - np.logaddexp.reduce(logprobs, axis=1, keepdims=True),
            [labels[p.gold] for p in predictions],
            [labels[p.label] for p in predictions],
            [p.coverage for p in predictions if p.coverage is not None],
        )
    return _Judged(
        Cell(first.model, first.template, first.selection, first.shots, first.seed),
        [bool(p.correct) for p in predictions],
        failures=sum(p.failure is not None for p in predictions),
        tokens=sum(p.tokens for p in predictions),
        seconds=math.fsum(p.seconds for p in predictions),
        scored=scored,
    )


def _rows(groups: Groups) -> Iterator[Row]:
    """Per shot count the aggregate over seeds, then each seed."""
    for aggregate, cells in groups.items():
        yield _row(aggregate, cells)
        for judged in cells:
            yield _row(judged.cell, [judged])


def _row(cell: Cell, judged: Sequence[_Judged]) -> Row:
    table = _correct(judged)
    interval = stats.wilson(table)
    row = Row(
        **cell._asdict(),
        calibration="none",
        n=len(table),
        accuracy=metrics.accuracy(table),
        accuracy_ci=(interval.low, interval.high),
        failures=sum(j.failures for j in judged),
        tokens=sum(j.tokens for j in judged),
        seconds=math.fsum(j.seconds for j in judged),
    )
    scored = [j.scored for j in judged if j.scored is not None]
    return _with_losses(row, scored) if scored else row


def _with_losses(row: Row, scored: Sequence[_Scored]) -> Row:
    logprobs = np.concatenate([s.logprobs for s in scored])
    gold = [label for s in scored for label in s.gold]
    said = [label for s in scored for label in s.said]
    return replace(
        row,
        macro_f1=metrics.macro_f1(gold, said, range(logprobs.shape[1])),
        log_loss=metrics.log_loss(logprobs, gold),
        ece=metrics.expected_calibration_error(np.exp(logprobs), gold),
        coverage=float(np.mean([coverage for s in scored for coverage in s.coverage])),
    )


def _correct(judged: Sequence[_Judged]) -> Table:
    """Whether each answer is right, (queries, seeds)."""
    return np.array([j.correct for j in judged], dtype=int).T


def _pairs(groups: Groups) -> Iterator[Pair]:
    """Each shot count against the one before; each model, template and selection against the first.

    The two cells of a pair differ in one thing only.
    """
    tables: dict[Cell, Table] = {cell: _correct(judged) for cell, judged in groups.items()}
    for _, cells in groupby(tables, key=lambda cell: cell._replace(shots=0)):
        for a, b in pairwise(cells):
            yield _pair(a, b, tables)
    first = next(iter(tables))
    for b, factor in product(tables, ("model", "template", "selection")):
        a = b._replace(**{factor: getattr(first, factor)})
        if a != b:
            yield _pair(a, b, tables)


def _pair(a: Cell, b: Cell, tables: Mapping[Cell, Table]) -> Pair:
    difference = stats.paired_difference(tables[a], tables[b])
    return Pair(a, b, difference.delta, (difference.ci.low, difference.ci.high), difference.p)
