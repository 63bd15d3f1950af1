"""Zip files whose manifest, in JSON, holds the digest of every other part.

They are read within bounds, written whole or not at all, and refused where anything was changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from promptkit.errors import DataError, Problem
from promptkit.files import saving
from promptkit.files.paths import MOST_BYTES, read_bytes
from promptkit.files.zip_parts import parts_of
from promptkit.translation import tr

_DAMAGE = (KeyError, ValueError, TypeError, RecursionError)


class SealedKind(NamedTuple):
    """A kind of sealed file."""

    noun: str
    """What messages call it, such as "frozen predictor"."""
    manifest: str
    """Name of its manifest."""
    version: int
    """Version of its format; files of another one are refused."""
    again: str
    """What to do about a damaged file."""


@dataclass(frozen=True)
class SealedZip:
    """A file that was read and checked."""

    path: Path
    data: Mapping[str, Any]
    """Its manifest."""
    files: Mapping[str, bytes]
    """Everything else, by name."""

    def unpack(self, folder: Path) -> None:
        """Write everything but the manifest to a folder."""
        for name, content in self.files.items():
            target = folder.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def seal(
    path: Path,
    kind: SealedKind,
    data: Mapping[str, Any],
    files: Mapping[str, bytes],
    stored: Collection[str] = (),
) -> None:
    """Write a file with its manifest.

    Args:
        path: The file.
        kind: Its kind.
        data: The manifest, to which the format, the digests and a checksum are added.
        files: Everything else, by name.
        stored: Names of files that hardly compress, and are stored as they are.

    Raises:
        OSError: The file cannot be written; what was there before is unchanged.
    """
    digests = {name: _digest(content) for name, content in files.items()}
    whole = {"format": kind.version, **data, "files": digests}
    whole["checksum"] = _checksum(whole)
    written = json.dumps(whole, ensure_ascii=False, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {kind.manifest: written, **files}.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name in stored else None)
    saving.write(path, buffer.getvalue())


def unseal(path: str | Path, kind: SealedKind) -> SealedZip:
    """Return the parts of a file.

    Args:
        path: The file.
        kind: Its kind.

    Raises:
        DataError: The file is missing, damaged, of another kind or of another version.
    """
    path = Path(path)
    try:
        files = parts_of(read_bytes(path, MOST_BYTES), MOST_BYTES)
        data = json.loads(files.pop(kind.manifest))
        version, digests = data["format"], data["files"]
        if not isinstance(digests, dict):
            raise TypeError(tr("no list of files"))
        is_whole = data.get("checksum") == _checksum(data)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from None
    except _DAMAGE as error:
        reason = tr(
            "no {noun}, or a damaged one ({error}); {again}",
            noun=tr(kind.noun),
            error=error,
            again=tr(kind.again),
        )
        raise _bad(path, reason) from None
    if version != kind.version:
        reads = tr("this promptkit reads {version}; update promptkit", version=kind.version)
        raise _bad(path, tr("format {version!r}, and {reads}", version=version, reads=reads))
    if not is_whole:
        raise _bad(
            path, tr("its manifest was changed after it was written; {again}", again=tr(kind.again))
        )
    found = {name: _digest(content) for name, content in files.items()}
    for name in sorted({*found, *digests}):
        if found.get(name) != digests.get(name):
            raise _bad(
                path,
                tr(
                    "{name} in it was changed, added or lost; {again}",
                    name=name,
                    again=tr(kind.again),
                ),
            )
    return SealedZip(path, data, files)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _checksum(data: Mapping[str, Any]) -> str:
    parts = {key: value for key, value in data.items() if key != "checksum"}
    return _digest(json.dumps(parts, sort_keys=True).encode())


def _bad(path: Path, reason: str) -> DataError:
    return DataError([Problem(reason, file=str(path))])
