"""Students as folders: JSON, arrays without pickle, and the task without its examples.

`student.json` names everything else with its digest, so that a changed or damaged file is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from promptkit.errors import DataError, Problem, PromptkitError
from promptkit.files import saving
from promptkit.files.paths import MOST_BYTES, MOST_TEXT, read_bytes
from promptkit.inference.profile import Profile
from promptkit.students.arrays_file import packed, unpacked
from promptkit.students.features import Features
from promptkit.students.student import FORMAT, Student
from promptkit.students.tfidf_features import TfIdfFeatures
from promptkit.tasks.loading import load_task
from promptkit.tasks.measures import Scoring
from promptkit.tasks.task import Task
from promptkit.tasks.writing import save_task

MANIFEST = "student.json"
"""File that makes a folder a student."""

TYPE = "promptkit student"
ARRAYS, TASK = "arrays.npz", "task"
_HEAD = ("weights", "bias")
_AGAIN = "save the student again, or restore the folder"

Read = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]]], Features]
KINDS: Mapping[str, Read] = {"tfidf": TfIdfFeatures.from_arrays}
"""Reads features of each kind out of settings and arrays. Raises ValueError and KeyError."""


def is_student(path: str | Path) -> bool:
    """Return whether a path is the folder of a student."""
    return (Path(path) / MANIFEST).is_file()


def save_student(student: Student, folder: str | Path) -> Path:
    """Write a student to a folder; see `Student.save`."""
    folder = Path(folder)
    files = {ARRAYS: packed(student.arrays), **_task_files(student.task)}
    data: dict[str, Any] = {
        "type": TYPE,
        "version": FORMAT,
        "kind": student.features.kind,
        "task": {"name": student.task.name, "labels": [*student.task.labels]},
        "settings": dict(student.features.settings),
        "sha256": student.sha256,
        "profile": asdict(student.profile),
        "card": dict(student.card),
        "files": {name: _digest(content) for name, content in files.items()},
    }
    data["checksum"] = _checksum(data)
    written = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    every: dict[str, str | bytes] = {**files, MANIFEST: written}
    saving.write_all({folder / name: content for name, content in every.items()})
    return folder


def load_student(folder: str | Path) -> Student:
    """Return the student of a folder.

    Args:
        folder: The folder.

    Raises:
        DataError: It is no student, damaged, changed, or of a later version.
    """
    folder = Path(folder)
    data = _manifest(folder)
    files = {name: _content(folder, name) for name in (ARRAYS, *_checked_names(folder, data))}
    for name, digest in data["files"].items():
        if _digest(files[name]) != digest:
            raise _bad(folder / name, f"it was changed after it was written; {_AGAIN}")
    try:
        arrays = unpacked(files[ARRAYS], MOST_BYTES)
        weights, bias = [arrays.pop(name) for name in _HEAD]
        if {weights.dtype.name, bias.dtype.name} != {"float32"}:
            raise ValueError(f"weights of the type {weights.dtype}")
        features = KINDS[data["kind"]](data["settings"], arrays)
        task = load_task(folder / TASK)
        profile, card = Profile(**data["profile"]), dict(data["card"])
        student = Student(task, features, weights, bias, folder.resolve().name, card, profile)
        if student.sha256 != data["sha256"]:
            raise ValueError("its numbers are not those that were saved")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, PromptkitError) as error:
        raise _bad(folder, f"it cannot be read ({error}); {_AGAIN}") from None
    return student


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the checked manifest of a student. Raises `DataError`."""
    path = folder / MANIFEST
    try:
        data = json.loads(read_bytes(path, MOST_TEXT))
        kind, version = data["type"], data["version"]
    except OSError as error:
        raise _bad(path, f"no student: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(path, f"no student, or a damaged one ({error}); {_AGAIN}") from None
    if kind != TYPE:
        raise _bad(path, f"no student, but {str(kind)[:60]!r}")
    if version != FORMAT or data.get("kind") not in KINDS:
        what = f"version {version!r} of the kind {str(data.get('kind'))[:60]!r}"
        raise _bad(path, f"{what}, and this promptkit reads {FORMAT}; update promptkit")
    if data.get("checksum") != _checksum(data):
        raise _bad(path, f"it was changed after it was written; {_AGAIN}")
    return dict(data)


def _checked_names(folder: Path, data: Mapping[str, Any]) -> list[str]:
    """Return the files of the task that a manifest names. Raises `DataError` for other places."""
    names = [name for name in data["files"] if name != ARRAYS]
    for name in names:
        beginning, _, rest = name.partition("/")
        if beginning != TASK or not rest or "/" in rest or "\\" in rest or ".." in rest:
            raise _bad(folder / MANIFEST, f"it names the file {name[:60]!r}")
    if ARRAYS not in data["files"] or f"{TASK}/task.toml" not in names:
        raise _bad(folder / MANIFEST, f"it names no {ARRAYS}, or no task; {_AGAIN}")
    return names


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        return read_bytes(path, MOST_BYTES if name == ARRAYS else MOST_TEXT)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from None


def _task_files(task: Task[Any, Any]) -> dict[str, bytes]:
    """Return the files of a task without examples, templates and its own scorer."""
    plain = type(task)(
        name=task.name,
        instruction=task.instruction,
        scoring=task.scoring if task.scoring.scorer is None else Scoring(),
    )
    with TemporaryDirectory(prefix="promptkit-") as folder:
        save_task(plain, folder)
        files = [file for file in Path(folder).iterdir() if file.is_file()]
        return {f"{TASK}/{file.name}": file.read_bytes() for file in sorted(files)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _checksum(data: Mapping[str, Any]) -> str:
    parts = {key: value for key, value in data.items() if key != "checksum"}
    return _digest(json.dumps(parts, sort_keys=True).encode())


def _bad(path: Path, reason: str) -> DataError:
    return DataError([Problem(reason, file=str(path))])
