"""Detection of changed files, by polling."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SECONDS = 0.3
"""Time between two polls."""

State = dict[Path, tuple[int, int]]
"""Existing files, with their times in nanoseconds and their sizes in bytes."""


def changes(places: Sequence[Path], written: Path | None = None) -> Iterator[None]:
    """Yield once at the beginning, and then after every change of a file.

    Args:
        places: Files, and folders with their files and those below their `templates/`.
        written: A file to ignore, since the caller writes it after each change.
    """
    before = state(places, written)
    yield
    while True:
        time.sleep(SECONDS)
        now = state(places, written)
        if now != before:
            before = now
            yield


def state(places: Sequence[Path], but: Path | None = None) -> State:
    """Return the state of the files in `places`."""
    found: State = {}
    for place in places:
        for path in (place, *place.glob("*"), *place.glob("templates/**/*")):
            try:
                status = path.stat()
            except OSError:  # it went away meanwhile
                continue
            if path.is_file() and (but is None or path.absolute() != but.absolute()):
                found[path] = (status.st_mtime_ns, status.st_size)
    return found
