"""Answers of a bulk prediction by the keys of rows, so that equal rows are asked once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from promptkit.errors import StoreError
from promptkit.translation import tr

_CHUNK = 500  # keys in one query: SQLite bounds the number of parameters


class KnownAnswers:
    """A file of answers in JSON, of one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made where it is missing. Raises `StoreError`."""
        self.path = path
        with self._used():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            # An answer is on the disk before the part whose later rows rely on it.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                " (key BLOB PRIMARY KEY, answer TEXT NOT NULL, chunk INTEGER NOT NULL)"
                " WITHOUT ROWID"
            )

    def get(self, keys: Iterable[bytes]) -> dict[bytes, tuple[str, int]]:
        """Return the answers that are known among those of some keys, and where they were asked."""
        wanted, found = [*dict.fromkeys(keys)], dict[bytes, tuple[str, int]]()
        with self._used():
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT key, answer, chunk FROM answers WHERE key IN ({marks})"
                rows = self._db.execute(query, chunk)
                found.update((key, (answer, place)) for key, answer, place in rows)
        return found

    def put(self, answers: Mapping[bytes, str], chunk: int) -> None:
        """Add answers that were asked in a chunk, in one transaction."""
        with self._used():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                rows = sorted((key, answer, chunk) for key, answer in answers.items())
                self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Say what went wrong."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                tr(
                    "{path}: cannot be written or read: {error}; what was predicted is kept: "
                    "once that is repaired, the same command goes on",
                    path=self.path,
                    error=error,
                )
            ) from error
