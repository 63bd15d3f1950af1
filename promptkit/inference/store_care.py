"""Care of prediction stores: what is in one, whether it is sound, and its compaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from promptkit.errors import StoreError, escaped
from promptkit.inference.store import Store, result_of
from promptkit.models.base import Score
from promptkit.text import counted
from promptkit.translation import tr

_SHOWN = 5  # faults of the file that a text lists


@dataclass(frozen=True)
class StoreState:
    """Content of a prediction store."""

    path: Path
    size: int
    """Bytes of the file, and of the log beside it."""
    scored: int
    """Number of prompts whose labels are scored."""
    generated: int
    """Number of generated answers."""
    damaged: int
    """Number of rows that hold no result."""
    faults: tuple[str, ...] = ()
    """Faults of the file itself, as SQLite reports them."""

    @property
    def is_sound(self) -> bool:
        """Return whether nothing in the store is damaged."""
        return not self.damaged and not self.faults

    def __str__(self) -> str:
        lines = [
            tr(
                "{path}: {predictions} ({scored:,} scored, {generated:,} generated), "
                "{size:,.1f} MB",
                path=escaped(str(self.path)),
                predictions=counted(self.scored + self.generated, "prediction", "predictions"),
                scored=self.scored,
                generated=self.generated,
                size=self.size / 1000000.0,
            )
        ]
        if self.damaged:
            rows = counted(self.damaged, "damaged row", "damaged rows")
            lines.append(
                tr("{rows}: asked again when needed; promptkit store prune deletes them", rows=rows)
            )
        lines += [
            tr("damaged file: {fault}", fault=escaped(fault)) for fault in self.faults[:_SHOWN]
        ]
        if self.faults:
            lines.append(tr("move the file away; what it held is asked again"))
        return "\n".join(lines)


def state_of(path: Path, *, thorough: bool = False) -> StoreState:
    """Return what a store holds, every row of which is read.

    Args:
        path: The file of the store.
        thorough: Whether to check the structure of the file too.

    Raises:
        StoreError: There is none, it is no store, or it cannot be read.
    """
    scored = generated = damaged = 0
    faults: list[str] = []
    with _read(path) as database:
        if thorough:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
            faults = [] if found == ["ok"] else found
        database.text_factory = bytes  # a damaged text may not be UTF-8
        try:
            for (text,) in database.execute("SELECT result FROM predictions"):
                result = result_of(text)
                scored += isinstance(result, Score)
                damaged += result is None
                generated += result is not None and not isinstance(result, Score)
        except sqlite3.DatabaseError as error:
            faults.append(str(error))
    return StoreState(path, _size(path), scored, generated, damaged, tuple(faults))


def prune(path: Path) -> tuple[StoreState, StoreState]:
    """Delete damaged rows and give the space of deleted ones back; return the states around it.

    Other processes may go on using the store meanwhile.

    Raises:
        StoreError: There is none, it is no store, or it cannot be written.
    """
    before = state_of(path)
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
            database.text_factory = bytes
            database.create_function("is_damaged", 1, lambda text: result_of(text) is None)
            database.execute("DELETE FROM predictions WHERE is_damaged(result)")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(
            tr("{path}: cannot be pruned: {error}; nothing was lost", path=path, error=error)
        ) from None
    return before, state_of(path)


@contextmanager
def _read(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a file that is a store."""
    if not path.is_file():
        raise StoreError(tr("{path}: no prediction store; name one with --store", path=path))
    Store(path).close()  # refuses another program's database and another version
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise StoreError(
            tr("{path}: the prediction store cannot be read: {error}", path=path, error=error)
        ) from None


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
