"""The predictor of a cell of a comparison, with the calibration and the threshold that it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptkit.errors import TaskError
from promptkit.evaluation.results import Selective
from promptkit.inference.answer_fields import most_probable
from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.task import Task
from promptkit.text import listed
from promptkit.translation import tr


def chosen_cell(rows: Sequence[Cell], levels: Mapping[str, str]) -> Cell:
    """Return the only cell that has these levels.

    Args:
        rows: Cells of a comparison.
        levels: Levels by the name of the factor, as text: `{"shots": "4"}`.

    Raises:
        TaskError: A name is no factor, or no cell has the levels, or several have.
    """
    for name in levels:
        if name not in _NAMES:
            raise TaskError(
                tr(
                    "--cell {name}: no factor; choose of {listed}",
                    name=name,
                    listed=listed([*_NAMES]),
                )
            )
    cells = list(dict.fromkeys(row.at(seed=None) for row in rows))
    having = [
        cell for cell in cells if all(str(getattr(cell, n)) == level for n, level in levels.items())
    ]
    found = [cell for cell in having if cell.template != NO_PROMPT] or having
    if len(found) == 1:
        return found[0]
    said = ", ".join(f"{name}={level}" for name, level in levels.items())
    among = "; ".join(_levels_of(cell) for cell in (found or cells)[:8])
    several = tr("{count} cells have it", count=len(found)) if found else tr("no cell has it")
    raise TaskError(
        tr(
            "--cell {said}: {several}; name one of: {among}",
            said=said,
            several=several,
            among=among,
        )
    )


def check_prompted(cell: Cell) -> None:
    """Raise `TaskError` for a cell without a prompt."""
    if cell.template == NO_PROMPT:
        raise TaskError(
            tr(
                "{model} has no prompt to freeze: it is a predictor of its own; name the "
                "cell of a prompt, such as --cell shots=4",
                model=cell.model,
            )
        )


def _levels_of(cell: Cell) -> str:
    """Return a cell as `--cell` takes it."""
    return ",".join(f"{name}={level}" for name, level in cell.factors(_NAMES).items())


def threshold_of(selective: Selective | None, cell: Cell) -> float | None:
    """Return the threshold of selective answering, where there is one and it is about this cell."""
    if selective is None or selective.at(seed=None) != cell:
        return None
    return selective.threshold


def differing(
    before: Sequence[Prediction], after: Sequence[Prediction], method: str, task: Task[Any, Any]
) -> list[Prediction]:
    """Return the predictions of a comparison to which a predictor now gives another answer.

    Args:
        before: The predictions of the comparison.
        after: Those of the predictor, of the same queries.
        method: The method of calibration.
        task: The task.
    """
    now = {one.id: one for one in after}
    return [one for one in before if now[one.id].label != _label(one, method, task)]


def _label(made: Prediction, method: str, task: Task[Any, Any]) -> Any:
    """Return the answer of a comparison under a calibration."""
    if method == RAW or method not in made.calibrated:
        return made.label
    return task.output_type.plain(most_probable(task, made.calibrated[method]))


def evidence(data: Mapping[str, Any], cell: Cell, seed: int, folder: str | None) -> dict[str, Any]:
    """Return what a comparison says about a cell, for the file of its predictor.

    Args:
        data: The comparison, as `Comparison.to_dict()` returns it.
        cell: The cell.
        seed: The draw of shots that is frozen.
        folder: The folder of the run, where it is saved.
    """
    rows = [row for row in data["rows"] if _at(row, cell)]
    whole = next(row for row in rows if row["seed"] is None)
    drawn = next((row for row in rows if row["seed"] == seed), whole)
    cells = sum(row["seed"] is None for row in data["rows"])
    best = data["best"] is not None and _at(data["best"]["cell"], cell)
    chosen = tr(
        "chosen as the best of {cells} cells by the same tests, so that this is optimistic",
        cells=cells,
    )
    return {
        "run": folder,
        "queries": whole["n"],
        "accuracy": whole["accuracy"],
        "accuracy_ci": whole["accuracy_ci"],
        "accuracy_of_draw": drawn["accuracy"],
        "accuracy_of_draw_ci": drawn["accuracy_ci_fixed"],
        "metric": data["metric"],
        "value": whole.get(data["metric"]),
        "value_ci": whole.get(f"{data['metric']}_ci"),
        "cells": cells,
        "note": tr("{chosen}; ask new examples", chosen=chosen) if best and cells > 1 else None,
    }


def _at(levels: Mapping[str, Any], cell: Cell) -> bool:
    return all(levels.get(name) == level for name, level in cell.factors(_NAMES).items())


_NAMES = (*FACTORS, "shots")
