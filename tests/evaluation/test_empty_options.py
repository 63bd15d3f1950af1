"""Options that are columns of the input, some of them empty."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import FakeModel, Store, Template, compare
from promptkit.tasks.task import Task

QUESTION = Template(
    '{% example %}\n{{ input.question }} {{ input.A }} {{ input.B }} {{ input.C or "" }}\n'
    "Answer: {{ output }}\n{% endexample %}\n"
)


LETTERS = Literal["A", "B", "C"]


class Question(BaseModel):
    question: str
    A: str
    B: str
    C: str | None = None


def warned(says: str, *options: tuple[str, str, str | None], output: Any = LETTERS) -> list[str]:
    rows = [
        {"input": {"question": f"q{i}", "A": a, "B": b, "C": c}, "output": "A"}
        for i, (a, b, c) in enumerate(options)
    ]
    task = Task[Question, output](name="quiz", tests=rows)  # type: ignore[valid-type]
    result = compare(
        task,
        models=[FakeModel(lambda _: says)],
        templates=[QUESTION],
        shots=[0],
        seeds=1,
        store=Store(),
    )
    return [warning for warning in result.warnings if "option" in warning]


@pytest.mark.parametrize(("says", "chosen"), [("A", 0), ("C", 2)])
def test_empty_options_are_counted(says: str, chosen: int) -> None:
    (only,) = warned(says, ("x", "y", "z"), ("x", "y", ""), ("x", "y", None))
    assert only == (
        'The option "C" is empty for 2 of 3 queries, and a candidate there all the same, since '
        f"every label is one for every query: {chosen} of 3 answers are an empty option. Compare "
        "queries with as many options as a task."
    )


def test_full_options_and_labels_that_are_no_fields_are_no_matter() -> None:
    assert not warned("A", ("x", "y", "z"))

    four = Literal["A", "B", "C", "E"]  # type: ignore[valid-type]
    assert not warned("A", ("x", "", None), output=four)
