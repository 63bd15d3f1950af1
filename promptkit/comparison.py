"""`compare`: a grid of cells over the same queries, and what differs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from promptkit import judging, running
from promptkit.errors import TaskError, shorten
from promptkit.examples import Example
from promptkit.models.base import Model, Sampling
from promptkit.predict import Fit, Predictor, Progress
from promptkit.results import Comparison
from promptkit.running import Announce
from promptkit.selection import Selection, default_selection
from promptkit.store import Store, default_path
from promptkit.task import Task
from promptkit.templates import Template


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
    announce: Announce | None = None,
) -> Comparison:
    """Asks every test in every cell of models x templates x selections x shots x seeds.

    `models` is the bundled one where none is given, `templates` the task's own. `seeds` is a
    number of draws, or the seeds themselves; `limit` asks only the first tests. What the store
    (by default the one in the current folder) already holds is not asked again. `announce` is told
    in a sentence what each model will be asked, before it runs. Raises `PromptkitError` for
    whatever is wrong, before any model runs.
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
        asked = running.prepare(grid, queries)
        predictions, usage = running.run(asked, opened, progress=progress, announce=announce)
    finally:
        if opened is not store:
            opened.close()
    groups = judging.judged(task, predictions)
    return Comparison(
        task.name,
        task.fingerprint,
        models=tuple(model.identity for model in models),
        rows=tuple(judging.rows(groups)),
        pairs=tuple(judging.pairs(groups)),
        reliability=tuple(judging.reliability(groups)),
        confusion=tuple(judging.confusion(groups)),
        usage=replace(usage, wall_seconds=perf_counter() - started),
        predictions=tuple(prediction for cell in predictions for prediction in cell),
        prompts=running.prompts_of(asked),
    )


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
