"""Sizes, speeds and costs of making in the rows of a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from comparisons import Student, Timed, compared, learner
from samples import COLON, parity_task

import promptkit as pk
from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.students.input_texts import input_texts
from promptkit.students.seen_inputs import learnt_from

FIELDS = ("parameters", "trained_parameters", "bytes", "making_seconds", "making_tokens")


def row_of(result: pk.Comparison, model: str, shots: int = 0, calibration: str = "none") -> Any:
    return next(
        row
        for row in result.rows
        if (row.model, row.shots, row.calibration, row.seed) == (model, shots, calibration, None)
    )


def test_rows_have_the_sizes_and_the_speed_of_their_predictors() -> None:
    result = compared(models=[Timed(learner)], predictors=[Student(parity_task(), 0.001)])
    prompt, student = row_of(result, "fake", 4), row_of(result, "student")
    assert [getattr(prompt, name) for name in FIELDS] == [1000, 0, 4000, 0.0, 0]
    assert [getattr(student, name) for name in FIELDS] == [12, 12, 48, 30.0, 700]
    assert (prompt.making_labels, student.making_labels) == (4, 8)
    assert prompt.items_per_second == pytest.approx(10)
    assert student.items_per_second == pytest.approx(1000)
    drawn = [row for row in result.rows if row.model == "student" and row.seed is not None]
    assert [row.making_labels for row in drawn] == [8, 8]


def test_the_time_of_what_does_not_say_it_is_measured() -> None:
    row = row_of(compared(predictors=[Student(parity_task())]), "student")
    assert row.items_per_second is not None
    assert row.items_per_second > 100
    assert row_of(compared(), "fake").items_per_second is None


def test_a_frozen_prompt_is_answered_from_the_store() -> None:
    model, store = pk.FakeModel(name="frozen"), pk.Store()
    frozen = FrozenPredictor(parity_task(), COLON, model, 1, name="one")
    first = compared(predictors=[frozen], store=store)
    tokens = model.usage.decoded_tokens
    assert tokens > 0
    again = compared(predictors=[frozen], store=store)
    assert model.usage.decoded_tokens == tokens
    assert row_of(again, "one", 1).accuracy == row_of(first, "one", 1).accuracy


def test_calibration_by_labels_takes_more_of_them() -> None:
    task = parity_task(pool=40)
    result = compared(task=task, calibrations=["batch", "temperature"], shots=[1])
    (note, *_) = [one for one in result.calibrations if one.calibration == "temperature"]
    assert row_of(result, "fake", 1).making_labels == 1
    assert row_of(result, "fake", 1, "batch").making_labels == 1
    assert row_of(result, "fake", 1, "temperature").making_labels == 1 + note.inputs


def test_json_data_frames_and_saved_runs_have_them(tmp_path: Path) -> None:
    result = compared(models=[Timed(learner)], predictors=[Student(parity_task())])
    frame = result.to_pandas()
    assert {*FIELDS, "items_per_second", "making_labels"} <= {*frame.columns}
    folder = result.save(tmp_path / "run")
    assert read_run(folder).data["rows"] == result.to_dict()["rows"]
    file = folder / "comparison.json"
    data = json.loads(file.read_text())
    for row in data["rows"]:
        for name in (*FIELDS, "items_per_second", "making_labels"):
            del row[name]  # as in runs of earlier versions
    file.write_text(json.dumps(data))
    again = read_run(folder)
    assert {row["bytes"] for row in again.data["rows"]} == {None}


def test_a_predictor_that_learnt_from_the_tests_is_warned_of() -> None:
    task = parity_task()
    seen, other = input_texts(task, task.tests[:3]), ["another", "text"]
    for card, warned in ((learnt_from(seen), True), (learnt_from(other), False), ({}, False)):
        result = compared(predictors=[Student(task, **card)])
        said = "'student' learnt from 3 inputs of the 6 tests (50 %)"
        assert any(said in warning for warning in result.warnings) == warned


def test_what_a_step_of_a_cascade_learnt_from_counts_too() -> None:
    task = parity_task()
    student = Student(task, **learnt_from(input_texts(task, task.tests)))
    cascade = Student(task)
    cascade.steps = [SimpleNamespace(predictor=student)]  # type: ignore[attr-defined]
    (said,) = [one for one in compared(predictors=[cascade]).warnings if "learnt from" in one]
    assert "6 inputs of the 6 tests (100 %)" in said


def test_a_predictor_of_another_task_is_refused() -> None:
    other = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    frozen = pk.Predictor(other, COLON, pk.FakeModel(name="other"))
    with pytest.raises(TaskError, match="'student' was made for another task, 'fruit'"):
        compared(predictors=[Student(frozen.task)])
