"""`--lang`: the language of all that the command line says.

It is taken from the arguments before any command is imported, so that the help of options, which
are constants, is in that language too; it may stand anywhere.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Sequence

from promptkit.errors import TaskError, shorten
from promptkit.translation import DOMAIN, FOLDER, SOURCE, language, languages, tr, use

OPTION = "--lang"


def taken(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the arguments without `--lang TAG` or `--lang=TAG`, and the last tag.

    What follows `--` is no option. A `--lang` without a tag stays, for the error about it.

    Example:
        >>> taken(["lint", "fruit", "--lang", "hi"])
        (['lint', 'fruit'], 'hi')
    """
    rest: list[str] = []
    tag: str | None = None
    every = iter(arguments)
    for argument in every:
        if argument == "--":
            return [*rest, argument, *every], tag
        if argument.startswith(f"{OPTION}="):
            tag = argument.partition("=")[2]
        elif argument == OPTION and (value := next(every, None)) is not None:
            tag = value
        else:
            rest.append(argument)
    return rest, tag


def speak(tag: str | None) -> None:
    """Show all messages in a language, those of Typer and of started processes too.

    Args:
        tag: The language, such as `hi` or `hi-IN`; None for that of the environment.

    Raises:
        TaskError: There is no translation to it.
    """
    if tag is not None:
        known = languages()
        tag = tag.replace("-", "_")
        if tag.partition("_")[0] not in known:
            raise TaskError(
                tr(
                    "{option} {tag}: no language of messages; choose one of: {known}",
                    option=OPTION,
                    tag=shorten(tag),
                    known=", ".join(known),
                )
            )
        os.environ["LANGUAGE"] = tag
    use(tag)
    if language() != SOURCE:
        gettext.bindtextdomain(DOMAIN, str(FOLDER))
        gettext.textdomain(DOMAIN)
