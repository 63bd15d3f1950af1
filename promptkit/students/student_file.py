"""Students that are loaded from their folders, every part of which is checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from promptkit.errors import DataError, Problem, PromptkitError
from promptkit.files.paths import MOST_BYTES, MOST_TEXT, read_bytes
from promptkit.inference.profile import Profile
from promptkit.students.arrays_file import unpacked
from promptkit.students.features import Features
from promptkit.students.gguf_features import GgufFeatures
from promptkit.students.static_features import StaticFeatures
from promptkit.students.student import Student
from promptkit.students.student_folder import (
    ARRAYS,
    FORMAT,
    MANIFEST,
    TASK,
    TYPE,
    checksum,
    digest,
)
from promptkit.students.tfidf_features import TfIdfFeatures
from promptkit.tasks.loading import load_task
from promptkit.translation import mark, tr

_HEAD = ("weights", "bias")
_AGAIN = mark("save the student again, or restore the folder")

Read = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]]], Features]
KINDS: Mapping[str, Read] = {
    "tfidf": TfIdfFeatures.from_arrays,
    "static": StaticFeatures.from_arrays,
    "gguf": GgufFeatures.from_arrays,
}
"""Reads features of each kind out of settings and arrays. Raises ValueError and KeyError."""


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
    for name, known in data["files"].items():
        if digest(files[name]) != known:
            raise _bad(
                folder / name, tr("it was changed after it was written; {AGAIN}", AGAIN=tr(_AGAIN))
            )
    try:
        arrays = unpacked(files[ARRAYS], MOST_BYTES)
        weights, bias = [arrays.pop(name) for name in _HEAD]
        if {weights.dtype.name, bias.dtype.name} != {"float32"}:
            raise ValueError(tr("weights of the type {dtype}", dtype=weights.dtype))
        features = KINDS[data["kind"]](data["settings"], arrays)
        task = load_task(folder / TASK)
        profile, card = Profile.from_dict(data["profile"]), dict(data["card"])
        student = Student(task, features, weights, bias, folder.resolve().name, card, profile)
        if student.sha256 != data["sha256"]:
            raise ValueError(tr("its numbers are not those that were saved"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, PromptkitError) as error:
        raise _bad(
            folder, tr("it cannot be read ({error}); {AGAIN}", error=error, AGAIN=tr(_AGAIN))
        ) from None
    return student


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the checked manifest of a student. Raises `DataError`."""
    path = folder / MANIFEST
    try:
        data = json.loads(read_bytes(path, MOST_TEXT))
        kind, version = data["type"], data["version"]
    except OSError as error:
        raise _bad(path, tr("no student: {strerror}", strerror=error.strerror or error)) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(
            path,
            tr("no student, or a damaged one ({error}); {AGAIN}", error=error, AGAIN=tr(_AGAIN)),
        ) from None
    if kind != TYPE:
        raise _bad(path, tr("no student, but {kind!r}", kind=str(kind)[:60]))
    if version != FORMAT or str(data.get("kind")) not in KINDS:
        what = tr(
            "version {version!r} of the kind {kind!r}",
            version=version,
            kind=str(data.get("kind"))[:60],
        )
        raise _bad(
            path,
            tr(
                "{what}, and this promptkit reads {FORMAT}; update promptkit",
                what=what,
                FORMAT=FORMAT,
            ),
        )
    if data.get("checksum") != checksum(data):
        raise _bad(path, tr("it was changed after it was written; {AGAIN}", AGAIN=tr(_AGAIN)))
    return dict(data)


def _checked_names(folder: Path, data: Mapping[str, Any]) -> list[str]:
    """Return the files of the task that a manifest names. Raises `DataError` for other places."""
    if not isinstance(data.get("files"), dict):
        raise _bad(folder / MANIFEST, tr("it names no files; {AGAIN}", AGAIN=tr(_AGAIN)))
    names = [name for name in data["files"] if name != ARRAYS]
    for name in names:
        beginning, _, rest = name.partition("/")
        if beginning != TASK or not rest or "/" in rest or "\\" in rest or ".." in rest:
            raise _bad(folder / MANIFEST, tr("it names the file {name!r}", name=name[:60]))
    if ARRAYS not in data["files"] or f"{TASK}/task.toml" not in names:
        raise _bad(
            folder / MANIFEST,
            tr("it names no {ARRAYS}, or no task; {AGAIN}", ARRAYS=ARRAYS, AGAIN=tr(_AGAIN)),
        )
    return names


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        return read_bytes(path, MOST_BYTES if name == ARRAYS else MOST_TEXT)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from None


def _bad(path: Path, reason: str) -> DataError:
    return DataError([Problem(reason, file=str(path))])
