"""Numbers and truth values where labels are texts, as data frames and JSON write them."""

from __future__ import annotations

import json
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from promptkit import Example, Task, load_task
from promptkit.errors import DataError
from promptkit.tasks.output_type import OutputType

TOML = """\
name = "t"
[input]
text = "str"
[output]
labels = {labels}
column = "stars"
[files]
demos = "{file}"
"""


class In(BaseModel):
    text: str
    size: int = 0


class Rank(IntEnum):
    LOW = 1


class Digit(Enum):
    ONE = "1"


@pytest.mark.parametrize(
    ("annotation", "given", "value"),
    [
        (Literal["0", "1"], 1, "1"),
        (Literal["0", "1"], 0.0, "0"),
        (Literal["0", "1"], -0.0, "0"),
        (Literal["0", "1"], "1.0", "1"),
        (Literal["0", "1"], np.int64(1), "1"),
        (Literal["0", "1"], np.float32(1), "1"),
        (Literal[0, 1], 1.0, 1),
        (Literal[0, 1], np.int64(1), 1),
        (Literal[0, 1], "1.00", 1),
        (Literal[-1, 1], -1.0, -1),
        (Literal["1.0", "1"], "1.0", "1.0"),
        (Literal["true", "false"], True, "true"),
        (Literal["true", "false"], np.bool_(False), "false"),
        (Literal[True, "maybe"], np.bool_(True), True),
        (bool, np.bool_(True), True),
        (Rank, 1.0, Rank.LOW),
        (Digit, 1, Digit.ONE),
        (int, np.int64(7), 7),
        (float, np.float32(0.5), 0.5),
    ],
)
def test_a_number_stands_for_the_label_that_it_is(annotation: Any, given: Any, value: Any) -> None:
    found = OutputType(annotation).validate(given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "given", "reason"),
    [
        (Literal["0", "1"], 2, "not one of the labels (0, 1), but the number 2"),
        (Literal["0", "1"], 0.5, "not one of the labels (0, 1), but the number 0.5"),
        (Literal["0", "1"], True, "not one of the labels (0, 1), but the truth value true"),
        (Literal["0", "1"], np.int64(2), "not one of the labels (0, 1), but the number 2"),
        (bool, 1, "not one of the labels (true, false), but the number 1"),
        (Literal["1", "2"], "1.5", "not one of the labels (1, 2)"),
        (Literal[1, 2], float("inf"), "not one of the labels (1, 2), but the number inf"),
        (Literal[1, 2], 10**400, "not one of the labels (1, 2), but the number 1000"),
    ],
)
def test_any_other_number_is_named_as_what_it_is(annotation: Any, given: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is below
        OutputType(annotation).validate(given)
    assert str(caught.value).startswith(reason)
    assert "Unicode" not in str(caught.value)


def test_the_rows_of_a_data_frame_make_a_task() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "size": [1, 2, 3], "label": [1.0, 0.0, None]})
    frame = frame.dropna()
    for annotation in (Literal[0, 1], Literal["0", "1"]):
        demos = [
            {"input": {"text": row["text"], "size": row["size"]}, "output": row["label"]}
            for _, row in frame.iterrows()
        ]
        task = Task[In, annotation](name="t", demos=demos)  # type: ignore[valid-type]
        assert [*map(task.answer_of, task.demos)] == ["1", "0"]
    sizes = [{"input": {"text": "a", "size": np.int64(4)}, "output": np.bool_(True)}]
    assert Task[In, bool](name="t", demos=sizes).demos[0].input.size == 4
    assert Task[In, bool](name="t", demos=[Example(input=In(text="x"), output=np.bool_(0))])


@pytest.mark.parametrize("labels", [[1, 2], ["1", "2"]])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_whole_numbers_that_a_file_has_as_floats_are_labels(
    tmp_path: Path, labels: Any, suffix: str
) -> None:
    frame = pd.DataFrame({"text": ["good", "bad"], "stars": [2.0, 1.0]})
    path = tmp_path / f"demos.{suffix}"
    match suffix:
        case "csv":
            frame.to_csv(path, index=False)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
            path.write_text('{"text": "good", "stars": 2.0}\n{"text": "bad", "stars": 1}\n')
        case _:
            frame.to_parquet(path)
    (tmp_path / "task.toml").write_text(TOML.format(labels=json.dumps(labels), file=path.name))
    task = load_task(tmp_path)
    assert [*map(task.answer_of, task.demos)] == ["2", "1"]


def test_a_message_names_the_column_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TOML.format(labels="[1, 2]", file="d.jsonl"))
    rows = '{"text": "a", "stars": 2.5}\n{"text": "b"}\n{"text": "c", "stars": 1}\n'
    (tmp_path / "d.jsonl").write_text(rows + '{"text": "c", "stars": 2}\n')
    with pytest.raises(DataError) as caught:
        load_task(tmp_path)
    assert {problem.field for problem in caught.value.problems} == {"stars"}
