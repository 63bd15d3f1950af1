"""Predictions on disk, by content: what was computed once is looked up from then on.

A key is a digest of token ids, candidates, model identity and scoring rule, never of names. Every
batch is one transaction, so that ending the process loses at most the batch in flight, and any
number of processes may share a store (SQLite in WAL mode).
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, get_args

from promptkit.errors import StoreError
from promptkit.models.base import Finish, Generation, ModelIdentity, Request, Sampling, Score
from promptkit.models.runtime.access import lock_of_process
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.translation import tr

Result = Score | Generation

_VERSION = 1
_CHUNK = 500  # keys in one query: SQLite bounds the number of parameters
_MOST_BYTES = 64 << 20
"""Largest row that is read, in bytes."""
_TABLE = "CREATE TABLE predictions (key BLOB PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID"
_WAIT_SECONDS = 60.0
_forked = lock_of_process()
# What the numbers mean; a change of rule is a change of key.
_SCORE_RULE = "score 1: sum of log-probabilities after the branch point"
_BEST_RULE = "best 1: candidates that cannot be the best have the most that they can have"
_GENERATE_RULE = "generate 1"
_FORMAT_RULE = "format 1: a value of its schema, then the stop or the model's end"


def default_path() -> Path:
    """Where predictions go unasked: `$PROMPTKIT_STORE`, or `.promptkit/` in the current folder."""
    return Path(os.environ.get("PROMPTKIT_STORE") or ".promptkit/predictions.sqlite")


@contextmanager
def opened(store: Store | str | Path | None) -> Iterator[Store]:
    """Yield a store, given one, its path, or None for `default_path`; only one given stays open."""
    if isinstance(store, Store):
        yield store
        return
    with Store(store or default_path()) as made:
        yield made


class Store:
    """A prediction store: a file of predictions, or one in memory.

    Threads may share it, and so may a forked child, which opens the file anew.

    Args:
        path: Path of the file, which is made where it is missing; in memory by default.

    Raises:
        StoreError: The file is no store, or reading or writing fails, then or later.

    Example:
        >>> with Store() as store:
        ...     store.damaged
        0
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path) if path is not None else None
        self._damaged: set[bytes] = set()
        self._closed = False
        self._lock, self._process = RLock(), os.getpid()
        with self._used():
            if self.path is not None:
                _make_folder(self.path.parent)
            self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(
            self.path or ":memory:",
            timeout=_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # `_used` keeps threads apart
        )
        self._db.text_factory = bytes  # a damaged text may not be UTF-8
        if sys.version_info >= (3, 11):
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        try:
            self._db.execute("PRAGMA trusted_schema = OFF")
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        """Makes the table in a file that is new; leaves a file that is no store as it is."""
        if not self._is_made():
            with self._transaction():
                if not self._is_made():  # by another process, meanwhile
                    self._db.execute(_TABLE)
                    self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _is_made(self) -> bool:
        # One statement, so that another process cannot make the table half-way.
        version, things, ours, extra = self._db.execute(
            "SELECT user_version, (SELECT count(*) FROM sqlite_master),"
            " (SELECT count(*) FROM sqlite_master WHERE name = 'predictions'),"
            " (SELECT count(*) FROM sqlite_master WHERE sql <> ? "
            "  AND NOT (type = 'table' AND name LIKE 'sqlite_%'))"
            " FROM pragma_user_version",
            [_TABLE],
        ).fetchone()
        if version == 0 and not things:
            return False
        if version == 0 or not ours:
            raise StoreError(
                tr(
                    "{path}: another program's database, not a prediction store; name another "
                    "with --store",
                    path=self.path,
                )
            )
        if version != _VERSION:
            raise StoreError(
                tr(
                    "{path}: a store of version {version}; this promptkit knows {VERSION}. "
                    "Name another with --store",
                    path=self.path,
                    version=version,
                    VERSION=_VERSION,
                )
            )
        if extra:  # a view or a trigger computes whatever its author likes, for ever
            raise StoreError(
                tr(
                    "{path}: not as promptkit makes a store: it has other tables, views, "
                    "indexes or triggers, which are not run; name another with --store",
                    path=self.path,
                )
            )
        return True

    def _write_ahead(self) -> None:
        """Switches to WAL, for which SQLite does not wait by itself."""
        give_up = monotonic() + _WAIT_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or monotonic() > give_up:
                    raise
                sleep(0.01)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Result]:
        """Return the stored results among these keys, without rows that are damaged."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, Result] = {}
        with self._used():
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT key, result FROM predictions WHERE key IN ({marks})"
                for key, text in self._db.execute(query, chunk):
                    result = result_of(text)
                    if result is None:
                        self.distrust(key)
                    else:
                        found[key] = result
        return found

    def distrust(self, key: bytes) -> None:
        """Count a stored result as damaged; the next one that is put there replaces it."""
        self._damaged.add(key)

    @property
    def damaged(self) -> int:
        """Number of rows that were found damaged so far."""
        return len(self._damaged)

    def put(self, results: Mapping[bytes, Result]) -> None:
        """Add results in one transaction; keys that are there already keep what they have.

        Those of damaged rows do not.
        """
        rows = [(key, json.dumps(_fields(one))) for key, one in results.items()]
        with self._used(), self._transaction():
            damaged = [(key,) for key in self._damaged.intersection(results)]
            self._db.executemany("DELETE FROM predictions WHERE key = ?", damaged)
            self._db.executemany("INSERT OR IGNORE INTO predictions VALUES (?, ?)", rows)

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        """Let another process open the file. Raises `StoreError` for a store in memory."""
        if self.path is None:
            raise StoreError(tr("in memory: the store cannot be pickled; give it a path"))
        return Store, (self.path.absolute(),)

    def __len__(self) -> int:
        with self._used():
            (count,) = self._db.execute("SELECT count(*) FROM predictions").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            if self._process == os.getpid():
                self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Have the connection to oneself; say what went wrong."""
        self._leave_parent()
        with self._lock:
            if self._closed:
                raise StoreError(
                    tr(
                        "{path}: the store is closed; open it again",
                        path=self.path or tr("in memory"),
                    )
                )
            try:
                yield
            except (sqlite3.Error, OSError, ValueError) as error:
                raise StoreError(
                    tr(
                        "{path}: the prediction store cannot be used: {error}; name another with "
                        "--store, or move the file away",
                        path=self.path or tr("in memory"),
                        error=error,
                    )
                ) from error

    def _leave_parent(self) -> None:
        """Open the file anew in a forked child: SQLite's connections do not survive a fork.

        One in memory does, where no thread was using it.
        """
        with _forked:
            if self._process == os.getpid():
                return
            idle = self._lock.acquire(blocking=False)
            self._lock, self._process = RLock(), os.getpid()
            if not self._closed and (self.path is not None or not idle):
                self._parents = self._db  # never closed: that would tell the parent's file so
                with self._used():
                    self._open()


