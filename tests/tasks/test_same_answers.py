"""Which answers are the same: JSON's true is not 1, and a set has no order."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Store, Task, compare
from promptkit.errors import DataError
from promptkit.models.fake import FakeModel
from promptkit.tasks.file_types import schema_type
from promptkit.tasks.output_type import OutputType

BOTH = {"anyOf": [{"type": "integer"}, {"type": "number"}, {"const": True}]}


class In(BaseModel):
    text: str


class Record(BaseModel):
    value: int | bool
    more: list[int | bool] = []


class Loose(BaseModel):
    """Two of them are equal where their first letters are."""

    word: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loose) and self.word[:1] == other.word[:1]


class Thing(Enum):
    ONE = 1


@pytest.mark.parametrize(
    ("annotation", "one", "other", "same"),
    [
        (Literal[1, "one", True], 1, True, False),
        (Literal[0, False], 0, False, False),
        (Literal[0, False], False, False, True),
        (int | bool, 1, True, False),
        (int | bool, 1, 1, True),
        (int | float, 1, 1.0, True),
        (float, 0.0, -0.0, True),
        (int | str, 1, "1", False),
        (list[int | bool], [1, 0], [True, 0], False),
        (dict[str, int | bool], {"a": 1}, {"a": True}, False),
        (dict[str, int], {"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (Record, Record(value=1), Record(value=True), False),
        (Record, Record(value=1, more=[0]), Record(value=1, more=[False]), False),
        (Record, Record(value=1, more=[0]), Record(value=1, more=[0]), True),
        (set[str], {"a", "b"}, {"b", "a"}, True),
        (list[str], ["a", "b"], ["b", "a"], False),
        (Loose, Loose(word="ab"), Loose(word="ac"), True),
        (schema_type(BOTH), 1, True, False),
        (schema_type(BOTH), [1], [True], False),
        (schema_type(BOTH), 1, 1.0, True),
        (Thing | None, Thing.ONE, None, False),
        (int | None, 0, None, False),
    ],
)
def test_answers_are_the_same_by_type_and_value(
    annotation: Any, one: Any, other: Any, same: bool
) -> None:
    output = OutputType(annotation)
    assert output.same(one, other) is same
    assert output.same(other, one) is same
    assert output.same(one, one)


@pytest.mark.parametrize(
    ("annotation", "shown", "gold"),
    [(Literal[1, True], 1, True), (Literal[0, False], 0, False)],
)
def test_a_prediction_is_right_only_if_it_is_the_same_label(
    annotation: Any, shown: Any, gold: Any
) -> None:
    task = Task[In, annotation](  # type: ignore[valid-type]
        name="t",
        demos=[Example(input=In(text=t), output=shown) for t in "ab"],
        tests=[Example(input=In(text=t), output=o) for t, o in (("x", shown), ("y", gold))],
    )
    comparison = compare(task, models=[FakeModel()], shots=[0], seeds=1, store=Store())
    for row in comparison.to_records():
        assert row["correct"] is (row["label"] == row["gold"])
    assert {row["gold"] for row in comparison.to_records()} == {*task.labels}


def test_rows_are_equal_only_if_their_outputs_are() -> None:
    rows = [{"input": {"text": "x"}, "output": output} for output in (1, True)]
    with pytest.raises(DataError, match=r"the same input as demos\[0\], which has the output 1"):
        Task[In, int | bool](name="t", demos=rows)
    with pytest.raises(DataError, match="the same row as"):
        Task[In, int | bool](name="t", demos=[rows[0], rows[0]])
