"""Students answer, and are saved and loaded as they are."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import environment
from pupils import Text, grades, moods, pupil
from strategies import texts

import promptkit as pk
from promptkit.errors import DataError, TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.profile import Profile
from promptkit.students.arrays_file import packed, unpacked
from promptkit.students.student_file import load_student


def plain(predictions: list[pk.Prediction]) -> list[Any]:
    return [replace(one, seconds=0.0, model="") for one in predictions]


def test_a_student_answers_with_probabilities() -> None:
    student = pupil()
    assert isinstance(student, AnyPredictor)
    task = student.task
    made = student.predict(task.tests)
    assert [one.id for one in made] == [query.id for query in task.tests]
    assert sum(bool(one.correct) for one in made) > 0.9 * len(made)
    for one in made:
        assert one.probs is not None
        assert one.logprobs is not None
        assert sum(one.probs.values()) == pytest.approx(1)
        best, second, _ = sorted(one.logprobs.values(), reverse=True)
        assert one.margin == pytest.approx(best - second)
        assert one.label == max(one.probs, key=lambda label: one.probs[label])  # type: ignore[index]
        assert (one.coverage, one.near_tie, one.failure, one.tokens) == (1.0, False, None, 0)
    assert student.predict([]) == []


def test_a_student_answers_with_numbers_within_their_bounds() -> None:
    student = pupil(grades())
    long, short = [student.query({"text": text}) for text in ("dull " * 40, "")]
    first, second = student.predict([long, short])
    assert 0 <= second.label < first.label <= 5
    high = replace(student, bias=student.bias + np.float32(100))
    assert [one.label for one in high.predict([long])] == [5.0]
    whole = replace(student, task=pk.Task[Text, int](name="whole"))
    (made,) = whole.predict([whole.query({"text": "dull"})])
    assert type(made.label) is int


def test_a_student_is_compared() -> None:
    student = pupil()
    found = pk.compare(
        student.task,
        models=[pk.FakeModel()],
        shots=[0],
        predictors=[student],
        store=pk.Store(),
    )
    (row,) = [row for row in found.rows if row.model == "pupil" and row.seed is None]
    assert row.accuracy > 0.9
    assert row.log_loss is not None


def test_outputs_that_cannot_be_learnt_are_refused() -> None:
    student = pupil()
    for output, reason in ((str, "texts or records"), (dict[str, int], "texts or records")):
        with pytest.raises(TaskError, match=reason):
            replace(student, task=pk.Task[Text, output](name="other"))  # type: ignore[valid-type]
    with pytest.raises(ValueError, match="2 outputs"):
        replace(student, bias=student.bias[:1])
    with pytest.raises(TaskError, match="lists of labels"):
        replace(student, task=pk.load_task("examples/topics"))


@given(st.lists(texts, min_size=1, max_size=4), st.data())
def test_what_is_loaded_is_what_was_saved(asked: list[str], data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 99))
    student = pupil(data.draw(st.sampled_from([moods(), grades()])))
    noise = np.random.default_rng(seed).normal(size=student.weights.shape).astype(np.float32)
    student = replace(
        student,
        weights=student.weights + noise,
        card={"note": data.draw(texts), "figures": [1.5, None]},
        profile=Profile(parameters=3, bytes=4, seconds=1.5),
    )
    with tempfile.TemporaryDirectory() as folder:
        again = pk.load_predictor(student.save(Path(folder) / "kept"))
        assert again.name == "kept"
        assert again.sha256 == student.sha256
        assert (again.card, again.profile) == (student.card, student.profile)
        queries = [student.query({"text": text}) for text in asked]
        assert plain(again.predict(queries)) == plain(student.predict(queries))
        assert predictor_key(again) == predictor_key(student)


def test_what_decides_the_answers_is_in_the_digest(tmp_path: Path) -> None:
    student = pupil()
    other = replace(student, weights=student.weights + np.float32(1))
    renamed = replace(student, name="other")
    relabelled = pk.Task[Text, Literal["bad", "mixed", "good"]](name="moods")
    keys = [*map(predictor_key, (student, other, renamed, replace(student, task=relabelled)))]
    assert keys[0] == keys[2]
    assert len({*keys}) == 3


def test_nothing_is_pickled(tmp_path: Path) -> None:
    folder = pupil().save(tmp_path / "kept")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"student.json", "arrays.npz", "task/task.toml"}
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        assert {*arrays} == {"buckets", "rarity", "weights", "bias"}
    assert "thing1" not in (folder / "student.json").read_text()


def test_every_damage_is_one_clear_error(tmp_path: Path) -> None:
    folder = pupil().save(tmp_path / "kept")
    draw = random.Random(0)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for _ in range(60):
            raw = bytearray(whole)
            if draw.random() < 0.3:
                raw = raw[: draw.randrange(len(raw))]
            else:
                raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
            file.write_bytes(raw)
            with pytest.raises(DataError, match="kept"):
                load_student(folder)
        file.unlink()
        with pytest.raises(DataError, match="kept"):
            load_student(folder)
        file.write_bytes(whole)
    load_student(folder)


def rewritten(folder: Path, **changes: Any) -> None:
    """Write other values into a manifest, with a checksum that fits."""
    path = folder / "student.json"
    data = {**json.loads(path.read_text()), **changes}
    del data["checksum"]
    data["checksum"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "other"}, "no student, but 'other'"),
        ({"version": 2}, "update promptkit"),
        ({"kind": "deep"}, "update promptkit"),
        ({"settings": {"bits": 64}}, "hashes of another kind"),
        ({"profile": {"evil": 1}}, "cannot be read"),
        ({"card": 5}, "cannot be read"),
        ({"files": {"../evil": "0"}}, "names the file '../evil'"),
        ({"files": {"task/../../evil": "0"}}, "names the file"),
        ({"files": {}}, "names no arrays.npz"),
        ({"sha256": "0"}, "not those that were saved"),
    ],
)
def test_hostile_manifests_are_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = pupil().save(tmp_path / "kept")
    rewritten(folder, **changes)
    with pytest.raises(DataError, match=reason):
        load_student(folder)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str) -> bytes:
    raw = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw


def test_hostile_arrays_are_refused() -> None:
    good = {"a": np.arange(3, dtype=np.int32), "b": np.zeros((2, 0), np.float32)}
    again = unpacked(packed(good), 10_000)
    shown = {name: array.tolist() for name, array in again.items()}
    assert shown == {"a": [0, 1, 2], "b": [[], []]}
    huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    objects = io.BytesIO()
    np.save(objects, np.array([None], dtype=object), allow_pickle=True)
    for members, reason in (
        ({"a.npy": npy(huge)}, "0 bytes are not"),
        ({"a.npy": npy("{'descr': '<f4', 'shape': ()}\n")}, "eader"),
        ({"a.npy": npy("__import__('os')\n")}, "malformed|eader"),
        ({"a.npy": npy(huge.replace("1000000000000", "-4"))}, "type"),
        ({"a.npy": objects.getvalue()}, "type object"),
        ({"a.npy": b"evil"}, "magic"),
        ({"a.npy": b"0" * 20_000}, "MB when decompressed"),
    ):
        with pytest.raises(ValueError, match=reason):
            unpacked(zipped(members), 10_000)
    with pytest.raises(ValueError, match="not finite"):
        unpacked(packed({"a": np.array([np.nan], np.float32)}), 10_000)
    with pytest.raises(ValueError, match="damaged"):
        unpacked(b"no zip", 10_000)


def test_a_student_needs_no_runtime(tmp_path: Path) -> None:
    folder = pupil().save(tmp_path / "kept")
    source = f"""
import sys
sys.modules["llama_cpp"] = None
import promptkit as pk
from starlette.testclient import TestClient
student = pk.load_predictor({str(folder)!r})
light = [name for name in ("scipy", "sklearn", "rich", "typer") if name in sys.modules]
(made,) = student.predict([student.query({{"text": "thing1 dull thing2 thing3"}})])
with TestClient(pk.service(student)) as client:
    said = client.post("/predict", json={{"text": "thing1 warm thing2 thing3"}}).json()
print(light, made.label, said["label"], said["predictor"]["name"])
"""
    command = [sys.executable, "-W", "ignore", "-c", source]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), cwd=tmp_path
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["[]", "bad", "good", "kept"]
