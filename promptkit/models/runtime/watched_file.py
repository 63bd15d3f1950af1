"""A model file that is in use: llama.cpp maps it into memory, so that it must stay as it is."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from promptkit.errors import ModelFileError


class WatchedFile:
    """A model file that is watched for changes while it is loaded and used.

    A file that is deleted or replaced later on stays what it was to those that have it open.
    """

    def __init__(self, path: Path, since: os.stat_result | None = None) -> None:
        """Open a file whose status was `since` when it was verified, which may be some time ago.

        Raises:
            ModelFileError: The file cannot be opened.
        """
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
            self.close = weakref.finalize(self, os.close, self._file)
            """Close the file."""
            self._before = since or os.fstat(self._file)
        except OSError as error:
            raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from None

    def check_loaded(self) -> None:
        """Check that what was loaded by this path is this file. Raises `ModelFileError`."""
        self.check()
        try:
            same = os.path.samestat(os.stat(self._path), self._before)
        except OSError:
            same = False
        if not same:
            raise ModelFileError(self._path, "it was replaced while it was loaded; load it again")

    def check(self) -> None:
        """Check that nothing was written to it. Raises `ModelFileError`."""
        now, before = os.fstat(self._file), self._before
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise ModelFileError(self._path, "it changed while it was in use; load it again")
