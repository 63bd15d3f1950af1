"""`promptkit new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from promptkit.cli.console import say
from promptkit.tasks.scaffold import write_task
from promptkit.translation import tr


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help=tr("Folder that does not exist yet."))
    ],
) -> None:
    """Write a task folder that runs, with comments on how to edit it."""
    for path in write_task(folder):
        say(str(path))
    say(tr("Edit them, then run: promptkit compare {quote}", quote=shlex.quote(str(folder))))
