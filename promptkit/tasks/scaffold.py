"""`promptkit new`: a task that runs as it is, with comments where people edit."""

from __future__ import annotations

from pathlib import Path

from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.translation import tr

_SCHEMA = Path(__file__).with_name("task.schema.json")
"""The output of `promptkit.tasks.task_file.json_schema`, for editors."""
_FOLDER = Path(__file__).with_name("new_task")
_FILES = ("task.toml", "templates/prompt.j2", "demos.csv", "tests.csv")


def write_task(folder: Path) -> list[Path]:
    """Write a small task into a new or empty folder, and return its files.

    Raises `TaskError` where there is something already.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise TaskError(tr("{folder} is there already; name a new folder", folder=folder))
        (folder / "templates").mkdir(parents=True)
        files = {folder / name: (_FOLDER / name).read_bytes() for name in _FILES}
        files[folder / _SCHEMA.name] = _SCHEMA.read_bytes()
        saving.write_all(files)
    except OSError as error:
        raise TaskError(f"{error.filename or folder}: {error.strerror or error}") from None
    return list(files)
