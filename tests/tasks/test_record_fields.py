from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from samples import COLON, Word, open_task
from sklearn.metrics import f1_score

from promptkit import Example, FakeModel, Scoring, Store, Task, compare, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks.judging import Judge
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.record_fields import output_fields, set_f1


class Offer(BaseModel):
    name: str
    price: float
    tags: list[str] = []
    kind: Literal["new", "used"] | None = None


GOLD = Offer(name="pear", price=2.0, tags=["green", "soft"], kind="new")


@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_set_f1_is_that_of_scikit_learn(ours: set[int], theirs: set[int]) -> None:
    gold, said = ([int(i in items) for i in range(6)] for items in (theirs, ours))
    expected = f1_score(gold, said, zero_division=1.0)
    assert set_f1(sorted(ours), [*theirs]) == pytest.approx(expected)


def test_fields_are_found_through_references_and_lists_behind_null() -> None:
    class Inner(BaseModel):
        parts: list[int] | None = None
        whole: Offer | None = None

    found = output_fields(OutputType(Inner))
    assert [(one.name, one.is_list) for one in found] == [("parts", True), ("whole", False)]
    recursive = {"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"t": {"$ref": "#/$defs/t"}}}}}
    from promptkit.tasks.file_types import schema_type

    assert [one.name for one in output_fields(OutputType(schema_type(recursive)))] == ["t"]
    for plain in (str, int, list[str], Literal["a"], dict[str, int]):
        assert output_fields(OutputType(plain)) == ()


def test_each_field_is_judged() -> None:
    judge = Judge(Scoring(), OutputType(Offer))
    said = Offer(name="Pear", price=2.0, tags=["soft", "round"], kind="new")
    assert judge(said, [GOLD]) == (
        False,
        {
            "field.name": 0,
            "field.price": 1,
            "field.tags": 0,
            "field.kind": 1,
            "f1.tags": 0.5,
            "fields_micro": 0.5,
        },
    )
    assert judge(GOLD, [GOLD]) == (True, dict.fromkeys(judge(said, [GOLD]).measures, 1))
    failed = judge(None, [GOLD], failed=True)
    assert failed == (False, dict.fromkeys(failed.measures, 0))
    assert len(failed.measures) == 6


@pytest.mark.parametrize(
    ("scoring", "right"),
    [
        (Scoring(), False),
        (Scoring(counted=("name",)), True),
        (Scoring(counted=("name", "price")), False),
        (Scoring(counted=("name", "price"), within=0.1), True),
        (Scoring(counted=("name", "price"), tolerances={"price": 0.1}), True),
        (Scoring(counted=("name", "price"), tolerances={"price": 0.01}, within=9), False),
    ],
)
def test_counted_fields_decide(scoring: Scoring, right: bool) -> None:
    said = Offer(name="pear", price=2.05)
    assert Judge(scoring, OutputType(Offer))(said, [GOLD]).correct is right


def test_one_and_true_differ_in_fields_too() -> None:
    class Flag(BaseModel):
        value: Any

    judge = Judge(Scoring(within=1), OutputType(Flag))
    assert judge(Flag(value=True), [Flag(value=1)]).measures == {"field.value": 0}
    assert judge(Flag(value=1.0), [Flag(value=1)]).measures == {"field.value": 1}


@pytest.mark.parametrize(
    ("scoring", "output", "says"),
    [
        (Scoring(counted=("nmae",)), Offer, "counted: unknown field 'nmae'; choose from: name, pr"),
        (Scoring(tolerances={"x": 1}), Offer, "tolerances: unknown field 'x'; choose from: name"),
        (Scoring(counted=("a",)), str, "counted: unknown field 'a'; the output has no fields"),
    ],
)
def test_unknown_fields(scoring: Scoring, output: Any, says: str) -> None:
    with pytest.raises(TaskError, match=re.escape(says)):
        Task[Word, output](name="t", scoring=scoring)


INLINE = """
[output]
counted = ["name"]
[output.fields]
name = "str"
price = { type = "float", within = 0.01 }
kind = ["new", "used"]
tags = "list[str]"
colours = { type = ["red", "green"], many = true }
year = { type = "int", optional = true }
"""
ROW = {"name": "a", "price": 1.5, "kind": "new", "tags": ["x"], "colours": ["red"], "year": None}


def folder(path: Path, output: str, *rows: dict[str, Any]) -> Path:
    path.mkdir(exist_ok=True)
    head = 'name = "t"\ntemplate = "json.j2"\n[input]\nword = "str"\n'
    (path / "task.toml").write_text(f'{head}{output}\n[files]\ntests = "t.jsonl"\n')
    lines = [json.dumps({"word": f"w{i}", "output": row}) for i, row in enumerate(rows)]
    (path / "t.jsonl").write_text("\n".join(lines) + "\n")
    return path


def test_fields_are_declared_inline(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path / "a", INLINE, ROW))
    assert task.scoring == Scoring(counted=("name",), tolerances={"price": 0.01})
    answer = {**ROW, "price": 1.505, "tags": ["y"], "year": 3}
    model = FakeModel(lambda _: json.dumps(answer))
    result = compare(task, models=[model], templates=["json.j2"], shots=[0], seeds=1, store=Store())
    row = result.rows[0]
    assert row.accuracy == 1
    assert row.figures["field.price"].value == 1
    assert row.figures["field.year"].value == row.figures["f1.tags"].value == 0
    assert row.figures["f1.colours"].value == 1
    assert row.figures["fields_micro"].value == pytest.approx(4 / 6)
    save_task(task, tmp_path / "b")
    again = load_task(tmp_path / "b")
    assert (again.scoring, again.fingerprint) == (task.scoring, task.fingerprint)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("[output]\n[output.fields]\n", "[output.fields] names no field"),
        ("[output.fields]\na = []", "output.fields.a: the list of allowed values is empty"),
        ('[output.fields]\na = "string"', "output.fields.a: a type is str, int, float, bool"),
        ('[output.fields]\na = { type = "str", many = true }', "many goes with a list of values"),
        (
            '[output]\ntype = "int"\n[output.fields]\na = "str"',
            "exactly one of labels, scale, type, sch",
        ),
        (
            '[output]\ntype = "str"\n[output.fields]\na = "str"',
            "exactly one of labels, scale, type, sch",
        ),
        ('[output]\ncounted = ["b"]\n[output.fields]\na = "str"', "output.counted: unknown field"),
    ],
)
def test_fields_that_are_not_declared_well(output: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=re.escape(says)):
        load_task(folder(tmp_path / "a", output, ROW))


def test_a_row_that_does_not_fit_names_its_field(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.jsonl:1.*\$\.price: 'much' is not of type 'number'"):
        load_task(folder(tmp_path / "a", INLINE, {**ROW, "price": "much"}))


def test_the_value_in_a_table_is_the_mean_over_rows() -> None:
    class Pair(BaseModel):
        a: int
        b: int = Field(default=0)

    task = open_task(Pair, Pair(a=1, b=1), Pair(a=2), Pair(a=1, b=3))
    model = FakeModel(lambda _: '{"a": 1, "b": 3}')
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    figures = {name: figure.value for name, figure in result.rows[0].figures.items()}
    assert figures["field.a"] == pytest.approx(2 / 3)
    assert figures["field.b"] == pytest.approx(1 / 3)
    assert figures["fields_micro"] == pytest.approx(1 / 2)
    assert Example(input=Word(word="w"), output=Pair(a=1)).labelled
