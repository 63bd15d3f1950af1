"""Learning curves of whole comparisons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comparisons import compared
from samples import open_task

from promptkit import FakeModel, Store, compare, load_task
from promptkit.baselines.trained_baselines import trained_baselines
from promptkit.errors import TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.report import page
from promptkit.selection.draw import draw
from promptkit.selection.strategies import default_selection

TRAINED = ["tfidf-logreg", "nearest-neighbour", "naive-bayes"]


def curve(**changed: Any) -> Any:
    return compared(learning_curve=True, **changed).learning_curve


def test_lines_of_prompts_and_models_over_labelled_rows() -> None:
    found = curve()
    prompt, *trained = found.lines
    assert (prompt.name, prompt.kind) == ("prompt", "prompt")
    assert [(p.labels, p.value) for p in prompt.points] == [(0, 1 / 6), (1, 2 / 6), (4, 5 / 6)]
    assert [line.name for line in trained] == TRAINED
    for line in trained:
        assert [(p.labels, p.draws) for p in line.points] == [(1, 2), (2, 2), (4, 2), (8, 1)]
    assert {(pair.labels, pair.shots) for pair in found.pairs} == {(1, 1), (2, 1), (4, 4), (8, 4)}
    assert all(name in " ".join(found.sentences) for name in TRAINED)


def test_models_are_trained_on_exactly_the_shots_of_each_draw() -> None:
    task = load_task("examples/fruit")
    how: Any = {"models": [FakeModel()], "shots": [0, 7], "seeds": 2, "store": Store()}
    result = compare(task, learning_curve=True, lint=False, **how)
    line = next(one for one in result.learning_curve.lines if one.name == "tfidf-logreg")
    at = next(one for one in line.points if one.labels == 7)
    _, linear, *_ = trained_baselines(task)
    right = 0
    for seed in (0, 1):
        for test in task.tests:
            how = {"seed": seed, "selection": default_selection(task), "apart": True}
            shots = draw(task.demos, test, 7, **how)
            asked = next(
                p for p in result.predictions if (p.id, p.shots, p.seed) == (test.id, 7, seed)
            )
            assert asked.shot_ids == tuple([shot.id for shot in shots])
            right += bool(linear.predict_from(shots, [test])[0].correct)
    assert at.value == pytest.approx(right / (2 * len(task.tests)))
    whole = linear.predict(task.tests)
    assert line.points[-1].labels == 51
    assert line.points[-1].value == sum(bool(p.correct) for p in whole) / len(whole)


def test_a_curve_is_saved_and_read_with_the_run(tmp_path: Path) -> None:
    result = compared(learning_curve=True)
    folder = result.save(tmp_path / "run")
    assert read_run(folder).data == result.to_dict()
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert [line["kind"] for line in data["learning_curve"]["lines"]] == [
        "prompt",
        *["trained"] * 3,
    ]
    assert compared().to_dict()["learning_curve"] is None


def test_terminal_and_page_say_where_lines_cross() -> None:
    result = compared(learning_curve=True)
    text = str(result)
    assert "Learning curves, accuracy" in text
    sentences = result.learning_curve.sentences  # type: ignore[union-attr]
    assert sentences[0] in " ".join(text.replace("•", "").split())
    html = page.html(result.to_dict(), result.to_records())
    assert '<section id="learning"' in html
    assert "Accuracy against labelled rows" in html
    chart = result.plot("learning").to_dict()
    assert json.dumps(chart).count('"tfidf-logreg"') > 1


def test_what_has_its_own_shots_for_each_query_takes_the_whole_pool() -> None:
    found = curve(selections=["similar"], shots=[0, 2])
    assert [p.labels for p in found.lines[0].points] == [0, 8]
    assert {(p.labels, p.shots) for p in found.pairs if p.shots} == {(8, 2)}


def test_other_predictors_are_points_at_their_labels() -> None:
    task = load_task("examples/fruit")
    (majority, *_) = trained_baselines(task)
    majority.name = "student"
    how: Any = {"models": [FakeModel()], "shots": [0], "seeds": 1, "store": Store(), "lint": False}
    result = compare(task, learning_curve=True, predictors=[majority], **how)
    (other,) = [line for line in result.learning_curve.lines if line.kind == "other"]
    assert (other.name, [p.labels for p in other.points]) == ("student", [51])


def test_folds_have_curves_too() -> None:
    task = load_task("examples/fruit")
    folded = task.model_copy(update={"folds": task.demos.folds(3), "tests": task.demos})
    how: Any = {"models": [FakeModel()], "shots": [0, 2], "seeds": 2, "store": Store()}
    found = compare(folded, learning_curve=True, lint=False, **how).learning_curve
    assert found is not None
    assert found.lines[1].points[-1].labels == 34


def test_generated_texts_have_no_curve() -> None:
    with pytest.raises(TaskError, match="no baselines can be trained"):
        compared(task=open_task(str, "a"), learning_curve=True)
