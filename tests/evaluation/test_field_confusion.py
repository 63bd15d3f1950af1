"""Confusion matrices of the closed fields of records."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel
from sklearn.metrics import confusion_matrix

from promptkit import FakeModel, Store, Task, compare
from promptkit.evaluation.field_confusion import NO_ANSWER, field_confusion
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.report import page
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.record_fields import output_fields


class Unit(Enum):
    KILO = "kilo"
    JAR = "jar"


class Order(BaseModel):
    item: str
    unit: Unit
    gift: bool
    size: Literal["s", "m", 3] | None = None
    colours: list[Literal["red", "green"]] = []


class Text(BaseModel):
    text: str


def order(unit: str, gift: bool, size: Any = None) -> dict[str, Any]:
    return {"item": "jam", "unit": unit, "gift": gift, "size": size, "colours": []}


GOLD = [order("kilo", True), order("jar", False, 3), order("jar", True, "s"), order("kilo", False)]
SAID = [order("kilo", True), order("kilo", False, "m"), None, order("jar", True)]
ROWS = [{"id": f"t{i}", "input": {"text": f"{i}"}, "output": gold} for i, gold in enumerate(GOLD)]
TASK: Any = Task[Text, Order](name="orders", tests=ROWS)


def predictions() -> list[Prediction]:
    answers = [None if said is None else Order.model_validate(said) for said in SAID]
    pairs = zip(TASK.tests, answers, strict=True)
    return [prediction_of(TASK, query, value, model="table") for query, value in pairs]


def test_closed_fields_are_found() -> None:
    found = {one.name: one.values for one in output_fields(OutputType(Order))}
    assert found == {
        "item": (),
        "unit": ("kilo", "jar"),
        "gift": (True, False),
        "size": ("s", "m", 3, None),
        "colours": (),
    }


def test_counts_are_those_of_scikit_learn() -> None:
    found = {one.field: one for one in field_confusion(TASK.output_type, predictions())}
    assert [*found] == ["unit", "gift", "size"]
    for field, texts in {
        "unit": ["kilo", "jar"],
        "gift": ["true", "false"],
        "size": ["s", "m", "3", "null"],
    }.items():
        one = found[field]
        assert one.labels == (*texts, NO_ANSWER)
        gold, said = (
            [
                NO_ANSWER
                if each is None
                else each[field]
                if isinstance(each[field], str)
                else json.dumps(each[field])
                for each in lists
            ]
            for lists in (GOLD, SAID)
        )
        expected = confusion_matrix(gold, said, labels=[*texts, NO_ANSWER])
        assert np.array_equal(np.array(one.counts), expected)


def test_no_column_for_what_does_not_occur() -> None:
    made = predictions()
    (unit, *_) = field_confusion(TASK.output_type, [made[0], made[1]])
    assert unit.labels == ("kilo", "jar")
    assert unit.counts == ((1, 0), (1, 0))


def test_other_outputs_have_none() -> None:
    assert [*field_confusion(OutputType(str), predictions())] == []


def test_a_comparison_saves_and_shows_them(tmp_path: Path) -> None:
    demo = {"input": {"text": "demo"}, "output": GOLD[0]}
    task: Any = Task[Text, Order](name="orders", demos=[demo], tests=ROWS)
    made = compare(task, models=[FakeModel()], shots=[0, 1], seeds=2, store=Store())
    assert len(made.field_confusion) == 6  # three fields with two numbers of shots
    run = read_run(made.save(tmp_path / "run"))
    saved = run.data["field_confusion"]
    assert [one["field"] for one in saved] == ["unit", "unit", "gift", "gift", "size", "size"]
    assert "seed" not in saved[0]
    assert saved == json.loads(json.dumps(made.to_dict()["field_confusion"]))
    assert sum(count for row in saved[0]["counts"] for _, count in row) == 8
    text = page.html(run.data, made.to_records())
    assert "gift, " in text
    assert 'id="confusion"' in text


@pytest.mark.parametrize("labels", [[], ["kilo", "jar"]])
def test_a_damaged_matrix_is_refused(tmp_path: Path, labels: list[str]) -> None:
    demo = {"input": {"text": "demo"}, "output": GOLD[0]}
    task: Any = Task[Text, Order](name="orders", demos=[demo], tests=ROWS)
    folder = compare(task, models=[FakeModel()], shots=[0], store=Store()).save(tmp_path / "run")
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    data["field_confusion"][0] |= {"labels": labels, "counts": [[[5, 1]], []]}
    (folder / "comparison.json").write_text(json.dumps(data))
    with pytest.raises(Exception, match=r"field_confusion\.0"):
        read_run(folder)
