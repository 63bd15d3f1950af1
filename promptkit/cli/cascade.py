"""`promptkit cascade`: a cheap predictor in front of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import promptkit
from promptkit.cascades.cascade_saving import SUFFIX
from promptkit.cli import arguments, options
from promptkit.cli.console import Screen, say, write_json
from promptkit.cli.outputs import check_file, checked
from promptkit.cli.predictors import labelled_rows, predictor_named
from promptkit.errors import TaskError
from promptkit.translation import tr

Steps = Annotated[
    list[str],
    typer.Argument(
        metavar="STEP...",
        help=tr(
            "Saved predictors, the cheapest first: the folder of a student, frozen "
            "predictors (.promptkit), a lookup table, another cascade."
        ),
    ),
]
TaskName = Annotated[
    str,
    typer.Option("--task", metavar="TASK", help=tr("Task folder, or package.module:attribute.")),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar=f"FILE{SUFFIX}",
        callback=checked(check_file, "--out"),
        help=tr("File of the cascade."),
    ),
]
MaxError = Annotated[
    float,
    typer.Option(
        metavar="X",
        help=tr(
            "Share of wrong answers, among those that are given, that is kept with 95 % confidence."
        ),
    ),
]
RowsFile = Annotated[
    Path | None,
    typer.Option(
        "--rows",
        metavar="FILE",
        help=tr(
            "Labelled rows to choose thresholds on, which nothing was trained on or "
            "chosen by; by default the tests of the task."
        ),
    ),
]
Abstain = Annotated[
    bool,
    typer.Option(
        "--abstain",
        help=tr(
            "Let the last step hold back the answers that would break the stated "
            "error; otherwise it answers everything."
        ),
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help=tr("Number of the draw of the rows that thresholds are learnt from."),
    ),
]


def cascade(
    steps: Steps,
    task: TaskName,
    out: Out,
    max_error: MaxError = 0.1,
    abstain: Abstain = False,
    rows: RowsFile = None,
    seed: Seed = 0,
    threads: options.Threads = None,
    store: options.StoreFile = None,
    json_file: options.JsonFile = None,
) -> None:
    """Let a cheap predictor answer where it may, and send the rest up to the next one.

    Above which confidence each step answers is chosen so that the cascade as a whole keeps the
    stated error. `promptkit predict`, `serve` and `compare --with` take the file.
    """
    if out.suffix != SUFFIX:
        raise TaskError(
            tr(
                "--out {out}: the file of a cascade is named like reviews{SUFFIX}",
                out=out,
                SUFFIX=SUFFIX,
            )
        )
    loaded = arguments.task_named(task)
    given = None if rows is None else labelled_rows(task, loaded, rows)
    predictors = [predictor_named(name, task=loaded, threads=threads) for name in steps]
    models = [one.model for one in predictors if hasattr(one, "model")]
    with arguments.progress("asking", models) as progress:
        made = promptkit.cascade(
            predictors,
            loaded,
            max_error=max_error,
            rows=given,
            abstain=abstain,
            seed=seed,
            name=out.stem,
            store=store,
            progress=progress,
        )
    made.save(out)
    assert made.evidence is not None
    if json_file != "-":
        from promptkit.cascades.cascade_table import render

        Screen(width=None if sys.stdout.isatty() else 120).print(render(made.evidence))
        say(tr("Written to {out}", out=out))
    write_json(json_file, made.evidence.to_dict())
