"""Repeated options: lists take every value, all others refuse a second one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from typer.core import TyperCommand

from promptkit.cli.translated_help import Translated
from promptkit.errors import TaskError
from promptkit.translation import tr

Value = TypeVar("Value", str, Path)


class Command(Translated, TyperCommand):
    """A command that refuses a second value where it would silently drop the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        *_, order = self.make_parser(ctx).parse_args(args=[*args])
        for param in order:
            takes_one = not getattr(param, "multiple", True) and not getattr(param, "is_flag", True)
            if takes_one and order.count(param) > 1:
                raise TaskError(
                    tr(
                        "{opts} is given {count} times, and takes one value",
                        opts=param.opts[0],
                        count=order.count(param),
                    )
                )
        return super().parse_args(ctx, args)


def listed(values: Sequence[Value] | None) -> list[Value] | None:
    """Return the values of an option that may be repeated, or have commas, or both.

    A file whose name has a comma stays whole.
    """
    if values is None:
        return None
    every: list[Value] = []
    for value in values:
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        whole = not parts or "," not in str(value) or _exists(value)
        every += [value] if whole else [type(value)(part) for part in parts]
    return every


def _exists(value: str | Path) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False


def unsplit(values: list[str] | None) -> list[str] | None:
    """Return the values of an option, which have commas of their own; a callback."""
    return values


def unparted(values: list[str] | None) -> list[str] | None:
    """Return the values of an option, whose commas also stand between the parts of one value."""
    if values is None:
        return None
    return [one for value in values for one in ([value] if "=" in value else listed([value]) or [])]
