"""Files of predictors that were made to harm: bombs, places outside, names twice, odd manifests."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pupils import pupil

import promptkit as pk
from promptkit.errors import DataError, ModelError, PromptkitError
from promptkit.files.zip_parts import MOST_PARTS, parts_of
from promptkit.students.arrays_file import unpacked
from promptkit.students.student_folder import checksum

MIB = 2**20


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def lying(content: bytes, said: int) -> bytes:
    """A zip whose only part says that it is smaller than it is."""
    raw = bytearray(zipped(("a", content)))
    (start,) = struct.unpack_from("<I", raw, len(raw) - 22 + 16)
    struct.pack_into("<I", raw, start + 24, said)
    struct.pack_into("<I", raw, 22, said)
    return bytes(raw)


def test_a_part_is_decompressed_as_far_as_it_says() -> None:
    """A gigabyte takes a megabyte of zip, which says that it is a hundred bytes."""
    bomb = lying(b"\0" * (256 * MIB), 100)
    assert len(bomb) < MIB
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"CRC|as large as it says"):
        parts_of(bomb, 1000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * MIB


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (zipped(("a", b"0" * 2000)), "when decompressed"),
        (zipped(("a", b"0"), ("b", b"0" * 1000)), "when decompressed"),
        (zipped(*((f"{n}", b"") for n in range(MOST_PARTS + 1))), "more than 10,000 parts"),
        (b"PK\x01\x02" * (2 * MOST_PARTS + 1), "more than 10,000 parts"),
        (zipped(("../a", b"")), "a file named"),
        (zipped(("a/../../b", b"")), "a file named"),
        (zipped(("/etc/passwd", b"")), "a file named"),
        (zipped(("a\\..\\b", b"")), "a file named"),
        (zipped(("C:/a", b"")), "a file named"),
        (zipped(("a/./b", b"")), "a file named"),
        (zipped(("a//b", b"")), "a file named"),
        (zipped((".", b"")), "a file named"),
        (zipped(("a", b""), ("a/b", b"")), "a file and a folder"),
        (zipped(("a", b"0"), method=zipfile.ZIP_BZIP2), "another way"),
        (zipped(("a", b"0"), method=zipfile.ZIP_LZMA), "another way"),
        (b"", "damaged"),
        (b"PK\x05\x06" + b"\0" * 18, None),
    ],
)
def test_bounds_of_a_zip(raw: bytes, reason: str | None) -> None:
    if reason is None:
        assert parts_of(raw, 1000) == {}
        return
    with pytest.raises(ValueError, match=reason):
        parts_of(raw, 1000)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two files named 'a'"):
        parts_of(zipped(("a", b"one"), ("a", b"two")), 1000)


def test_a_link_in_a_zip_is_a_file(tmp_path: Path) -> None:
    from promptkit.files.sealed_zip import SealedZip

    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    SealedZip(tmp_path / "a", {}, parts_of(buffer.getvalue(), 1000)).unpack(tmp_path)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "/etc/passwd"


@given(st.data())
def test_whatever_a_zip_holds_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(zipped(("a.json", b'{"a": 1}' * 20), ("b/c.txt", b"text")))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(len(raw) // 2, len(raw))) :]
    try:
        parts = parts_of(bytes(raw), 10_000)
    except ValueError:
        return
    assert all(isinstance(content, bytes) for content in parts.values())


# Manifests: their checksum proves that they are whole, and nothing of their author.


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a frozen predictor."""
    task = pk.load_task("examples/fruit")
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 2)
    file = pk.freeze(own, tmp_path_factory.mktemp("frozen") / "a.promptkit")
    return parts_of(file.read_bytes(), 10 * MIB)


def resealed(
    parts: dict[str, bytes], file: Path, manifest: str, change: Callable[[Any], Any]
) -> Path:
    """Write a file whose manifest is changed, with the right digests and checksum."""
    data = json.loads(parts[manifest])
    rest = {name: content for name, content in parts.items() if name != manifest}
    data["files"] = {name: hashlib.sha256(one).hexdigest() for name, one in rest.items()}
    data = change(data)
    if isinstance(data, dict):
        data.pop("checksum", None)
        plain = json.dumps(data, sort_keys=True).encode()
        data["checksum"] = hashlib.sha256(plain).hexdigest()
    file.write_bytes(zipped((manifest, json.dumps(data).encode()), *rest.items()))
    return file


