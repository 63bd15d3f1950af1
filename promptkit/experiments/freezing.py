"""Freezing of a cell of a saved run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptkit.calibration.calibrated_predictors import calibrated_predictor
from promptkit.errors import TaskError
from promptkit.evaluation.results import Selective
from promptkit.experiments.saved_runs import Run
from promptkit.experiments.setup import Setup
from promptkit.experiments.winner import (
    check_prompted,
    chosen_cell,
    differing,
    evidence,
    threshold_of,
)
from promptkit.inference.cell import FIELDS, RAW, Cell, describe
from promptkit.inference.frozen_file import freeze
from promptkit.inference.store import Store
from promptkit.models.base import Model
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr


def setup_in(run: Run) -> Setup:
    """Return the setup of a run. Raises `TaskError` for a run of an earlier version."""
    setup = run.data["setup"]
    if setup is None:
        raise TaskError(
            tr(
                "{folder}: a run of an earlier version does not say what it was made of; "
                "run promptkit compare again, which takes its predictions from the store",
                folder=run.folder,
            )
        )
    return Setup(**setup)


def cell_in(run: Run, levels: Mapping[str, str]) -> Cell:
    """Return the cell of a run that has these levels, by default the best.

    Args:
        run: A saved run.
        levels: Levels by the name of the factor, as text.

    Raises:
        TaskError: No cell has the levels, or several have.
    """
    if levels:
        return chosen_cell([_cell(row) for row in run.data["rows"]], levels)
    if run.data["best"] is None:
        raise TaskError(
            tr("{folder}: the run has no best cell; name one with --cell", folder=run.folder)
        )
    return _cell(run.data["best"]["cell"]).at(seed=None)


def freeze_cell(
    run: Run,
    cell: Cell,
    out: str | Path,
    *,
    task: Task[Any, Any],
    load: Callable[[str], Model],
    seed: int | None = None,
    threshold: float | None = None,
    with_state: bool = False,
    store: Store | str | Path | None = None,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """Write the predictor of a cell to a file, once it gives the answers of the run.

    Args:
        run: The saved run.
        cell: The cell (`cell_in`).
        out: The file.
        task: The task of the run, with the same content.
        load: A function from a name of a model of the run to the model.
        seed: The draw of shots; by default the first of the run.
        threshold: The probability that an answer must be above; by default that of the run's
            selective answering, where it is about this cell.
        with_state: Whether the file holds the state of the model after what all prompts begin with.
        store: The prediction store of the run.
        notify: A function that is called with notes.

    Returns:
        The file.

    Raises:
        TaskError: The task has changed since the run, or the run has no such draw.
    """
    check_prompted(cell)
    setup = setup_in(run)
    if task.fingerprint != run.data["task"]["fingerprint"]:
        raise TaskError(
            tr(
                "task {name!r} has changed since the run: its pool, tests, types or "
                "instruction; run promptkit compare again",
                name=task.name,
            )
        )
    raw = cell.at(calibration=RAW)
    made = [one for one in run.predictions if one.at(seed=None) == raw]
    seeds = sorted({one.seed or 0 for one in made})
    if not made or (seed is not None and seed not in seeds):
        draws = tr("; its draws are {seeds}", seeds=", ".join(map(str, seeds))) if seeds else ""
        raise TaskError(
            tr(
                "the run asked no prompts of {describe} with seed {seed}{draws}",
                describe=describe(cell),
                seed=seed,
                draws=draws,
            )
        )
    drawn = seeds[0] if seed is None else seed
    own = [one for one in made if one.seed == drawn]
    templates = {one["name"]: one["source"] for one in run.data["templates"]}
    plain = setup.predictor(cell.at(seed=drawn), task, load(cell.model), templates)
    known = {test.id: test for test in task.tests}
    queries = [known[one.id] for one in own]
    predictor, after = calibrated_predictor(plain, cell.calibration, queries, run.most_shots, store)
    other = differing(own, after, cell.calibration, task)
    if other and notify is not None:
        notify(
            tr(
                "{answers} of {count} differ from those of the run, first that to {id}: "
                "the model, its settings or its weights are others",
                answers=counted(len(other), "answer", "answers"),
                count=len(own),
                id=other[0].id,
            )
        )
    if threshold is None:
        found = run.data["selective"]
        threshold = threshold_of(None if found is None else Selective(**found), cell)
    said = evidence(run.data, cell, drawn, str(run.folder))
    return freeze(replace(predictor, threshold=threshold), out, said, with_state=with_state)


def _cell(levels: Mapping[str, Any]) -> Cell:
    return Cell(**{name: levels[name] for name in FIELDS if name in levels})
