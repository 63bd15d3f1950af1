"""Folders of students: their files, with a manifest that has the digest of each.

`student.json` names everything else with its digest, so that a changed or damaged file is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptkit.files import saving
from promptkit.students.arrays_file import Arrays, packed
from promptkit.tasks.measures import Scoring
from promptkit.tasks.task import Task
from promptkit.tasks.writing import save_task

FORMAT = 1
"""Version of what a student computes, and of its folder."""

MANIFEST = "student.json"
"""File that makes a folder a student."""

TYPE = "promptkit student"
ARRAYS, TASK, CARD = "arrays.npz", "task", "card.md"


def is_student(path: str | Path) -> bool:
    """Return whether a path is the folder of a student."""
    return (Path(path) / MANIFEST).is_file()


def write_student(
    folder: str | Path,
    task: Task[Any, Any],
    arrays: Arrays,
    about: Mapping[str, Any],
    card: str = "",
) -> Path:
    """Write the folder of a student.

    Args:
        folder: The folder; it is made where it does not exist.
        task: Task of the student; its examples, templates and own scorer are left out.
        arrays: Arrays of the student.
        about: Everything else of its manifest, as JSON holds it.
        card: Its card as Markdown, for people; empty for none.

    Raises:
        TaskError: The task is one that only Python can hold.
        OSError: A file cannot be written; what was there before is unchanged.
    """
    folder = Path(folder)
    files = {ARRAYS: packed(arrays), **_task_files(task)}
    data: dict[str, Any] = {
        "type": TYPE,
        "version": FORMAT,
        "task": {"name": task.name, "labels": [*task.labels]},
        **about,
        "files": {name: digest(content) for name, content in files.items()},
    }
    data["checksum"] = checksum(data)
    written = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    every: dict[str, str | bytes] = {**files, MANIFEST: written}
    if card:
        every[CARD] = card
    saving.write_all({folder / name: content for name, content in every.items()})
    return folder


def _task_files(task: Task[Any, Any]) -> dict[str, bytes]:
    """Return the files of a task without examples, templates and its own scorer."""
    plain = type(task)(
        name=task.name,
        instruction=task.instruction,
        scoring=task.scoring if task.scoring.scorer is None else Scoring(),
        card=task.card,
    )
    with TemporaryDirectory(prefix="promptkit-") as folder:
        save_task(plain, folder)
        files = [file for file in Path(folder).iterdir() if file.is_file()]
        return {f"{TASK}/{file.name}": file.read_bytes() for file in sorted(files)}


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(content).hexdigest()


def checksum(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its checksum."""
    parts = {key: value for key, value in data.items() if key != "checksum"}
    return digest(json.dumps(parts, sort_keys=True).encode())
