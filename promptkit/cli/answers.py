"""Answers of lookup tables in a line, and a short way to them that imports no command.

What the command line is made of takes a hundred times as long to import as a lookup takes.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from typing import Any

from promptkit.errors import PromptkitError, escaped, shorten
from promptkit.lookup.lookup import Lookup
from promptkit.lookup.lookup_entries import StoredAnswer
from promptkit.translation import tr

COMMANDS = ("find", "build", "info", "versions", "rollback")
"""Commands of `promptkit lookup`; any other argument is the file of a table."""


def answered(arguments: Sequence[str]) -> bool:
    """Look inputs up as `promptkit lookup FILE VALUE...`; return whether all is said.

    Nothing is, where anything is unusual: an option, an input that is not found, an error.
    """
    if len(arguments) < 2 or arguments[0] in COMMANDS or not all(arguments):
        return False
    if any(argument.startswith("-") for argument in arguments):
        return False
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return False
    file, *texts = arguments
    try:
        table = Lookup(file)
        found = [table.find(input_of(table, text)) for text in texts]
    except (PromptkitError, OSError, ValueError):
        return False
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        for text, answer in zip(texts, found, strict=True):
            print(escaped(line(text, answer)))
        sys.stdout.flush()
    except OSError:  # of a closed pipe, which says so again
        return False
    return True


def input_of(table: Lookup, text: str) -> Any:
    """Return an input as it is written on a command line. Raises `PromptkitError`."""
    fields = table.fields
    if len(fields) == 1 and fields[0].is_text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        example = json.dumps({field.name: "…" for field in fields}, ensure_ascii=False)
        raise PromptkitError(
            tr(
                "{text}: no JSON ({error}); write inputs of this table as {example}",
                text=shorten(text),
                error=error,
                example=example,
            )
        ) from None


def line(text: str, answer: StoredAnswer) -> str:
    """Return an input with its answer in a line."""
    label = answer.label
    said = label if isinstance(label, str) else json.dumps(label, ensure_ascii=False)
    notes = [str(answer.match)] if answer.match != "exact" else []
    if answer.probs:
        notes.append(tr("probability {probability:.2f}", probability=max(answer.probs.values())))
    said = tr("held back") if answer.abstained else said
    return f"{text}: {said} ({', '.join(notes)})" if notes else f"{text}: {said}"
