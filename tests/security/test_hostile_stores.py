"""Prediction stores that were made to harm, and who may read what is written."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import promptkit as pk
from promptkit.errors import StoreError
from promptkit.files import saving
from promptkit.inference.store import Store
from promptkit.inference.store_care import prune, state_of
from promptkit.models.base import Score

SOUND = Score((-1.0, -2.0), 3, 0.5)
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
TABLE = "CREATE TABLE predictions (key BLOB PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID"

HOSTILE: dict[str, tuple[str, ...]] = {
    "a view without end": (
        f"CREATE VIEW predictions AS {FOREVER} SELECT CAST(i AS BLOB) AS key, 'x' AS result FROM n",
    ),
    "a trigger": (
        TABLE,
        "CREATE TABLE other (a)",
        "CREATE TRIGGER t AFTER INSERT ON predictions BEGIN "
        f"INSERT INTO other {FOREVER} SELECT i FROM n; END",
    ),
    "a column that computes": (
        "CREATE TABLE predictions (key BLOB PRIMARY KEY, result TEXT NOT NULL, "
        "x AS (hex(zeroblob(400000000))) VIRTUAL) WITHOUT ROWID",
    ),
    "a check": (
        "CREATE TABLE predictions (key BLOB PRIMARY KEY, result TEXT NOT NULL "
        "CHECK (length(randomblob(100000000)) > 0)) WITHOUT ROWID",
    ),
    "an index": (TABLE, "CREATE INDEX i ON predictions (length(result))"),
    "another table": (TABLE, "CREATE TABLE other (a)"),
    "a name of SQLite": (
        TABLE,
        "CREATE TRIGGER t AFTER INSERT ON predictions BEGIN SELECT 1; END",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET name = 'sqlite_t' WHERE type = 'trigger'",
    ),
}


def database(path: Path, *statements: str) -> Path:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in (*statements, "PRAGMA user_version = 1"):
        db.execute(statement)
    db.close()
    return path


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_store_that_computes_is_refused(kind: str, tmp_path: Path) -> None:
    path = database(tmp_path / "s.sqlite", *HOSTILE[kind])
    uses: list[Callable[[], Any]] = [
        lambda: Store(path),
        lambda: state_of(path, thorough=True),
        lambda: prune(path),
    ]
    for use in uses:
        with pytest.raises(StoreError, match=r"s\.sqlite"):
            use()


def test_a_store_with_statistics_of_sqlite_is_one(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.put({b"k": SOUND})
    db = sqlite3.connect(path)
    db.execute("ANALYZE")
    db.close()
    with Store(path) as store:
        assert store.get([b"k"]) == {b"k": SOUND}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 has no limits there")
def test_a_huge_row_is_not_read(tmp_path: Path) -> None:
    path = database(tmp_path / "s.sqlite", TABLE)
    db = sqlite3.connect(path)
    db.execute("INSERT INTO predictions VALUES (?, CAST(zeroblob(90000000) AS TEXT))", [b"k"])
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="too big"), Store(path) as store:
        store.get([b"k"])


def test_a_damaged_page_is_an_error_or_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.put({bytes([n]) * 32: SOUND for n in range(250)})
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            with Store(path) as store:
                store.get([bytes([n]) * 32 for n in range(250)])
        except StoreError:
            pass


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_store_is_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated answers may quote private inputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    before = os.umask(0o022)
    try:
        task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
        pk.compare(task, models=[pk.FakeModel()], shots=[0], limit=2)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".promptkit").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    for write in (
        lambda path: saving.write(path, "new"),
        lambda path: _streamed(path, b"new"),
    ):
        path = tmp_path / "private"
        path.write_text("old")
        path.chmod(0o600)
        write(path)
        assert path.read_text() == "new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _streamed(path: Path, data: bytes) -> None:
    with saving.streamed(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        file.write(data)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_unpacked_predictors_are_for_their_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unpacked has no name that another user could have taken before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 2)
    pk.load_predictor(pk.freeze(own, tmp_path / "a.promptkit"), model=pk.FakeModel())
    folders = [one for one in tmp_path.iterdir() if one.is_dir()]
    assert folders
    assert {stat.S_IMODE(one.stat().st_mode) for one in folders} == {0o700}


def test_a_link_in_the_place_of_a_file_is_followed_and_not_replaced(tmp_path: Path) -> None:
    """The user said where, and a link is where."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    saving.write(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
