"""Files that are written whole or not at all.

A file is written beside its place and renamed into it, so that a full disk or a process that is
killed leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from promptkit.translation import tr

_BEGINNING, _END = ".promptkit-", ".partial"
_ABANDONED_SECONDS = 3600
_open: set[Path] = set()
"""Partial files of this process, which are not abandoned even where the clock jumps."""


def write(path: str | Path, data: str | bytes) -> None:
    """Write a file atomically. Raises OSError with the file's name."""
    write_all({Path(path): data})


def write_all(files: Mapping[Path, str | bytes]) -> None:
    """Write files that belong together: none is renamed into place before all are on disk.

    Text becomes UTF-8; half a surrogate pair, as in the name of a file that is no text, its escape.
    A link stays one. A pipe or a device is written to as it is. Raises OSError with the name of the
    file that cannot be written; then all files are what they were before.
    """
    beside: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            with _named(path):
                _write(Path(os.path.realpath(path)), _bytes(data), beside)
        for path, partial in beside.items():
            with _named(path):
                partial.replace(path)
        for folder in {path.parent for path in beside}:
            _sync(folder)
    finally:
        for partial in beside.values():
            partial.unlink(missing_ok=True)


def digest(data: str | bytes) -> str:
    """The SHA-256 of what `write` makes of data, in hexadecimal; a line may end in CRLF or LF."""
    return sha256(_bytes(data).replace(b"\r\n", b"\n")).hexdigest()


def unwritable(folder: Path) -> str | None:
    """Return why no file can be created in a folder, which need not exist, or None."""
    place = folder
    try:
        while not _is_there(place):
            place = place.absolute().parent
        if not place.is_dir():
            return tr("{place} is no folder", place=place)
        tempfile.TemporaryFile(dir=place).close()
    except (OSError, ValueError) as error:  # ValueError: a name that the locale cannot write
        return tr(
            "{place} cannot be written ({reason})",
            place=place,
            reason=getattr(error, "strerror", None) or error,
        )
    return None


def _is_there(path: Path) -> bool:
    """Return whether a path exists. Raises OSError for a loop of links or too long a name."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _bytes(data: str | bytes) -> bytes:
    return data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data


def _write(path: Path, raw: bytes, beside: dict[Path, Path]) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not stat.S_ISREG(mode):
        path.write_bytes(raw)
        return
    _tidy(path.parent)
    partial = path.with_name(f"{_BEGINNING}{token_hex(6)}{_END}")
    beside[path] = partial
    with partial.open("wb") as file:
        if mode is not None:
            partial.chmod(stat.S_IMODE(mode))
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file that was to be written in errors of the system."""
    try:
        yield
    except OSError as error:
        reason = tr("{strerror}; what was there before is unchanged", strerror=error.strerror)
        raise OSError(error.errno, reason, str(path)) from None


def _tidy(folder: Path) -> None:
    """Delete partial files of processes that were killed while writing."""
    for partial in folder.glob(f"{_BEGINNING}*{_END}"):
        with suppress(OSError):  # another process may have tidied up
            old = time.time() - partial.stat().st_mtime > _ABANDONED_SECONDS
            if old and partial not in _open:
                partial.unlink()


def _sync(folder: Path) -> None:
    """Flush renames to the disk; some systems cannot do that for a folder."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def streamed(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that appears, or replaces what was there, once all of it is written.

    Raises OSError with the file's name; then what was there before is unchanged.
    """
    place = Path(os.path.realpath(path))
    partial = place.with_name(f"{_BEGINNING}{token_hex(6)}{_END}")
    try:
        with _named(Path(path)):
            _tidy(place.parent)
            _open.add(partial)
            with partial.open("wb") as file:
                with suppress(FileNotFoundError):
                    partial.chmod(stat.S_IMODE(place.stat().st_mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(place)
            _sync(place.parent)
    finally:
        partial.unlink(missing_ok=True)
        _open.discard(partial)
