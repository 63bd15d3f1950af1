"""Writes docs/cli.md from the commands:

python tests/support/cli_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from promptkit.cli.commands import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

_BEGINNING = """\
# Command line

<!-- Written by tests/support/cli_reference.py from the commands: change them instead. -->

`promptkit COMMAND --help` prints the same. A repeatable option takes several values: give it again,
or write commas. A command exits with 0; with 1 where `lint` finds something or `check` fails;
with 2 after an error; with 130 after Ctrl-C.
"""


def reference() -> str:
    """Return the page."""
    group = get_command(app)
    context = group.make_context("promptkit", [], resilient_parsing=True)
    return "\n".join([_BEGINNING, *_commands(group, context)])


def _commands(group: Any, context: Any) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        own = type(context)(command, info_name=name, parent=context)
        params = [param for param in command.get_params(own) if "--help" not in param.opts]
        arguments = [param.metavar for param in params if _is_argument(param)]
        yield f"## {own.command_path}\n"
        yield f"```text\n{' '.join([own.command_path, *arguments, '[OPTIONS]'])}\n```\n"
        yield f"{command.help}\n"
        yield (
            "\n".join(["| argument or option | meaning |", "|---|---|", *map(_row, params)]) + "\n"
        )
        if hasattr(command, "list_commands"):
            yield from _commands(command, own)


def _is_argument(param: Any) -> bool:
    return param.param_type_name == "argument"


def _row(param: Any) -> str:
    """Return a line of a table: how an argument or an option is written, and its help."""
    if _is_argument(param):
        written = param.metavar
    else:
        written = ", ".join(param.opts) + ("" if param.is_flag else f" {param.metavar}")
    notes = [param.help]
    if param.multiple and not _is_argument(param):
        notes.append("Repeatable.")
    if not param.required and param.default not in (None, "") and param.default is not False:
        notes.append(f"Default: {param.default}.")
    cells = (text.replace("|", "\\|") for text in (f"`{written}`", " ".join(notes)))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
