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
from promptkit.translation import tr

Folder = Annotated[Path, typer.Argument(metavar="RUN", help=tr("Saved run, such as runs/fruit."))]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        callback=checked(check_file, "--out"),
        help=tr("File of the predictor, such as fruit.promptkit."),
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--cell",
        callback=listed,
        metavar="FACTOR=LEVEL",
        help=tr(
            "Cell to freeze, by its levels, such as shots=4,calibration=batch; by "
            "default the best one."
        ),
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help=tr("Draw of shots; by default the first of the run.")),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        min=0.0,
        max=1.0,
        help=tr(
            "Probability that an answer must be above, or it is held back; by default "
            "that of the run's --max-error."
        ),
    ),
]
WithState = Annotated[
    bool,
    typer.Option(
        "--with-state",
        help=tr(
            "Put the state of the model after the shots into the file (some 10 MB), so "
            "that the first answer comes at once."
        ),
    ),
]
TaskFolder = Annotated[
    str | None,
    typer.Option(metavar="TASK", help=tr("Task of the run; by default where the run found it.")),
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="M", help=tr("The same model in another place."))
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
        raise TaskError(tr("{run}: its task was made in Python; name it with --task", run=run))
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
    say(tr("Written to {file}", file=file))


def levels_of(texts: list[str]) -> dict[str, str]:
    """Return the levels of `--cell` by the name of their factor. Raises `TaskError`."""
    levels: dict[str, str] = {}
    for text in texts:
        if text == "best":
            continue
        name, equals, level = text.partition("=")
        if not equals:
            raise TaskError(tr("--cell {text!r}: write a factor and its level: shots=4", text=text))
        levels[name.strip()] = level.strip()
    return levels
