"""`promptkit lint`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

import promptkit
from promptkit.cli import arguments, options
from promptkit.cli.console import Screen, err, note, write_json
from promptkit.cli.repeated import listed
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.linting.findings import Finding


def lint(
    task: options.TaskName,
    template: options.Templates = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help=tr("Check the tokens of this model too."))
    ] = None,
    shots: Annotated[
        int, typer.Option(metavar="N", min=0, help=tr("Largest number of shots that must fit."))
    ] = 8,
    context: options.Context = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", callback=listed, help=tr("Rule that is not checked.")),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help=tr("Make the safe changes to templates, and show them."))
    ] = False,
    json_file: options.JsonFile = None,
) -> None:
    """Check templates, labels and examples before any model runs.

    Exits with 1 if there is an error or a warning. docs/lint.md lists the rules.
    """
    from promptkit.linting import fixes, show

    is_folder = Path(task).exists() or ":" not in task
    subject = task if is_folder else arguments.task_named(task)
    loaded = None
    if model is not None:
        loaded = arguments.token_model_named(model, context=context, weights="as-is")

    def find(notify: Callable[[str], None] | None = None) -> Sequence[Finding]:
        return promptkit.lint(
            subject,
            templates=template or (),
            model=loaded,
            shots=shots,
            ignore=ignore or (),
            notify=notify,
        )

    findings = find(note)
    for _ in range(3 if fix else 0):  # one change may show the next
        changed = fixes.fix(findings)
        for diff in changed.values():
            err.print(Text(diff), soft_wrap=True, end="")
        findings = find() if changed else findings
    if json_file != "-":
        show.show(findings, Screen())
    write_json(json_file, {"findings": show.as_json(findings)})
    if show.fails(findings):
        raise typer.Exit(1)
