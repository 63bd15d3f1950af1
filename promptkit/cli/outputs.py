"""Checks that results can be written, made before the work."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from promptkit.errors import TaskError
from promptkit.experiments.comparison import FILES
from promptkit.files.saving import unwritable
from promptkit.translation import tr

T = TypeVar("T", str | None, Path | None)


def check_run(option: str, folder: Path) -> None:
    """Raise `TaskError` for a folder in which no run can be saved."""
    check_folder(option, folder)
    for name in FILES:
        if (folder / name).is_dir():
            raise TaskError(
                tr(
                    "{option} {folder}: {name} is a folder there; name another",
                    option=option,
                    folder=folder,
                    name=name,
                )
            )


def check_folder(option: str, folder: Path) -> None:
    """Raise `TaskError` for a folder in which no file can be made."""
    if reason := unwritable(folder):
        raise TaskError(
            tr(
                "{option} {folder}: {reason}; name another",
                option=option,
                folder=folder,
                reason=reason,
            )
        )


def check_file(option: str, file: Path) -> None:
    """Raise `TaskError` for a file that cannot be written; `-` is standard output."""
    if str(file) == "-":
        return
    try:
        place = Path(os.path.realpath(file))
        mode = place.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:  # a loop of links, a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise TaskError(
            tr("{option} {file}: {reason}; name another", option=option, file=file, reason=reason)
        ) from None
    if stat.S_ISDIR(mode):
        raise TaskError(
            tr("{option} {file}: not a file but a folder; name another", option=option, file=file)
        )
    if not place.parent.is_dir():
        reason = tr("No such file or directory")
        raise TaskError(
            tr(
                "{option} {file}: {reason}; name a file in a folder that exists",
                option=option,
                file=file,
                reason=reason,
            )
        )
    if stat.S_ISREG(mode):
        blocked = unwritable(place.parent)
    else:  # a pipe or a device
        blocked = (
            None if os.access(place, os.W_OK) else tr("{place} cannot be written", place=place)
        )
    if blocked is not None:
        raise TaskError(
            tr(
                "{option} {file}: {blocked}; name another",
                option=option,
                file=file,
                blocked=blocked,
            )
        )


def checked(check: Callable[[str, Path], None], option: str) -> Callable[[T], T]:
    """Return a callback that checks the file or folder of an option."""

    def callback(value: T) -> T:
        if value is not None:
            check(option, Path(value))
        return value

    return callback
