"""Options of each query: how rows give them, and which of them an output names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import Example, Options, Task, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks.options import chosen

TOML = """name = "quiz"
[input]
question = "str"
choices = "options"
[output]
options = "choices"
[files]
demos = "demos.jsonl"
"""
COLUMNS = """name = "quiz"
[input]
question = "str"
choices = { type = "options", columns = ["A", "B", "C"] }
[output]
options = "choices"
[files]
demos = "demos.csv"
"""


class Question(BaseModel):
    text: str
    choices: Annotated[list[str], Options()]


def quiz(*rows: tuple[list[str], Any]) -> Task[Question, str]:
    demos: list[Any] = [
        {"input": {"text": f"question {n}", "choices": choices}, "output": output}
        for n, (choices, output) in enumerate(rows)
    ]
    return Task[Question, str](name="quiz", demos=demos)


def folder(path: Path, toml: str, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "task.toml").write_text(toml, "utf-8")
    for name, content in files.items():
        (path / name.replace("_", ".")).write_text(content, "utf-8")
    return path


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("output", "option"),
    [
        ("cod", "cod"),
        ("B", "cod"),
        (1, "cod"),
        ("1", "cod"),
        (1.0, "cod"),
        (0, "owl"),
        ("C", "elk"),
    ],
)
def test_an_output_is_a_text_a_letter_or_an_index(output: Any, option: str) -> None:
    task = quiz((["owl", "cod", "elk"], output))
    assert task.demos[0].output == option
    assert task.answers_of(task.demos[0]) == ("owl", "cod", "elk")
    assert task.labels == ()


def test_an_exact_text_wins_then_a_letter_then_an_index() -> None:
    assert chosen("B", ["B", "A"]) == "B"
    assert chosen("A", ["B", "C"]) == "B"
    assert chosen("1", ["3", "2", "1"]) == "1"
    assert chosen("0", ["3", "2", "1"]) == "3"
    assert chosen(1, ["3", "2", "1"]) == "2"  # a number is no text


@pytest.mark.parametrize("output", ["c", "D", 3, -1, 1.5, True, "", "Cod", ["cod"]])
def test_an_output_that_is_no_option_is_an_error(output: Any) -> None:
    with pytest.raises(DataError, match=r"not one of the options .*'owl', 'cod', 'elk'"):
        quiz((["owl", "cod", "elk"], output))


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (["cod", "owl", "cod"], "the option 'cod' is repeated"),
        (["cod"], "1 option, and a choice needs two or more"),
        (["cod", " owl"], "the option ' owl' is empty or has white space around it"),
        (["cod", ""], "the option '' is empty"),
        (["cod", 3], "should be a valid string"),
        ("cod", "should be a valid list"),
    ],
)
def test_options_that_cannot_be_told_apart_name_the_row(
    choices: Any, reason: str, tmp_path: Path
) -> None:
    good = {"question": "q", "choices": ["a", "b"], "output": "a"}
    rows = lines(good, good | {"question": "r", "choices": choices})
    path = folder(tmp_path, TOML, demos_jsonl=rows)
    with pytest.raises(DataError, match=reason) as found:
        load_task(path)
    assert f"{path / 'demos.jsonl'}:2" in str(found.value)


def test_an_error_names_the_place_the_value_and_the_options(tmp_path: Path) -> None:
    row = {"question": "q", "choices": ["owl", "cod"], "output": "elk"}
    path = folder(tmp_path, TOML, demos_jsonl=lines(row))
    with pytest.raises(DataError) as found:
        load_task(path)
    message = str(found.value)
    assert all(part in message for part in ("demos.jsonl:1", "'elk'", "'owl', 'cod'", "output"))


def test_columns_become_options_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    rows = "question,A,B,C,output\nq,owl,cod,elk,C\nr,yes,no,,1\n"
    task = load_task(folder(tmp_path, COLUMNS, demos_csv=rows))
    assert [task.answers_of(demo) for demo in task.demos] == [("owl", "cod", "elk"), ("yes", "no")]
    assert [demo.output for demo in task.demos] == ["elk", "no"]
    assert not task.demos[0].metadata


def test_an_empty_column_before_others_is_an_error_of_its_row(tmp_path: Path) -> None:
    rows = "question,A,B,C,output\nq,owl,,elk,C\n"
    path = folder(tmp_path, COLUMNS, demos_csv=rows)
    with pytest.raises(DataError, match=r"demos.csv:2, field 'B': empty, and a later"):
        load_task(path)


def test_a_missing_column_of_options_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path, COLUMNS, demos_csv="question,A,B,output\nq,owl,cod,A\n")
    with pytest.raises(DataError, match="C"):
        load_task(path)


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        (TOML.replace('options = "choices"', 'type = "str"'), 'write options = "choices" in'),
        (TOML.replace('options = "choices"', 'options = "others"'), "'others' is no input field"),
        (TOML.replace("[files]", 'labels = ["a"]\n[files]'), "exactly one of labels, scale, type"),
        (
            TOML.replace('choices = "options"', 'choices = "options"\nmore = "options"'),
            "input.more: the options of 'choices' are what the output is chosen from",
        ),
        (COLUMNS.replace('"C"', '"output"'), "is not the output's own column"),
        (COLUMNS.replace('"B", "C"', ""), "input.choices"),
    ],
)
def test_a_task_file_that_contradicts_itself_is_an_error(
    toml: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match=reason):
        load_task(folder(tmp_path, toml, demos_jsonl="", demos_csv=""))


def test_options_need_a_text_as_output_and_one_field() -> None:
    class Two(BaseModel):
        one: Annotated[list[str], Options()]
        other: Annotated[list[str], Options()]

    with pytest.raises(TaskError, match="the output type is str"):
        Task[Question, Literal["a", "b"]](name="t")
    with pytest.raises(TaskError, match="one and other are both marked"):
        Task[Two, str](name="t")


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_saved_task_is_loaded_equal(format: Any, tmp_path: Path) -> None:
    task = quiz((["owl, grey", 'a "cod"'], 1), (["yes", "no", "é"], "C"))
    save_task(task, tmp_path, format)
    again = load_task(tmp_path)
    assert again.options == "choices"
    assert again.fingerprint == task.fingerprint
    assert [demo.output for demo in again.demos] == ['a "cod"', "é"]


def test_options_are_part_of_the_task(tmp_path: Path) -> None:
    class Plain(BaseModel):
        text: str
        choices: list[str]

    demos = [Example(input=Plain(text="q", choices=["a", "b"]), output="a")]
    plain = Task[Plain, str](name="t", demos=demos)
    assert plain.options is None
    assert not plain.is_scored
    assert quiz((["a", "b"], "a")).is_scored


OPTIONS = st.lists(st.text("abcXYZ123", min_size=1, max_size=3), min_size=2, unique=True)


@given(OPTIONS, st.data())
def test_every_option_is_found_by_its_text_and_its_index(options: list[str], data: Any) -> None:
    index = data.draw(st.integers(0, len(options) - 1))
    assert chosen(options[index], options) == options[index]
    assert chosen(index, options) == options[index]
