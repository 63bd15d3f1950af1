"""Parts of a zip file, read within bounds whatever its directory says.

`zipfile` decompresses up to two gigabytes of a part that is said to hold ten bytes, and only then
compares. Here a part is decompressed as far as it is said to reach, and no further.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from promptkit.translation import tr

MOST_PARTS = 10_000
"""Number of parts of a file."""

_ENTRY = b"PK\x01\x02"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, OSError)


def parts_of(raw: bytes, most: int) -> dict[str, bytes]:
    """Return the parts of a zip file by their names.

    Args:
        raw: The file.
        most: Number of bytes that they may take together.

    Raises:
        ValueError: It is damaged, has too many parts or too large ones, or names that are places
            outside of it, or one place twice.
    """
    if raw.count(_ENTRY) > 2 * MOST_PARTS:  # each of which would take a kilobyte of memory
        raise ValueError(tr("more than {MOST_PARTS:,} parts", MOST_PARTS=MOST_PARTS))
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_PARTS:
                raise ValueError(tr("more than {MOST_PARTS:,} parts", MOST_PARTS=MOST_PARTS))
            if sum(entry.file_size for entry in entries) > most:
                raise ValueError(
                    tr("more than {most:,.0f} MB when decompressed", most=most / 1000000.0)
                )
            _check_names([entry.filename for entry in entries])
            return {entry.filename: _content(archive, entry) for entry in entries}
    except _DAMAGE as error:
        raise ValueError(tr("damaged: {error}", error=error)) from None


def _check_names(names: Sequence[str]) -> None:
    """Raise ValueError for names that are not those of different files below one folder."""
    seen: set[str] = set()
    for name in names:
        parts = PurePosixPath(name).parts
        is_plain = "/".join(parts) == name != "" and not {"\\", "\0"} & {*name}
        if not is_plain or ".." in parts or name.startswith("/") or ":" in parts[0]:
            raise ValueError(tr("a file named {name!r}", name=name[:200]))
        if name in seen:
            raise ValueError(tr("two files named {name!r}", name=name[:200]))
        seen.add(name)
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if both := folders & seen:
        raise ValueError(tr("a file and a folder named {both!r}", both=min(both)[:200]))


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(
            tr(
                "{filename!r} is compressed in another way than by deflate",
                filename=entry.filename[:200],
            )
        )
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)  # a number bounds what is decompressed at once
    if len(content) != entry.file_size:
        raise ValueError(
            tr("{filename!r} is not as large as it says", filename=entry.filename[:200])
        )
    return content
