"""`promptkit card`: a model-and-data card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from promptkit.cli import arguments, options
from promptkit.cli.console import note, say, write_json
from promptkit.cli.freeze import levels_of
from promptkit.cli.outputs import check_file, checked
from promptkit.cli.repeated import listed
from promptkit.tasks.task import Task
from promptkit.translation import tr

Subject = Annotated[
    str,
    typer.Argument(
        metavar="TASK|RUN|FROZEN|STUDENT|ADAPTER",
        help=tr(
            "Task, saved run, frozen prompt (FILE.promptkit), folder of a student, or "
            "LoRA adapter (FILE.gguf)."
        ),
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=checked(check_file, "--out"),
        help=tr("File of the card in Markdown, such as CARD.md; by default standard output."),
    ),
]
TaskFolder = Annotated[
    str | None,
    typer.Option(metavar="TASK", help=tr("Task that it was made for, with its rows and [card].")),
]
AuditFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help=tr("Audit to include; by default audit.json in the run or student."),
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--cell",
        callback=listed,
        metavar="FACTOR=LEVEL",
        help=tr("Cell of a run that the card is about, such as shots=4; by default the best one."),
    ),
]


def card(
    subject: Subject,
    out: Out = None,
    task: TaskFolder = None,
    audit: AuditFile = None,
    cell: Levels = None,
    json_file: options.JsonFile = None,
) -> None:
    """Write a model-and-data card in Markdown, and as JSON.

    It has the task, the data with its sources and licences, the model, the prompt, results, audits
    and limits. What is not stated is said to be so, here and in the card: docs/cards.md.
    """
    import promptkit

    own = None if task is None else arguments.task_named(task)
    made = promptkit.card(_found(subject), task=own, audit=audit, cell=levels_of(cell or []))
    for gap in made.not_stated:
        note(tr("not stated: {what}; to state it: {how}", what=gap.what, how=gap.how))
    if out is not None and str(out) != "-":
        made.save(out)
        say(tr("Written to {out}", out=out))
    elif json_file != "-":
        print(made.markdown, end="")
    write_json(json_file, made.to_dict())


def _found(name: str) -> str | Task[Any, Any]:
    """Return a path, or the task that a module has."""
    return name if Path(name).exists() or ":" not in name else arguments.task_named(name)
