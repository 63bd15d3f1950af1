"""Files that are no lookup tables, or no longer."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptkit import Lookup, build_lookup
from promptkit.errors import LookupFileError

pytest.importorskip("lmdb")

ROWS = [{"input": {"word": str(n)}, "label": n % 7} for n in range(3000)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("lookup") / "words.lookup"
    build_lookup(ROWS, file)
    return file.read_bytes()


def cut(file: Path, data: bytes) -> None:
    file.write_bytes(data[: len(data) // 2])


def without_trailer(file: Path, data: bytes) -> None:
    file.write_bytes(data[:-64])


def longer(file: Path, data: bytes) -> None:
    file.write_bytes(data[:4096] + data)


def empty(file: Path, data: bytes) -> None:
    file.touch()


def text(file: Path, data: bytes) -> None:
    file.write_text("word,label\n" * 100)


def other_database(file: Path, data: bytes) -> None:
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE a (b)")
    database.commit()
    database.close()


def folder(file: Path, data: bytes) -> None:
    file.mkdir()


def pipe(file: Path, data: bytes) -> None:
    os.mkfifo(file)


def later(file: Path, data: bytes) -> None:
    file.write_bytes(data[:-20] + (2).to_bytes(4, "big") + data[-16:])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "not whole"),
        (without_trailer, "not whole"),
        (longer, "not whole"),
        (empty, "not a lookup table"),
        (text, "not a lookup table"),
        (other_database, "not a lookup table"),
        (folder, "a folder, a pipe or a device"),
        (pipe, "a folder, a pipe or a device"),
        (later, "of format 2; this promptkit reads 1"),
        (lambda file, data: None, "No such file"),
    ],
)
def test_other_files_are_refused(
    spoil: Callable[[Path, bytes], None], reason: str, whole: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "spoilt.lookup"
    spoil(file, whole)
    with pytest.raises(LookupFileError, match=reason) as caught:
        Lookup(file)
    assert str(caught.value).startswith(f"{file}: ")
    if file.exists():
        with pytest.raises(LookupFileError, match=reason):
            build_lookup(ROWS, file)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_seen_wherever_it_is(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(st.binary(min_size=1, max_size=5000))
    spoilt = whole[:place] + damaged + whole[place + len(damaged) :]
    with TemporaryDirectory() as name:
        file = Path(name) / "spoilt.lookup"
        file.write_bytes(spoilt)
        if spoilt[:-64] == whole[:-64] and spoilt[-20:] == whole[-20:]:
            return  # nothing has changed, or the digest that no reader compares
        with pytest.raises(LookupFileError):
            Lookup(file)


def test_a_copy_is_the_same_table(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.lookup").write_bytes(whole)
    shutil.copy(tmp_path / "a.lookup", tmp_path / "b.lookup")
    (tmp_path / "b.lookup").chmod(0o444)
    one, other, again = [Lookup(tmp_path / f"{name}.lookup") for name in "abb"]
    assert one.sha256 == other.sha256 == again.sha256
    assert [one.find(str(n)).label for n in range(99)] == [n % 7 for n in range(99)]
    assert again.find("8").label == other.find("8").label == 1


def test_a_read_only_folder_is_read(whole: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.lookup").write_bytes(whole)
    folder.chmod(0o555)
    try:
        assert Lookup(folder / "a.lookup").find("8").label == 1
    finally:
        folder.chmod(0o755)
