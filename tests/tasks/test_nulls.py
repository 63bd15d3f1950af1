"""None is an answer where the type allows it, and an empty cell where a number is optional."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pytest
from pyarrow import parquet
from pydantic import BaseModel

from promptkit import Example, Store, Task, Template, compare, load_task, save_task
from promptkit.errors import DataError
from promptkit.models.fake import FakeModel
from promptkit.tasks.file_types import schema_type
from promptkit.tasks.reading import read_examples
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.validation import ExampleParser


class In(BaseModel):
    text: str


class Color(Enum):
    RED = "red"


class Open(BaseModel):
    text: str
    title: str | None
    size: int | None = None
    weight: float | None = None
    right: bool | None = None


NULLABLE: list[tuple[Any, Any, str]] = [
    (int | None, 3, "null"),
    (str | None, "a", "null"),
    (Literal["a"] | None, "a", "null"),
    (Literal["a", None], "a", "null"),
    (Color | None, Color.RED, "null"),
    (Any, {"a": 1}, "null"),
    (schema_type({"type": ["string", "null"]}), "a", "null"),
]


@pytest.mark.parametrize(("annotation", "other", "text"), NULLABLE)
def test_none_is_an_answer_where_the_type_allows_it(annotation: Any, other: Any, text: str) -> None:
    task = Task[In, annotation](  # type: ignore[valid-type]
        name="t",
        demos=[Example(input=In(text="x"), output=None), Example(input=In(text="y"), output=other)],
        tests=[Example(input=In(text="z"), output=None)],
    )
    first, second = task.demos
    assert first.labelled
    assert first.output is None
    assert task.answer_of(first) == text != task.answer_of(second)
    prompt = Template.load("colon.j2").render(task, shots=[first], query=task.tests[0])
    assert prompt.text.endswith(f"x: {text}\nz:")
    (row,) = compare(task, models=[FakeModel()], shots=[0], seeds=1, store=Store()).to_records()
    assert row["correct"] is not None


@pytest.mark.parametrize("annotation", [int, Literal["a"], str, bool, list[int], Color])
def test_none_is_no_answer_elsewhere(annotation: Any) -> None:
    with pytest.raises(DataError, match="field 'output': missing"):
        Task[In, annotation](name="t", demos=[Example(input=In(text="x"), output=None)])  # type: ignore[valid-type]
    task = Task[In, annotation](name="t")  # type: ignore[valid-type]
    assert not task.as_query(Example(input=In(text="x"), output=None)).labelled
    assert not task.as_query({"text": "x"}).labelled


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("annotation", [int | None, Literal["a", None]])
def test_none_is_saved_and_loaded(tmp_path: Path, annotation: Any, format: Any) -> None:
    other = 3 if annotation == int | None else "a"
    demos = [Example(input=In(text=t), output=o) for t, o in (("x", None), ("y", other))]
    task = Task[In, annotation](name="t", demos=demos)  # type: ignore[valid-type]
    save_task(task, tmp_path, format)
    loaded = load_task(tmp_path)
    assert [*map(loaded.answer_of, loaded.demos)] == [*map(task.answer_of, task.demos)]
    assert loaded.demos[0].labelled


def test_an_empty_cell_of_an_optional_number_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,title,size,weight,right,output\nx,,,,,\ny,t,1,2.5,true,7\n")
    parser = ExampleParser(Open, int | None, [])
    (empty, full), _ = read_examples(read_data_file(path), parser, labelled=True)
    assert parser.problems == []
    assert empty.input == Open(text="x", title="")
    assert full.input == Open(text="y", title="t", size=1, weight=2.5, right=True)
    assert (empty.labelled, empty.output, full.output) == (True, None, 7)


def test_null_in_json_lines_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "title": null, "size": null, "output": null}\n')
    parser = ExampleParser(Open, int | None, [])
    ((example,), _) = read_examples(read_data_file(path), parser, labelled=True)
    assert (example.input, example.output) == (Open(text="x", title=None), None)
    assert example.labelled


def test_null_in_parquet_is_none(tmp_path: Path) -> None:
    table = {"text": ["x", "y"], "title": [None, "t"], "size": [None, 1], "output": [None, 7]}
    parquet.write_table(pyarrow.table({**table, "note": [None, "n"]}), tmp_path / "a.parquet")
    parser = ExampleParser(Open, int | None, [])
    (empty, full), _ = read_examples(read_data_file(tmp_path / "a.parquet"), parser, labelled=True)
    assert (empty.input, full.input) == (
        Open(text="x", title=None),
        Open(text="y", title="t", size=1),
    )
    assert (empty.labelled, empty.output, full.output) == (True, None, 7)
    assert (empty.metadata, full.metadata) == ({}, {"note": "n"})
