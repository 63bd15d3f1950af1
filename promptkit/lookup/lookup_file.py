"""The file of a lookup table: pages of LMDB that are never changed, and a trailer with digests.

LMDB maps a file into memory and trusts what stands in it, so that reading a damaged one can end the
process. Each file therefore ends in a trailer, and is checked against it before LMDB sees it.
A changed table is a new file in the place of the old one, which its readers keep.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from struct import Struct
from threading import Lock, local
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from promptkit.errors import LookupFileError, MissingExtraError
from promptkit.translation import mark, tr

MAGIC = b"promptkit lookup"
FORMAT = 1
"""Version of the file's format."""

_TRAILER = Struct(">QI32sI16s")  # length of the pages, their CRC-32 and SHA-256, FORMAT, MAGIC
_BLOCK = 1 << 20
_MOST_PAGES = 1 << 36  # bytes of addresses that a file may take while it is written
_PUTS = 20_000  # in one transaction, so that memory does not grow with the table
TABLES = (b"entries", b"undo", b"about")
"""Tables of a file: entries by key, what each version replaced, and all else."""


Inode = tuple[int, int]
"""Device and number of a file, which no other one has while this is open."""


class LookupPages:
    """An open file of pages, shared by all tables and threads of a process that read it."""

    def __init__(self, environment: Any, sha256: str, inode: Inode) -> None:
        self._environment = environment
        self.sha256 = sha256
        """Digest of the pages."""
        self.inode = inode
        self.tables = {name: environment.open_db(name, create=False) for name in TABLES}
        self._thread = local()

    def get(self, key: bytes) -> bytes | None:
        """Return the entry of a key, or None."""
        try:
            found: bytes | None = self._thread.get(key)
        except AttributeError:  # the first of this thread
            self._thread.get = self._environment.begin(db=self.tables[b"entries"]).get
            found = self._thread.get(key)
        return found

    def about(self) -> dict[str, Any]:
        """Return what the file says of itself."""
        with self._environment.begin(db=self.tables[b"about"]) as transaction:
            found: dict[str, Any] = json.loads(transaction.get(b"about"))
        return found

    def items(self, table: bytes = b"entries", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys of a table with their values, sorted, from a key on."""
        with self._environment.begin(db=self.tables[table]) as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(start):
                yield from cursor

    def __len__(self) -> int:
        with self._environment.begin() as transaction:
            count: int = transaction.stat(self.tables[b"entries"])["entries"]
        return count


_open: WeakValueDictionary[Inode, LookupPages] = WeakValueDictionary()
_opening = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_opening.acquire,
        after_in_parent=_opening.release,
        after_in_child=_opening.release,
    )


def inode_of(path: Path) -> Inode:
    """Return what a file differs in from the one that replaces it.

    Raises `LookupFileError` for a file that is not there.
    """
    with _told(path):
        status = os.stat(path)
    return status.st_dev, status.st_ino


@contextmanager
def _held(path: Path) -> Iterator[Inode]:
    """Yield what tells a file from others, and keep it open, so that no other file gets that."""
    with _told(path):
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        status = os.fstat(file)
        yield status.st_dev, status.st_ino
    finally:
        os.close(file)


def opened(path: Path) -> LookupPages:
    """Return the pages of a file, which LMDB opens once in a process.

    Raises:
        LookupFileError: The file is not there, no lookup table, or damaged.
        MissingExtraError: LMDB is not installed.
    """
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError(tr("a lookup table"), "lookup") from None
    with _opening:
        pages = None
        while pages is None:  # the file may be replaced while it is opened
            with _held(path) as inode:
                if (pages := _open.get(inode)) is not None:
                    return pages
                digest = checked(path)
                try:
                    made = lmdb.open(str(path), **_SETTINGS, **_READING)
                    if inode_of(path) != inode:
                        made.close()
                        continue
                    pages = LookupPages(made, digest, inode)
                    pages.about()
                except (lmdb.Error, TypeError, ValueError, RecursionError) as error:
                    raise LookupFileError(
                        tr(
                            "{path}: damaged: {error}; {REMEDY}",
                            path=path,
                            error=error,
                            REMEDY=tr(_REMEDY),
                        )
                    ) from None
                _open[inode] = pages
        return pages


_SETTINGS: Mapping[str, Any] = {"subdir": False, "lock": False}
_READING: Mapping[str, Any] = {
    "readonly": True,
    "create": False,
    "max_dbs": len(TABLES),
    "max_spare_txns": 0,
    "readahead": False,
}
_REMEDY = mark("copy it again, or build it again with promptkit lookup build")


def checked(path: Path) -> str:
    """Return the digest of a file's pages, which are as they were written.

    Raises `LookupFileError` for anything else.
    """
    with _told(path):
        if not path.is_file():
            raise LookupFileError(
                tr("{path}: a folder, a pipe or a device, not a lookup table", path=path)
            )
        with path.open("rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size - _TRAILER.size
            if length < 0:
                raise _other(path)
            file.seek(length)
            pages, crc, digest, version, kind = _TRAILER.unpack(file.read(_TRAILER.size))
            if kind != MAGIC:
                file.seek(0)
                raise _cut(path) if _has_pages(file.read(32)) else _other(path)
            if version != FORMAT:
                raise LookupFileError(
                    tr(
                        "{path}: a lookup table of format {version}; this promptkit reads {FORMAT}",
                        path=path,
                        version=version,
                        FORMAT=FORMAT,
                    )
                )
            if pages != length:
                raise _cut(path)
            file.seek(0)
            found, left = 0, length
            buffer = memoryview(bytearray(_BLOCK))
            while left and (size := file.readinto(buffer[:left])):
                found = zlib.crc32(buffer[:size], found)
                left -= size
    if found != crc or left:
        raise LookupFileError(
            tr(
                "{path}: damaged: its pages are not those written; {REMEDY}",
                path=path,
                REMEDY=tr(_REMEDY),
            )
        )
    return str(digest.hex())


def _has_pages(beginning: bytes) -> bool:
    """Return whether a file begins as one of LMDB does."""
    return beginning[16:20] in (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde")


def _other(path: Path) -> LookupFileError:
    return LookupFileError(
        tr("{path}: not a lookup table; promptkit lookup build makes one of predictions", path=path)
    )


def _cut(path: Path) -> LookupFileError:
    return LookupFileError(
        tr("{path}: a lookup table that is not whole; {REMEDY}", path=path, REMEDY=tr(_REMEDY))
    )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file in errors of the system."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise LookupFileError(f"{path}: {reason}") from None


class PageWriter:
    """Writes a new file of pages."""

    def __init__(self, path: Path) -> None:
        import lmdb

        self.path = path
        self._environment = lmdb.open(
            str(path), **_SETTINGS, max_dbs=len(TABLES), map_size=_MOST_PAGES, sync=False
        )
        self._tables = {name: self._environment.open_db(name) for name in TABLES}
        self._puts, self._transaction = 0, self._environment.begin(write=True)

    def put(
        self, key: bytes, value: bytes, table: bytes = b"entries", *, last: bool = False
    ) -> None:
        """Put a value in the place of that of the key.

        Args:
            key: The key.
            value: The value.
            table: One of `TABLES`.
            last: Whether the key is behind all others of its table, which fills pages.
        """
        self._transaction.put(key, value, db=self._tables[table], append=last)
        self._puts += 1
        if self._puts % _PUTS == 0:
            self._commit()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        found: bytes | None = self._transaction.get(key, db=self._tables[b"entries"])
        return found

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries, sorted."""
        self._commit()
        yield from self._transaction.cursor(db=self._tables[b"entries"])

    def close(self) -> None:
        """Close the file, without a trailer."""
        self._transaction.abort()
        self._environment.close()

    def finish(self, about: Mapping[str, Any], out: BinaryIO) -> None:
        """Write what the file says of itself, and copy its pages with a trailer."""
        text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        self.put(b"about", text.encode("utf-8", "surrogatepass"), b"about")
        self._transaction.commit()
        self._environment.close()
        crc, digest, length = 0, sha256(), 0
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                crc = zlib.crc32(block, crc)
                digest.update(block)
                length += len(block)
                out.write(block)
        out.write(_TRAILER.pack(length, crc, digest.digest(), FORMAT, MAGIC))

    def _commit(self) -> None:
        self._transaction.commit()
        self._transaction = self._environment.begin(write=True)
