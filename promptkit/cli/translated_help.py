"""The help and the errors of Typer in the language in use.

Typer translates a part of what it says; the rest, such as `Missing argument 'TASK'.`, is recognised
by its English form. What is not recognised stays English.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from promptkit.cli import console
from promptkit.translation import SOURCE, language, mark, tr

_SAID = (
    mark("Invalid value for {hint}: {reason}"),
    mark("Invalid value: {reason}"),
    mark("Missing option {hint}."),
    mark("Missing argument {hint}."),
    mark("No such option: {option} (Possible options: {options})"),
    mark("No such option: {option}"),
    mark("Option {option} does not take a value."),
    mark("Option {option} requires an argument."),
    mark("Got unexpected extra argument(s) ({arguments})"),
    mark("Value {value} is not a valid {kind}."),
    mark("{value} is not one of {choices}."),
    mark("Input should be greater than or equal to {ge}"),
    mark("Input should be less than or equal to {le}"),
)


class Translated:
    """What commands and groups of Typer have in common: help and usage in the language in use."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        own: Any = self
        if own.help and language() != SOURCE:
            own.help = tr(inspect.cleandoc(own.help))
            end = re.search(r"[.।?](?=\s|$)", own.help)
            own.short_help = own.help[: end.start() if end else None]

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option of the help, whose own help Typer has in English."""
        parent: Any = super()
        option = parent.get_help_option(ctx)
        if option is not None:
            option.help = tr("Show this message and exit.")
        return option

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the line of usage."""
        own: Any = self
        pieces = own.collect_usage_pieces(ctx)
        formatter.write_usage(ctx.command_path, " ".join(pieces), prefix=tr("Usage: "))


def show(error: Any) -> None:
    """Print an error of usage as Typer does, in the language in use."""
    context = getattr(error, "ctx", None)
    if context is not None:
        path, option = context.command_path, context.help_option_names[0]
        console.err.print(context.get_usage())
        console.err.print(
            tr("Try '{command} {option}' for help.", command=path, option=option), soft_wrap=True
        )
        console.err.print()
    console.err.print(tr("Error: {message}", message=retold(error.format_message())))


def retold(message: str) -> str:
    """Return an English message of Typer in the language in use; any other as it is.

    Example:
        >>> retold("Missing argument 'TASK'.")
        "Missing argument 'TASK'."
    """
    for said in _SAID:
        if found := _pattern(said).fullmatch(message):
            values = found.groupdict()
            if "reason" in values:
                values["reason"] = retold(values["reason"])
            return tr(said, **values)
    return tr(message)


@cache
def _pattern(said: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", said)
    fields = (f"(?P<{name}>.+?)" for name in parts[1::2])
    words = [re.escape(part) for part in parts[::2]]
    return re.compile(words[0] + "".join(map("".join, zip(fields, words[1:], strict=True))), re.S)
