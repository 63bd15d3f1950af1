"""Numbers that task.toml bounds, or scores over a scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from promptkit import Example, FakeModel, Task, Template, load_task
from promptkit.errors import DataError, TaskError
from promptkit.inference.prediction import Predictor
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.task_file import json_schema, tomllib
from promptkit.tasks.writing import save_task

TOML = """\
name = "ages"
template = "t.j2"
[input]
text = "str"
[output]
OUTPUT
[files]
tests = "tests.csv"
"""


class Text(BaseModel):
    text: str


def folder(path: Path, output: str, *golds: Any) -> Path:
    (path / "templates").mkdir(parents=True)
    (path / "templates" / "t.j2").write_text(
        "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}", "utf-8"
    )
    (path / "task.toml").write_text(TOML.replace("OUTPUT", output), "utf-8")
    rows = [f"text {number},{gold}\n" for number, gold in enumerate(golds)]
    (path / "tests.csv").write_text("text,output\n" + "".join(rows), "utf-8")
    return path


def test_bounds_of_task_toml_are_those_of_pydantic(tmp_path: Path) -> None:
    whole = load_task(folder(tmp_path / "a", 'type = "int"\nmin = 0\nmax = 130', 0, 130))
    assert [test.output for test in whole.tests] == [0, 130]
    assert whole.output_type.schema == OutputType(Annotated[int, Field(ge=0, le=130)]).schema
    real = load_task(folder(tmp_path / "b", 'type = "float"\nmin = -0.5', -0.5, 1e6))
    assert real.output_type.schema == {"type": "number", "minimum": -0.5}


def test_bounds_are_part_of_the_grammar(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path / "a", 'type = "int"\nmin = 1\nmax = 5', 1))
    assert task.output_type.format is not None
    schema = json.loads(task.output_type.format.schema)
    assert (schema["minimum"], schema["maximum"]) == (1, 5)


def test_gold_numbers_outside_the_bounds_are_errors_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_task(folder(tmp_path / "a", 'type = "float"\nmin = 0\nmax = 1', 0.5, 1.5, -0.1))
    assert [(one.line, one.field, one.reason) for one in caught.value.problems] == [
        (3, "output", "Input should be less than or equal to 1"),
        (4, "output", "Input should be greater than or equal to 0"),
    ]


def test_answers_outside_the_bounds_are_failures(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path / "a", 'type = "int"\nmin = 1\nmax = 5', 3, 4))
    predictor = Predictor(task, Template.of(task), FakeModel(lambda prompt: "7"))
    (one, _) = predictor.predict(task.tests)
    assert (one.label, one.correct) == (None, False)
    assert one.failure == "Input should be less than or equal to 5"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            'type = "str"\nmin = 1',
            'output.min: bounds go with type = "int" or type = "float" alone',
        ),
        ("labels = [1, 2]\nmax = 1", "output.max: bounds go with"),
        ('type = "int"\nmin = 0.5', "output.min: the bound of an int is a whole number, not 0.5"),
        ('type = "float"\nmax = inf', "output.max: inf is no bound; leave max out"),
        ('type = "int"\nmin = 3\nmax = 2', "output.min: 3 is larger than max, 2"),
        ('type = "int"\nmin = "a"', "output.min: a number, such as 1 or 0.5, not 'a'"),
        ("scale = [1]", "output.scale: a scale has at least two numbers"),
        ("scale = [2, 1]", "output.scale: 1 comes after 2; write numbers in ascending order"),
        ("scale = [1, 1.0]", "output.scale: 1.0 is repeated"),
        ("scale = [1, nan]", "output.scale: nan is no finite number"),
        ('scale = [1, "b"]', "output.scale.1: a number, such as 1 or 0.5, not 'b'"),
        ("scale = [1, 2]\nlabels = [1, 2]", "exactly one of labels, scale, type, schema, "),
        ('scale = [1, 2]\ntype = "int"', "exactly one of labels, scale, type, schema, "),
        ('scale = [1, 2]\ntype = "str"', "exactly one of labels, scale, type, schema, "),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_task(
    tmp_path: Path, output: str, reason: str
) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(folder(tmp_path / "a", output, 1))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("output", "valid"),
    [
        ('type = "int"\nmin = 1\nmax = 2', True),
        ("scale = [0.5, 1, 1.5]", True),
        ('scale = [1, 2]\ntype = "int"', False),
        ("scale = [1, 2]\nlabels = [1, 2]", False),
    ],
)
def test_an_editor_knows_what_is_valid(output: str, valid: bool) -> None:
    document = tomllib.loads(TOML.replace("OUTPUT", output))
    validator = jsonschema.Draft7Validator(json.loads(json_schema()))
    assert validator.is_valid(document) is valid


def test_a_scale_is_a_closed_set_of_numbers(tmp_path: Path) -> None:
    golds = ("0.5", "1", "1.50", "2.0", "2")
    task = load_task(folder(tmp_path / "a", "scale = [0.5, 1.0, 1.5, 2]\nwithin = 0.5", *golds))
    assert task.labels == ("0.5", "1.0", "1.5", "2")
    assert [test.output for test in task.tests] == [0.5, 1.0, 1.5, 2, 2]
    predictor = Predictor(task, Template.of(task), FakeModel(lambda prompt: "1.0"))
    assert [one.measures["within"] for one in predictor.predict(task.tests)] == [1, 1, 1, 0, 0]


def test_gold_numbers_outside_the_scale_are_errors_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_task(folder(tmp_path / "a", "scale = [1, 2.5]", 1, 2.5, 3))
    (problem,) = caught.value.problems
    assert (problem.line, problem.value) == (4, "3")
    assert problem.reason.startswith("not one of the labels (1, 2.5)")


@pytest.mark.parametrize(
    ("annotation", "section"),
    [
        (Annotated[int, Field(ge=1, le=5)], {"type": "int", "min": 1, "max": 5}),
        (Annotated[float, Field(ge=0.25)], {"type": "float", "min": 0.25}),
        (Literal[0.5, 1.0], {"scale": [0.5, 1.0]}),
        (Literal[1, 2, 3], {"labels": [1, 2, 3]}),
        (Annotated[int, Field(gt=1)], {"schema": "answer.schema.json"}),
    ],
)
def test_saved_tasks_keep_their_numbers(
    tmp_path: Path, annotation: Any, section: dict[str, Any]
) -> None:
    value = 2 if OutputType(annotation).allows(2) else 0.5
    kind = Task[Text, annotation]  # type: ignore[valid-type]
    task = kind(name="saved", tests=[Example[Text, annotation](input=Text(text="a"), output=value)])  # type: ignore[valid-type]
    save_task(task, tmp_path / "a", "csv")
    known = tomllib.loads((tmp_path / "a" / "task.toml").read_text("utf-8"))["output"]
    assert known == section
    again = load_task(tmp_path / "a")
    assert again.tests[0].output == value
    assert again.fingerprint == task.fingerprint
