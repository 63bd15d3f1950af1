"""Tasks whose queries have options of their own, from the data to the page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from command_line import Run
from sklearn.metrics import log_loss

from promptkit import Comparison, FakeModel, Predictor, Store, Template, check, compare, load_task
from promptkit.experiments.saved_runs import read_run

QUIZ_FOLDER = Path(__file__).parents[2] / "examples" / "quiz"
QUIZ = load_task(QUIZ_FOLDER)
CHANCE = fmean(1 / len(QUIZ.answers_of(test)) for test in QUIZ.tests)


@pytest.fixture(scope="module")
def result() -> Comparison:
    return compare(
        QUIZ,
        models=[FakeModel()],
        templates=["letters.j2", "lines.j2"],
        shots=[0, 2],
        seeds=2,
        store=Store(),
    )


def test_predictions_are_over_the_querys_own_options(result: Comparison) -> None:
    assert {len(one.probs or ()) for one in result.predictions} == {3, 4, 5}
    for one in result.predictions:
        options = one.input["choices"]
        assert [*(one.logprobs or {})] == [*(one.probs or {})] == options
        assert sum((one.probs or {}).values()) == pytest.approx(1)
        assert one.label == max(one.probs or {}, key=(one.probs or {}).__getitem__)
        assert one.correct == (one.label == one.gold)
        assert one.gold in options
        assert one.text is None
        assert one.failure is None


def test_losses_are_those_of_each_querys_options(result: Comparison) -> None:
    for row in (row for row in result.rows if row.seed is not None):
        own = [one for one in result.predictions if one.cell == row.cell]
        losses = [-math.log((one.probs or {})[one.gold]) for one in own]
        brier = [
            sum((p - (o == one.gold)) ** 2 for o, p in (one.probs or {}).items()) for one in own
        ]
        assert row.accuracy == fmean(bool(one.correct) for one in own)
        assert row.log_loss == pytest.approx(fmean(losses))
        assert row.brier == pytest.approx(fmean(brier))
        table = np.zeros((len(own), 5))
        for line, one in zip(table, own, strict=True):
            line[: len(one.probs or {})] = [*(one.probs or {}).values()]
        gold = [[*(one.probs or {})].index(one.gold) for one in own]
        assert row.log_loss == pytest.approx(log_loss(gold, table, labels=range(5)))


def test_metrics_of_one_set_of_labels_are_left_out(result: Comparison) -> None:
    for row in result.rows:
        assert row.macro_f1 is None
        assert not {"mcc", "kappa", "balanced_accuracy", "auroc"} & row.figures.keys()
        assert {"top_2_accuracy", "aurc"} <= row.figures.keys()
    assert result.confusion == ()
    assert result.free_answers == ()
    assert result.reliability
    assert not any("collapse" in one or "coverage" in one for one in result.warnings)


def test_chance_is_the_baseline(result: Comparison) -> None:
    assert result.best.baseline == pytest.approx(CHANCE)
    text = " ".join(str(result).split())
    assert f"(chance: {100 * CHANCE:.0f} %)" in text
    assert f"Chance is {100 * CHANCE:.0f} %" in text
    assert f"No cell significantly beats chance ({100 * CHANCE:.0f} %)" in text


def test_a_run_is_saved_read_and_shown(result: Comparison, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "run")
    saved = read_run(folder)
    assert [one.probs for one in saved.predictions] == [one.probs for one in result.predictions]
    page = (folder / "report.html").read_text("utf-8")
    assert "chance" in page
    assert "the Thames" in page
    assert "macro F1" not in page.partition("<script")[0].partition("more metric")[0]
    assert "Gold label" not in page  # no two queries need have one


def test_a_model_that_knows_is_right_with_texts_and_letters() -> None:
    gold = {test.input.question: test for test in QUIZ.tests}

    def answer(prompt: Any, letters: bool) -> str:
        asked = next(test for text, test in gold.items() if text in prompt.text.split("\n\n", 1)[1])
        index = list(QUIZ.answers_of(asked)).index(asked.output)
        return "ABCDE"[index] if letters else asked.output

    for name in ("letters.j2", "lines.j2"):
        is_letters = name == "letters.j2"
        model = FakeModel(lambda prompt, letters=is_letters: answer(prompt, letters))
        made = Predictor(QUIZ, Template.of(QUIZ, name), model).predict(QUIZ.tests)
        assert all(one.correct for one in made)


def test_gates_bound_accuracy_and_log_loss() -> None:
    checked = check(
        QUIZ, models=[FakeModel()], shots=[0], seeds=1, max={"log_loss": 9.0}, store=Store()
    )
    assert checked.passed


@pytest.mark.model
def test_a_model_answers_far_better_than_by_chance(tmp_path: Path) -> None:
    made = compare(QUIZ, templates=["lines.j2"], shots=[0], calibrations="all", store=Store())
    accuracies = {row.calibration: row.accuracy for row in made.rows if row.seed is None}
    assert accuracies.keys() == {"none", "pmi", "by_byte", "by_token"}
    assert min(accuracies.values()) > 2 * CHANCE
    assert made.save(tmp_path).joinpath("report.html").stat().st_size > 10_000


@pytest.mark.model
def test_the_commands_answer_options_in_parquet(run: Run, here: Path) -> None:
    """Lint, render, compare by slices, check and optimise with the bundled model."""
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    (here / "quiz").mkdir()
    for part in ("demos", "tests"):
        lines = (QUIZ_FOLDER / f"{part}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) | {"source": "ab"[at % 2]} for at, line in enumerate(lines)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), here / "quiz" / f"{part}.parquet")
    toml = (QUIZ_FOLDER / "task.toml").read_text("utf-8").replace(".jsonl", ".parquet")
    (here / "quiz" / "task.toml").write_text(toml, "utf-8")
    assert run("lint", "quiz").code == 0
    assert "D. eagle\nAnswer:" in run("render", "quiz", "--shots", 1).out

    how = ["--template", "lines.j2", "--shots", 2, "--weights", "as-is"]
    draw = ["--seeds", 1, "--limit", 12]
    by = ["--by", "source", "--calibrate", "by_byte", "--out", "run"]
    done = run("compare", "quiz", *how, *draw, *by)
    assert done.code == 0
    assert "By source, accuracy" in done.out
    data = json.loads((here / "run" / "comparison.json").read_text("utf-8"))
    (slicing,) = data["slices"]
    assert {part["level"] for part in slicing["slices"]} == {"a", "b"}
    right = [row["accuracy"] for row in data["rows"] if row["seed"] is None]
    assert min(right) > 0.5

    gates = ["--calibrate", "by_byte", "--min", "accuracy=0.3", "--no-worse-than", "run"]
    done = run("check", "quiz", *how, *draw, *gates)
    assert (done.code, done.out.count("  pass  ")) == (0, 2)
    assert "0 prompts to ask" in done.err  # all of them are in the store

    search = ["--budget", 60, "--held-out", 4, "--weights", "as-is"]
    done = run("optimise", "quiz", "--template", "lines.j2", "--shots", 1, *search)
    assert done.code == 0
    assert "log loss" in done.out
    assert "--selection balanced --template lines.j2" in done.out
    (shot,) = json.loads((here / "shots.json").read_text("utf-8"))["shots"]
    assert QUIZ.demos.by_id(shot) is not None
