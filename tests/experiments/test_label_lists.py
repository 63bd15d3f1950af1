"""A task whose outputs are lists of labels, from the data to the page, the gates and the search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    hamming_loss,
    jaccard_score,
    label_ranking_average_precision_score,
    precision_score,
    recall_score,
)

from promptkit import (
    Comparison,
    FakeModel,
    LlamaModel,
    Store,
    check,
    compare,
    lint,
    load_task,
    optimise,
)
from promptkit.errors import TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.report import page, terminal

TASK = load_task("examples/topics")


@pytest.fixture(scope="module")
def made() -> Comparison:
    return compare(TASK, models=[FakeModel()], shots=[0, 2], seeds=2, store=Store())


def test_metrics_are_those_of_scikit_learn(made: Comparison) -> None:
    for row in made.rows:
        if row.seed is None:
            continue
        own = [p for p in made.predictions if p.cell == row.cell]
        gold, said = (
            np.array([[label in one for label in TASK.labels] for one in lists])
            for lists in ([p.gold for p in own], [p.label for p in own])
        )
        scores = np.array([[*(p.logprobs or {}).values()] for p in own])
        found = {name: one.value for name, one in row.figures.items()}
        expected = {
            "micro_f1": f1_score(gold, said, average="micro"),
            "jaccard": jaccard_score(gold, said, average="samples", zero_division=1.0),
            "hamming_loss": hamming_loss(gold, said),
            "ranking_precision": label_ranking_average_precision_score(gold, scores),
        }
        for number, label in enumerate(TASK.labels):
            pair = gold[:, number], said[:, number]
            expected[f"f1.{label}"] = f1_score(*pair, zero_division=0)
            expected[f"precision.{label}"] = precision_score(*pair, zero_division=0)
            expected[f"recall.{label}"] = recall_score(*pair, zero_division=0)
        assert found == pytest.approx(expected)
        assert row.macro_f1 == pytest.approx(f1_score(gold, said, average="macro"))
        assert row.accuracy == pytest.approx(accuracy_score(gold, said))


def test_cells_are_compared_by_micro_f1(made: Comparison) -> None:
    assert made.metric == "micro_f1"
    by_shots = {row.shots: row for row in made.rows if row.seed is None}
    values = {shots: row.figures["micro_f1"] for shots, row in by_shots.items()}
    (pair,) = made.pairs
    assert pair.delta == pytest.approx(values[2].value - values[0].value)
    assert all(
        one.ci is not None and one.ci[0] <= one.value <= one.ci[1] for one in values.values()
    )


def test_thresholds_and_their_cost_are_said(made: Comparison) -> None:
    assert len(made.thresholds) == 4  # of each number of shots and seed
    assert {one.labels for one in made.thresholds} == {TASK.labels}
    assert {one.rows for one in made.thresholds} == {len(TASK.demos)}
    assert any(
        "on 30 rows of the pool" in note and "120 predictions" in note for note in made.notes
    )
    assert any("exact match" in note for note in made.notes)


def test_a_saved_run_is_read_again(made: Comparison, tmp_path: Path) -> None:
    folder = made.save(tmp_path / "run")
    run = read_run(folder)
    assert run.data["thresholds"] == json.loads(json.dumps(made.to_dict()["thresholds"]))
    (row,) = [r for r in run.data["rows"] if r["seed"] is None and r["shots"] == 2]
    assert {"micro_f1", "jaccard_ci", "f1.email_ci_fixed"} <= row.keys()
    text = page.html(run.data, made.to_records())
    assert "Thresholds of 5 labels" in text
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    data["thresholds"][0]["values"] = []
    (folder / "comparison.json").write_text(json.dumps(data))
    with pytest.raises(Exception, match=r"thresholds\.0.*a label needs a threshold"):
        read_run(folder)


def test_the_terminal_shows_the_metrics_of_lists(made: Comparison) -> None:
    said = terminal.text(made.to_dict(), made.to_records())
    for part in ("micro-F1", "macro-F1", "Jaccard index", "Hamming loss", "f1.email", "accuracy"):
        assert part in said


@pytest.mark.parametrize("metric", ["jaccard", "hamming_loss", "macro_f1", "f1.login", "accuracy"])
def test_other_metrics_may_be_chosen(metric: str) -> None:
    found = compare(TASK, models=[FakeModel()], shots=[0, 2], seeds=2, metric=metric, store=Store())
    assert found.metric == metric
    assert len(found.pairs) == 1


def test_gates_take_metrics_of_lists(made: Comparison, tmp_path: Path) -> None:
    saved = made.save(tmp_path / "run")
    how: dict[str, Any] = {"shots": [2], "seeds": 2, "store": Store()}
    found = check(TASK, models=[FakeModel()], min={"f1.email": 0.0}, no_worse_than=saved, **how)
    assert found.passed
    with pytest.raises(TaskError, match="no such metric"):
        check(TASK, models=[FakeModel()], min={"f1.fax": 0.5}, **how)


def test_a_search_improves_the_ranking_of_labels() -> None:
    found = optimise(TASK, FakeModel(), shots=1, budget=150, store=Store())
    assert found.found.metric == "ranking_precision"
    assert found.found.value is not None
    by_f1 = optimise(TASK, FakeModel(), shots=1, budget=150, metric="micro_f1", store=Store())
    assert by_f1.found.metric == "micro_f1"


@pytest.mark.parametrize("method", ["bootstrap"])
def test_other_methods_of_search(method: Any) -> None:
    found = optimise(TASK, FakeModel(), shots=1, budget=200, method=method, store=Store())
    assert len(found.found.shots) == 1


def test_calibration_and_selective_answering_are_for_one_label() -> None:
    how: dict[str, Any] = {"models": [FakeModel()], "shots": [0], "store": Store()}
    with pytest.raises(TaskError, match="calibration is for one label per answer"):
        compare(TASK, calibrations=["batch"], **how)
    found = compare(TASK, max_error=0.2, **how)
    assert any("no probability as a whole" in warning for warning in found.warnings)


def test_the_example_has_no_findings() -> None:
    assert [*lint(TASK)] == []


@pytest.mark.model
def test_the_bundled_model_is_better_than_giving_every_topic(smollm2: LlamaModel) -> None:
    found = compare(TASK, models=[smollm2], shots=[0], seeds=1, store=Store())
    (row,) = [row for row in found.rows if row.seed is None]
    gold = np.array([[label in test.output for label in TASK.labels] for test in TASK.tests])
    everything = f1_score(gold, np.ones_like(gold), average="micro")
    ends = row.figures["micro_f1"].ci
    assert ends is not None
    assert ends[0] > everything
