"""Files that a task folder names: read within bounds, and no device or pipe is waited for."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from promptkit.translation import tr

MOST_BYTES = 1 << 30
"""The largest data file that is read: rows take several times its size in memory."""
MOST_TEXT = 16 << 20
"""The largest template, JSON Schema and `task.toml` that is read."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises OSError for anything else, for a file of more than `most` bytes, and for a name that the
    system cannot have.
    """
    check_file(path, most)
    with path.open("rb") as file:
        return file.read(most)


def is_compressed(path: Path) -> bool:
    """Return whether a file's name says that it is compressed with gzip."""
    return path.suffix.lower() == ".gz"


def plain_path(path: Path) -> Path:
    """Return a path without the suffix of gzip."""
    return path.with_suffix("") if is_compressed(path) else path


def read_compressed(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file of gzip; no more than `most` bytes are decompressed.

    Raises OSError like `read_bytes`, and for what is not whole.
    """
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(read_bytes(path, most))) as file:
            content = file.read(most + 1)
    except gzip.BadGzipFile as error:
        raise OSError(errno.EINVAL, tr("not gzip: {error}", error=error), str(path)) from None
    except (EOFError, zlib.error):
        raise OSError(errno.EINVAL, tr("damaged gzip: the file is not whole"), str(path)) from None
    if len(content) > most:
        size = tr(
            "more than {most:.1g} GB when decompressed, which is the most that is read",
            most=most / 1000000000.0,
        )
        raise OSError(errno.EFBIG, size, str(path))
    return content


def check_file(path: Path, most: int = MOST_BYTES) -> None:
    """Raise OSError for a path that `read_bytes` does not read."""
    try:
        status = path.stat()
    except UnicodeEncodeError as error:
        reason = tr(
            "the locale's encoding, {encoding}, has no such name; set PYTHONUTF8=1",
            encoding=error.encoding,
        )
        raise OSError(errno.EILSEQ, reason, str(path)) from None
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, tr("a folder, a pipe or a device, not a file"), str(path))
    if status.st_size > most:
        size = tr(
            "{size:.1f} GB, where at most {most:.1g} GB are read",
            size=status.st_size / 1000000000.0,
            most=most / 1000000000.0,
        )
        raise OSError(errno.EFBIG, size, str(path))


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path, with its links resolved, is inside a folder."""
    try:
        real, inside = os.path.realpath(path), os.path.realpath(folder)
        return os.path.commonpath([real, inside]) == inside
    except ValueError:  # a NUL, a name the locale cannot write, another drive
        return False
