"""Waits for files to change, by looking at them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SECONDS = 0.3
"""Between two looks."""

State = dict[Path, tuple[int, int]]
"""The files that are there, with their times in nanoseconds and their sizes in bytes."""


def changes(places: Sequence[Path], written: Path | None = None) -> Iterator[None]:
    """Yields once at the beginning, and then whenever a file has changed.

    `places` are files, and folders with what is in them and in their `templates/`; `written` is
    not looked at, since whoever is told of a change writes it.
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
    """What the files of some folders look like."""
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
