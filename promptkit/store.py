"""Predictions on disk, by content: what was computed once is looked up from then on.

A key is a digest of token ids, candidates, model identity and scoring rule, never of names. Every
batch is one transaction, so that ending the process loses at most the batch in flight, and any
number of processes may share a store (SQLite in WAL mode).
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from promptkit.errors import StoreError
from promptkit.models.base import Generation, ModelIdentity, Sampling, Score
from promptkit.prompts import TokenizedPrompt

Result = Score | Generation

_VERSION = 1
_CHUNK = 500  # keys in one query: SQLite bounds the number of parameters
_WAIT_SECONDS = 60.0
# What the numbers mean; a change of rule is a change of key.
_SCORE_RULE = "score 1: sum of log-probabilities after the branch point"
_GENERATE_RULE = "generate 1"


def default_path() -> Path:
    """Where predictions go unasked: `$PROMPTKIT_STORE`, or `.promptkit/` in the current folder."""
    return Path(os.environ.get("PROMPTKIT_STORE") or ".promptkit/predictions.sqlite")


class Store:
    """A file of predictions; without a path, one in memory.

    Raises `StoreError` for a file that is no store, and wherever reading or writing fails.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path) if path is not None else None
        with self._explained():
            if self.path is not None:
                _make_folder(self.path.parent)
            self._db = sqlite3.connect(
                self.path or ":memory:", timeout=_WAIT_SECONDS, isolation_level=None
            )
            self._prepare()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise StoreError(
                f"{self.path}: a store of version {version}; this promptkit knows {_VERSION}. "
                "Name another with --store"
            )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS predictions"
            " (key BLOB PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID"
        )
        self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Result]:
        """The stored results among these keys."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, Result] = {}
        with self._explained():
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT key, result FROM predictions WHERE key IN ({marks})"
                for key, text in self._db.execute(query, chunk):
                    found[bytes(key)] = _result(json.loads(text))
        return found

    def put(self, results: Mapping[bytes, Result]) -> None:
        """Adds results in one transaction; keys that are there already keep what they have."""
        rows = [(key, json.dumps(asdict(result))) for key, result in results.items()]
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR IGNORE INTO predictions VALUES (?, ?)", rows)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def __len__(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM predictions").fetchone()
        return int(count)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise StoreError(
                f"{self.path}: the prediction store cannot be used: {error}; "
                "name another with --store, or move the file away"
            ) from error


def key_of(
    prompt: TokenizedPrompt, identity: ModelIdentity, sampling: Sampling | None = None
) -> bytes:
    """The digest of everything that decides a result; `sampling` is for generated answers."""
    rule: list[object] = [_SCORE_RULE]
    if sampling is not None:
        seed = sampling.seed if sampling.temperature > 0 else None
        rule = [_GENERATE_RULE, sampling.max_tokens, sampling.temperature, seed, prompt.prompt.stop]
    head = json.dumps([rule, identity.key, len(prompt.ids), [len(c) for c in prompt.candidates]])
    digest = sha256(head.encode("utf-8", "surrogatepass"))
    for ids in (prompt.ids, *prompt.candidates):
        digest.update(array("q", ids).tobytes())
    return digest.digest()


def keys_of(
    prompts: Sequence[TokenizedPrompt], identity: ModelIdentity, sampling: Sampling | None = None
) -> list[bytes]:
    """The keys of many prompts."""
    return [key_of(prompt, identity, sampling) for prompt in prompts]


def _result(fields: dict[str, object]) -> Result:
    if "logprobs" in fields:
        return Score(**{**fields, "logprobs": tuple(fields["logprobs"])})  # type: ignore[arg-type]
    return Generation(**fields)  # type: ignore[arg-type]


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    if folder.name == ".promptkit":
        (folder / ".gitignore").write_text("*\n")  # as pytest, mypy and ruff do for their caches
