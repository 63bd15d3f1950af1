"""`promptkit freeze`: a cell of a saved run as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptkit.cli import arguments, options
from promptkit.cli.console import note, say
from promptkit.cli.outputs import check_file, checked
from promptkit.cli.predictors import model_again
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.models.base import Model

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Saved run, such as runs/fruit.")]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        callback=checked(check_file, "--out"),
        help="File of the predictor, such as fruit.promptkit.",
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--cell",
        callback=listed,
        metavar="FACTOR=LEVEL",
        help="Cell to freeze, by its levels, such as shots=4,calibration=batch; by default the "
        "best one.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Draw of shots; by default the first of the run."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        min=0.0,
        max=1.0,
        help="Probability that an answer must be above, or it is held back; by default that of "
        "the run's --max-error.",
    ),
]
WithState = Annotated[
    bool,
    typer.Option(
        "--with-state",
        help="Put the state of the model after the shots into the file (some 10 MB), so that the "
        "first answer comes at once.",
    ),
]
TaskFolder = Annotated[
    str | None,
    typer.Option(metavar="TASK", help="Task of the run; by default where the run found it."),
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="M", help="The same model in another place.")
]


def freeze(
    run: Folder,
    out: Out,
    cell: Levels = None,
    seed: Seed = None,
    threshold: Threshold = None,
    with_state: WithState = False,
    task: TaskFolder = None,
    model: ModelName = None,
    store: options.StoreFile = None,
) -> None:
    """Write the predictor of a cell of a saved run to one file.

    It holds the task with its pool, the template, the way shots are drawn, the calibration, the
    model's identity and the evidence: docs/freezing.md.
    """
    from promptkit.experiments.freezing import cell_in, freeze_cell, setup_in
    from promptkit.experiments.saved_runs import read_run

    saved = read_run(run)
    setup = setup_in(saved)
    chosen = cell_in(saved, levels_of(cell or []))
    name = task or setup.task
    if name is None:
        raise TaskError(f"{run}: its task was made in Python; name it with --task")
    loaded = arguments.task_named(name)

    contexts = {one["name"]: one["context"] for one in saved.data["models"]}

    def load(known: str) -> Model:
        return model_again(model, known, setup.origins.get(known), contexts[known])

    file = freeze_cell(
        saved,
        chosen,
        out,
        task=loaded,
        load=load,
        seed=seed,
        threshold=threshold,
        with_state=with_state,
        store=store,
        notify=note,
    )
    say(f"Written to {file}")


def levels_of(texts: list[str]) -> dict[str, str]:
    """Return the levels of `--cell` by the name of their factor. Raises `TaskError`."""
    levels: dict[str, str] = {}
    for text in texts:
        if text == "best":
            continue
        name, equals, level = text.partition("=")
        if not equals:
            raise TaskError(f"--cell {text!r}: write a factor and its level: shots=4")
        levels[name.strip()] = level.strip()
    return levels
