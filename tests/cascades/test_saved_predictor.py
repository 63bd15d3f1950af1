"""Saved predictors of every kind are opened by their path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run
from pupils import moods, pupil

import promptkit as pk
from promptkit.errors import DataError, PromptkitError, TaskError


def test_every_kind_is_opened(tmp_path: Path) -> None:
    task, model = pk.load_task("examples/fruit"), pk.FakeModel()
    frozen = pk.freeze(pk.Predictor(task, pk.Template.of(task), model, 2), tmp_path / "a.promptkit")
    pk.build_lookup([{"input": {"name": "plum"}, "label": "drupe"}], tmp_path / "a.lookup")
    student = pupil().save(tmp_path / "student")
    assert pk.load_predictor(frozen, model).shots == 2
    assert pk.load_predictor(tmp_path / "a.lookup").find("plum").label == "drupe"
    assert pk.load_predictor(student).task.name == "moods"
    with pytest.raises(TaskError, match="a model is for a frozen predictor"):
        pk.load_predictor(student, model)


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        pk.load_predictor(tmp_path / "none")
    with pytest.raises(DataError, match=r"without student\.json"):
        pk.load_predictor(tmp_path)
    (tmp_path / "a").write_text("no table")
    with pytest.raises(PromptkitError, match="not a lookup table"):
        pk.load_predictor(tmp_path / "a")


def test_a_student_predicts_files_and_stands_in_for_a_lookup_table(
    run: Run, tmp_path: Path
) -> None:
    pupil().save("kept")
    Path("rows.csv").write_text("text\nthing1 dull thing2\nthing1 warm thing2\n")
    said = run("predict", "kept", "rows.csv", "--out", "out.jsonl", "--lookup", "moods.lookup")
    assert (said.code, said.err) == (0, "")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == ["bad", "good"]
    found = run(
        "lookup", "moods.lookup", "thing1 warm thing2", "thing1 slow thing2", "--fallback", "kept"
    )
    assert found.code == 0
    assert [line.split(" (")[0] for line in found.out.splitlines()] == [
        "thing1 warm thing2: good",
        "thing1 slow thing2: bad",
    ]
    dry = run("predict", "kept", "rows.csv", "--out", "other.csv", "--dry-run")
    assert "Rows: 2" in dry.out
    for words, reason in (
        (("--shots", "2"), "--shots: a saved predictor has its own"),
        (("--model", "smollm2"), "--model is for a frozen predictor"),
    ):
        refused = run("predict", "kept", "rows.csv", "--out", "other.csv", *words)
        assert refused.code == 2
        assert reason in refused.err


def test_a_student_answers_for_a_task_of_the_same_labels(tmp_path: Path) -> None:
    folder = pupil().save(tmp_path / "student")
    task = moods()
    assert pk.load_predictor(folder, task=task).task is task
    with pytest.raises(TaskError, match="a student of bad, good, mixed"):
        pk.load_predictor(folder, task=pk.load_task("examples/fruit"))


def test_a_cascade_of_a_student_is_opened(tmp_path: Path) -> None:
    first, second = pupil(name="first"), pupil(name="second")
    made = pk.cascade([first, second], moods(tests=300), max_error=0.3)
    again = pk.load_predictor(made.save(tmp_path / "a.cascade"))
    asked = [*moods().tests]
    assert [one.label for one in again.predict(asked)] == [one.label for one in made.predict(asked)]
