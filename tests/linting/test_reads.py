"""Each data file is opened and parsed once when a task is loaded or linted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from promptkit import lint, load_task
from promptkit.errors import DataError
from promptkit.tasks import tables
from promptkit.tasks.scaffold import write_task

OPENED: list[str] | None = None
"""Names of the files opened while a test counts; an audit hook cannot be removed."""


def note(event: str, args: tuple[Any, ...]) -> None:
    if OPENED is not None and event == "open":
        OPENED.append(Path(str(args[0])).name)


sys.addaudithook(note)


@contextmanager
def counting() -> Iterator[list[str]]:
    global OPENED
    OPENED = []
    try:
        yield OPENED
    finally:
        OPENED = None


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the CSV files that are parsed."""
    names = []
    original = tables.csv_rows

    def csv_rows(path: Path, *args: Any) -> Any:
        names.append(path.name)
        return original(path, *args)

    monkeypatch.setattr(tables, "csv_rows", csv_rows)
    return names


FAULTS = {
    "none": "",
    "a bad row": "wolf,mamal\n",
    "rows that repeat, contradict and leak": "dog,mammal\ndog,fish\nowl,bird\n",
    "texts whose columns are looked up": "wo\u200blf ,mammal\nw\u043elf,mammal\n",
    "a row of too many cells": "wolf,mammal,big\n",
}


@pytest.mark.parametrize("rows", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("repeats", ["error", "drop"])
def test_a_data_file_is_opened_and_parsed_once(
    tmp_path: Path, parsed: list[str], rows: str, repeats: str
) -> None:
    write_task(tmp_path / "task")
    demos, toml = tmp_path / "task" / "demos.csv", tmp_path / "task" / "task.toml"
    demos.write_text(demos.read_text("utf-8") + rows, "utf-8")
    toml.write_text(toml.read_text("utf-8") + f'repeats = "{repeats}"\n', "utf-8")
    calls: list[Callable[[Path], object]] = [lint, load_task]
    for call in calls:
        parsed.clear()
        with counting() as opened:
            try:
                call(tmp_path / "task")
            except DataError:
                assert call is load_task
        for name in ("demos.csv", "tests.csv"):
            assert opened.count(name) == 1
            assert parsed.count(name) == 1