ODD: list[Any] = [None, True, -1, 0, 2**40, 1e300, "", "x", "../../x", [], [1], {}, {"a": 1}]


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all values in one of JSON."""
    if not isinstance(value, dict | list):
        return [place]
    items: Any = value.items() if isinstance(value, dict) else enumerate(value[:3])
    inner = [one for key, item in items for one in places(item, (*place, key))]
    return [place, *inner] if place else inner


def put(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    target = data
    for key in place[:-1]:
        target = target[key]
    if value is ...:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    return data


@settings(max_examples=150)
@given(data=st.data())
def test_any_manifest_of_a_frozen_predictor_is_read_or_refused(
    frozen: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    known = json.loads(frozen["frozen.json"])
    place = data.draw(st.sampled_from([one for one in places(known) if one[0] != "checksum"]))
    value = data.draw(st.sampled_from([*ODD, ...]))
    file = tmp_path_factory.mktemp("changed") / "a.promptkit"
    resealed(frozen, file, "frozen.json", lambda found: put(found, place, value))
    with suppress(PromptkitError):
        made = pk.load_predictor(file, model=pk.FakeModel(), any_model=True)
        made.predict([made.query({"name": "lemon"})])


@pytest.mark.parametrize("files", [5, "a", ["a"], [["a", "b"]], {"a": []}, None])
def test_a_manifest_without_a_list_of_files(files: Any, tmp_path: Path) -> None:
    data = {"format": 1, "files": files}
    data["checksum"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    file = tmp_path / "a.promptkit"
    file.write_bytes(zipped(("frozen.json", json.dumps(data).encode())))
    with pytest.raises(DataError):
        pk.load_predictor(file, model=pk.FakeModel())


def test_a_million_folders_are_not_made(frozen: dict[str, bytes], tmp_path: Path) -> None:
    file = resealed(
        frozen,
        tmp_path / "a.promptkit",
        "frozen.json",
        lambda data: put(data, ("template", "folders"), 10**6),
    )
    with pytest.raises(DataError, match=r"template\.folders"):
        pk.load_predictor(file, model=pk.FakeModel())


def test_a_file_names_no_server_by_itself(
    frozen: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs would be sent there, and the key of another server."""
    monkeypatch.setenv("PROMPTKIT_API_KEY", "sk-secret")
    monkeypatch.delenv("PROMPTKIT_SERVERS", raising=False)
    asked: list[Any] = []

    def connect(*where: Any, **_: Any) -> Any:
        asked.append(where)
        raise OSError("no network here")

    monkeypatch.setattr("socket.getaddrinfo", connect)
    origin = {"name": "https://evil.example#m", "weights": "as-is", "exact": False, "adapters": []}
    file = resealed(
        frozen,
        tmp_path / "a.promptkit",
        "frozen.json",
        lambda data: put(data, ("model", "origin"), origin),
    )
    with pytest.raises(ModelError, match=r"the file names the server 'evil\.example'") as caught:
        pk.load_predictor(file)
    assert "PROMPTKIT_SERVERS" in str(caught.value)
    assert asked == []
    monkeypatch.setenv("PROMPTKIT_SERVERS", "a.example, EVIL.example")
    monkeypatch.setattr("promptkit.models.remote.client.Patience.wait", lambda *_: 0.0)
    with pytest.raises(ModelError, match="nobody answers there"):
        pk.load_predictor(file)
    assert asked


def test_a_step_of_a_cascade_is_in_its_file(tmp_path: Path) -> None:
    from promptkit.cascades.cascade import Cascade
    from promptkit.cascades.cascade_step import CascadeStep

    student = pupil()
    own = Cascade([CascadeStep(student, None)], student.task)
    parts = parts_of(own.save(tmp_path / "a.cascade").read_bytes(), 10 * MIB)
    outside = pupil().save(tmp_path / "outside")
    for name in ("../outside", str(outside), "steps/0/../../../outside", 5, None):
        file = resealed(
            parts,
            tmp_path / "b.cascade",
            "cascade.json",
            lambda data, name=name: put(data, ("steps", 0, "file"), name),
        )
        with pytest.raises(DataError):
            pk.load_predictor(file).predict([])


@settings(max_examples=100)
@given(data=st.data())
def test_any_manifest_of_a_student_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = pupil().save(tmp_path_factory.mktemp("student") / "a")
    file = folder / "student.json"
    known = json.loads(file.read_text("utf-8"))
    place = data.draw(st.sampled_from([one for one in places(known) if one[0] != "checksum"]))
    changed = put(known, place, data.draw(st.sampled_from([*ODD, ...])))
    changed["checksum"] = checksum(changed)
    file.write_text(json.dumps(changed), "utf-8")
    with suppress(PromptkitError):
        made = pk.load_predictor(folder)
        made.predict([made.task.as_query({"text": "dull"})])


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """Pickles run code; neither objects in arrays nor a pickle by itself are read."""

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    import pickle

    arrays = io.BytesIO()
    np.savez(arrays, a=np.array([Evil()], dtype=object))
    for raw in (arrays.getvalue(), zipped(("a.npy", pickle.dumps(Evil()))), pickle.dumps(Evil())):
        with pytest.raises(ValueError, match=r"type|magic|damaged"):
            unpacked(raw, MIB)
    assert not (tmp_path / "ran").exists()


def test_compressed_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptkit.files import paths

    file = tmp_path / "a.csv.gz"
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    file.write_bytes(squeezed.compress(b"0" * (64 * MIB)) + squeezed.flush())
    tracemalloc.start()
    with pytest.raises(OSError, match="which is the most that is read"):
        paths.read_compressed(file, MIB)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * MIB


# Lookup tables: their trailer is as easily written as their pages.


@settings(max_examples=150)
@given(data=st.data())
def test_any_content_of_a_lookup_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The pages are sound, as LMDB writes them; what stands in them is anything."""
    from promptkit.lookup.lookup_file import PageWriter
    from promptkit.lookup.lookup_table import read_table

    folder = tmp_path_factory.mktemp("table")
    whole = folder / "whole.lookup"
    probs = {"probs": {"a": 0.75, "b": 0.25}, "margin": 0.5, "coverage": 1.0}
    rows = [{"input": {"name": "a"}, "label": "a"}, {"input": {"name": "b"}, "label": "b", **probs}]
    pk.build_lookup(rows, whole)
    pages = read_table(whole).pages
    about = pages.about()
    entries = [*pages.items()]
    place = data.draw(st.sampled_from(places(about)))
    if data.draw(st.booleans()):
        put(about, place, data.draw(st.sampled_from([*ODD, ...])))
    else:
        odd = data.draw(st.binary(max_size=80))
        entries = [(key, data.draw(st.sampled_from([odd, odd + value]))) for key, value in entries]
    writer = PageWriter(folder / "pages")
    for key, value in entries:
        writer.put(key, value)
    made = folder / "made.lookup"
    with made.open("wb") as out:
        writer.finish(about, out)
    with suppress(PromptkitError):
        table = pk.Lookup(made)
        table.find_all(["a", "b", "c"])
        str(table.versions)