def key_of(request: Request, identity: ModelIdentity, sampling: Sampling | None = None) -> bytes:
    """Return the digest of everything that decides a result.

    Args:
        request: What is asked.
        identity: The model that is asked.
        sampling: How answers are generated; None where candidates are scored.
    """
    prompt = request.prompt
    parts = (prompt.stop, prompt.format, prompt.lead, prompt.sample, prompt.best)
    rule = _rule(identity, sampling, *parts)
    return sha256(rule + request.content).digest()


@lru_cache
def _rule(
    identity: ModelIdentity,
    sampling: Sampling | None,
    stop: str,
    format: AnswerFormat | None,
    lead: str,
    sample: int,
    best: bool,
) -> bytes:
    """Return how the result comes about, and by whom, as the beginning of a JSON list."""
    parts: list[Any] = [_SCORE_RULE, _BEST_RULE] if best else [_SCORE_RULE]
    if sampling is not None:
        seed = sampling.seed if sampling.temperature > 0 else None
        parts = [_GENERATE_RULE, sampling.max_tokens, float(sampling.temperature), seed, stop]
        if format is not None:
            parts += [_FORMAT_RULE, format.kind, format.schema, lead]
        if sample and sampling.temperature > 0:
            parts += [f"sample {sample}"]
    return f"[{json.dumps(parts)}, {json.dumps(identity.key)}, ".encode()


def _fields(result: Result) -> dict[str, Any]:
    """Return what a row holds of a result: unknown candidates only where there are some."""
    found = {name: getattr(result, name) for name in result.__slots__}
    if found.get("unknown") == ():
        del found["unknown"]
    return found


def result_of(text: object) -> Result | None:
    """Return the result that a row of a store holds; None where something has damaged it."""
    try:
        fields = json.loads(text)  # type: ignore[arg-type]
        kind = Score if "logprobs" in fields else Generation
        if kind is Score:
            fields.setdefault("unknown", [])
        if fields.keys() != {*kind.__slots__}:
            return None
        if not all(_CHECKS[name](value) for name, value in fields.items()):
            return None
        if kind is Score:
            fields["logprobs"] = tuple(map(float, fields["logprobs"]))
            fields["unknown"] = tuple(fields["unknown"])
        return kind(**fields)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _is_number(value: object) -> bool:
    return type(value) in (float, int) and value == value  # not NaN


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2**53


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "logprobs": lambda value: type(value) is list and value != [] and all(map(_is_number, value)),
    "unknown": lambda value: type(value) is list and all(map(_is_count, value)),
    "text": lambda value: type(value) is str,
    "finish": get_args(Finish).__contains__,
    "tokens": _is_count,
    "generated": _is_count,
    "seconds": _is_number,
}


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    is_ours = folder.name == ".promptkit"
    # Generated answers may quote private inputs. Another process may have made it meanwhile.
    folder.mkdir(0o700 if is_ours else 0o777, parents=True, exist_ok=True)
    if is_ours:
        (folder / ".gitignore").write_text("*\n")  # as pytest, mypy and ruff do for their caches
