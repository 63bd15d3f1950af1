"""What pydantic says of values, in the language in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticKnownError

from promptkit.errors import shorten
from promptkit.translation import tr


def said_of(error: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors; its own where it has no translation.

    Args:
        error: An item of `ValidationError.errors()`.
    """
    said, values = str(error["msg"]), error.get("ctx") or {}
    try:
        template = PydanticKnownError(error["type"], values or None).message_template
    except (KeyError, TypeError, ValueError):  # an error of a program's own type
        return tr(said)
    translated = tr(template)
    if translated == template:
        return tr(said)  # errors of JSON have other words
    values = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in values.items()
    }
    try:
        return translated.format(**values, expected_plural="")  # the ending of a plural in English
    except (KeyError, IndexError, ValueError):  # of another version of pydantic
        return said


def first_reason(error: ValidationError) -> str:
    """Return the first error that pydantic reports, in one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    shown = tr(" (got {value})", value=shorten(first["input"])) if where else ""
    return f"{where}: {said_of(first)}{shown}" if where else said_of(first)
