"""`promptkit store`: the prediction store, its soundness and its size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptkit.cli.console import say
from promptkit.cli.repeated import Command
from promptkit.inference.store import default_path
from promptkit.inference.store_care import prune as prune_store
from promptkit.inference.store_care import state_of
from promptkit.translation import tr

app = typer.Typer(
    help=tr("Show, check or prune a prediction store."), rich_markup_mode=None, add_completion=False
)

StoreName = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help=tr("The store; by default .promptkit/predictions.sqlite.")),
]


@app.callback(invoke_without_command=True)
def _store(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show(None)


@app.command(cls=Command)
def show(file: StoreName = None) -> None:
    """Say how many predictions a store holds, and its size."""
    _say(str(state_of(file or default_path())))


@app.command(cls=Command)
def check(file: StoreName = None) -> None:
    """Check the file and every row in it; exits with 1 where something is damaged."""
    state = state_of(file or default_path(), thorough=True)
    _say(str(state))
    if not state.is_sound:
        raise typer.Exit(1)
    say(tr("Nothing in it is damaged."))


@app.command(cls=Command)
def prune(file: StoreName = None) -> None:
    """Delete damaged rows, and give unused space back to the disk."""
    before, after = prune_store(file or default_path())
    _say(str(after))
    freed = max(before.size - after.size, 0) / 1e6
    say(
        tr(
            "Deleted: {damaged:,} damaged rows; {freed:,.1f} MB given back.",
            damaged=before.damaged,
            freed=freed,
        )
    )


def _say(text: str) -> None:
    for line in text.splitlines():
        say(line)
