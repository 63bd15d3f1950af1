"""Columns that are no identifiers: named in task.toml, and in messages as the file has them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from promptkit import Template, lint, load_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks.writing import save_task

TASK = """name = "t"
[input]
review = {{ type = "str", column = "Review Text" }}
kind = {{ type = ["book", "film"], column = "class" }}
stars = {{ type = "int", column = "id.stars" }}
lang = "str"
[output]
labels = ["pos", "neg"]
column = "label-coarse"
[files]
demos = "demos.{0}"
"""
ROWS = [
    {"Review Text": "Fine, really", "class": "book", "id.stars": 4, "lang": "en"},
    {"Review Text": "Dull", "class": "film", "id.stars": 1, "lang": "en"},
]


def write(folder: Path, suffix: str, *, drop: str = "", **changed: object) -> Path:
    """A task whose second row is changed."""
    (folder / "task.toml").write_text(TASK.format(suffix), "utf-8")
    rows = [{**row, "label-coarse": "pos", "year": "1999"} for row in ROWS]
    rows[1] |= {name.replace("_", " "): value for name, value in changed.items()}  # type: ignore[assignment]
    rows[1].pop(drop, None)
    file = folder / f"demos.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif suffix == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        lines = [rows[0], *(row.values() for row in rows)]
        text = "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines)
        file.write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_field_names_its_column(tmp_path: Path, suffix: str) -> None:
    task = load_task(write(tmp_path, suffix))
    assert [demo.input.model_dump() for demo in task.demos] == [
        {"review": "Fine, really", "kind": "book", "stars": 4, "lang": "en"},
        {"review": "Dull", "kind": "film", "stars": 1, "lang": "en"},
    ]
    assert task.demos[0].metadata == {"year": "1999"}
    assert not [found for found in lint(tmp_path) if found.rule == "bad-row"]
    query = {"review": "So so", "kind": "film", "stars": 3, "lang": "de"}
    assert "So so" in Template.load("colon.j2").render(task, query=query, shots=1).text
    save_task(task, tmp_path / "again")
    again = load_task(tmp_path / "again")
    assert again.fingerprint == task.fingerprint


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_messages_name_the_column_of_the_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError) as caught:
        load_task(write(tmp_path, suffix, **{"class": "play"}))
    (problem,) = caught.value.problems
    assert (problem.field, problem.value) == ("class", "play")


def test_a_missing_column_is_named_with_what_it_may_be(tmp_path: Path) -> None:
    folder = write(tmp_path, "jsonl", drop="label-coarse", **{"Label-coarse": "pos"})
    with pytest.raises(DataError) as caught:
        load_task(folder)
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (2, "label-coarse")
    assert problem.reason == "missing; did you mean 'Label-coarse'?"
    folder = write(tmp_path, "csv")
    file = folder / "demos.csv"
    file.write_text(file.read_text("utf-8").replace("Review Text", "review text"), "utf-8")
    with pytest.raises(DataError, match="'Review Text': column not found; did you mean 're"):
        load_task(folder)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"class"', '"Review Text"', "input: the column 'Review Text' belongs to two fields"),
        ('"class"', '"id"', "input: the column 'id' is the row's own"),
        ('"class"', '"label-coarse"', "output.column: 'label-coarse' is not the output's own"),
        ('"class" }', '"class", x = 1 }', "input.kind: a type is str, int, float, bool, list[str]"),
        ('type = "int", ', "", "input.stars: a type is str, int, float, bool, list[str]"),
        ("stars =", '"x y" = "str"\nstars =', 'FIELD = { type = "str", column = "x y" }'),
    ],
)
def test_wrong_columns_are_errors_of_the_task(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder = write(tmp_path, "csv")
    text = (folder / "task.toml").read_text("utf-8")
    (folder / "task.toml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(TaskError) as caught:
        load_task(folder)
    assert reason in str(caught.value)
