"""Trained baselines in a comparison: rows, pairs, verdicts, and what stays as it is without."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from comparisons import compared, learner
from pydantic import BaseModel
from samples import COLON, open_task, parity_task

from promptkit import Comparison, FakeModel, Prompt, Store, Task, check, compare, load_task
from promptkit.baselines.trained_baselines import trained_baselines
from promptkit.errors import TaskError
from promptkit.evaluation.intervals import paired_difference
from promptkit.experiments.freezing import cell_in, freeze_cell
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.models.base import ModelIdentity, Usage
from promptkit.report import page

NAMES = ["majority", "tfidf-logreg", "nearest-neighbour", "naive-bayes"]


class Text(BaseModel):
    text: str


def shapes(right: float = 1.0) -> Comparison:
    """A task that a linear model learns, asked of a model that is right in a share of the tests."""
    words = {"round": ["ball", "globe", "orb", "bead"], "flat": ["sheet", "plate", "board", "tile"]}
    rows = [
        ({"text": f"a {word} number {number}"}, label)
        for label, own in words.items()
        for word in own
        for number in range(15)
    ]
    pool, tests = rows[::2], rows[1::2]
    task = Task[Text, Literal["flat", "round"]](
        name="shapes",
        demos=[{"input": input, "output": label} for input, label in pool],  # type: ignore[misc]
        tests=[{"input": input, "output": label} for input, label in tests],  # type: ignore[misc]
    )
    gold = {test.input.text: str(test.output) for test in task.tests}
    known = [*gold][: round(right * len(gold))]

    def answer(prompt: Prompt) -> str:
        text = next(one for one in sorted(gold, key=len, reverse=True) if one in prompt.text[-30:])
        said = gold[text]
        return said if text in known else {"flat": "round", "round": "flat"}[said]

    how: Any = {"models": [FakeModel(answer)], "shots": [0, 2], "seeds": 2, "store": Store()}
    return compare(task, baselines=True, lint=False, **how)


def test_baselines_have_rows_like_prompts_and_change_none_of_theirs() -> None:
    alone, both = compared(), compared(baselines=True)
    assert [row for row in both.rows if row.predictor == "prompt"] == list(alone.rows)
    rows = [row for row in both.rows if row.predictor != "prompt"]
    assert [(row.predictor, row.seed) for row in rows] == [
        (name, seed) for name in NAMES for seed in (None, 0)
    ]
    assert both.pairs[: len(alone.pairs)] == alone.pairs
    assert both.best == alone.best
    assert both.warnings == alone.warnings
    assert (both.variance, both.spreads) == (alone.variance, alone.spreads)
    assert {*alone.verdicts} <= {line.removeprefix("Among the prompts: ") for line in both.verdicts}
    task = parity_task()
    for one in trained_baselines(task):
        made = one.predict(task.tests)
        row = next(row for row in rows if row.predictor == one.name and row.seed is None)
        assert row.accuracy == sum(bool(p.correct) for p in made) / len(made)
        assert row.log_loss is not None
        assert row.accuracy_ci == row.accuracy_ci_fixed


def test_each_baseline_is_compared_with_the_best_prompt() -> None:
    result = shapes(0.7)
    found = {pair.b.model: pair for pair in result.pairs if pair.b.predictor != "prompt"}
    assert [*found] == NAMES
    assert {pair.a for pair in found.values()} == {result.best.cell}
    by_cell = {row.model: row for row in result.rows if row.seed is None}
    linear = found["tfidf-logreg"]
    assert linear.delta == pytest.approx(by_cell["tfidf-logreg"].accuracy - result.best.accuracy)
    right = {
        name: [bool(p.correct) for p in result.predictions if p.model == name and p.seed == 0]
        for name in ("fake", "tfidf-logreg")
    }
    shown = right["fake"][: len(right["tfidf-logreg"])]  # without shots, as the best is
    assert result.best.cell.shots == 0
    oracle = paired_difference([[x] for x in shown], [[x] for x in right["tfidf-logreg"]])
    assert linear.p_fixed == pytest.approx(oracle.p, rel=1e-6)
    # Chosen from 2 prompts, and 4 baselines: Bonferroni, then Holm.
    p_values = sorted(min(1, 2 * pair.p_fixed) for pair in found.values())
    steps = [min(1.0, (4 - place) * p) for place, p in enumerate(p_values)]
    steps = [max(steps[: place + 1]) for place in range(4)]
    assert sorted(pair.p_holm for pair in found.values()) == pytest.approx(steps)


def test_the_first_sentence_says_that_a_baseline_is_best() -> None:
    first, second, *_ = shapes(0.6).verdicts
    assert first.startswith(
        "tfidf-logreg, trained on 60 labelled rows, beats the best prompt, 0 shots, by 40 points ["
    )
    assert "after correcting for 8 comparisons" in first
    assert first.endswith(": 100 % right [94, 100].")
    assert second.startswith("Among the prompts: 0 shots scored highest, 60 % right")


def test_the_headline_stays_about_prompts_where_one_is_best() -> None:
    first, second, *_ = compared(baselines=True).verdicts
    assert first.startswith("4 shots scored highest, 83 % right")
    assert second.startswith(
        "The best prompt, 4 shots, is not separated from the best trained baseline, "
    )
    assert " on 8 labelled rows: +33 points [" in second


def test_equal_values_are_not_separated() -> None:
    verdict = shapes(1.0).verdicts[1]
    assert verdict.startswith(
        "The best prompt, 0 shots, is not separated from the best trained baseline, tfidf-logreg "
        "on 60 labelled rows: 0 points ["
    )


def test_numbers_are_compared_by_their_errors() -> None:
    texts = {"good film": 4.0, "bad film": 1.0, "very good": 5.0, "awful": 0.0}
    demos = [{"input": {"text": text}, "output": number} for text, number in texts.items()]
    tests = [{"input": {"text": f"{text} it is"}, "output": n} for text, n in texts.items()]
    task = Task[Text, float](name="stars", demos=demos, tests=tests)  # type: ignore[arg-type]
    how: Any = {"shots": [0], "seeds": 1, "store": Store(), "lint": False}
    result = compare(task, models=[FakeModel(lambda _: "2.5")], baselines=True, **how)
    assert [row.predictor for row in result.rows if row.seed is None] == [
        *("prompt", "mean", "median", "tfidf-ridge")
    ]
    assert result.metric == "mae"
    assert result.verdicts[0].startswith("tfidf-ridge, trained on 4 labelled rows, ")
    assert "MAE" in result.verdicts[0]
    assert "tfidf-ridge" in str(result)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(TaskError, match="no baselines can be trained"):
        compared(task=open_task(str, "a"), baselines=True)


def test_a_predictor_of_the_same_name_is_refused() -> None:
    (one, *_) = trained_baselines(parity_task())
    with pytest.raises(TaskError, match="two models are called 'majority'"):
        compared(baselines=True, predictors=[one])


def test_without_baselines_nothing_of_scikit_learn_is_imported() -> None:
    import subprocess

    source = (
        "import sys; sys.path.insert(0, 'tests/support'); from comparisons import compared; "
        "compared(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_run_with_baselines_is_read_again(tmp_path: Path) -> None:
    result = compared(baselines=True)
    folder = result.save(tmp_path / "run")
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert {row["predictor"] for row in data["rows"]} == {"prompt", *NAMES}
    run = read_run(folder)
    assert run.data == result.to_dict()
    assert set(result.to_pandas().predictor) == {"prompt", *NAMES}


def test_gates_compare_with_the_prompts_of_a_run_with_baselines(tmp_path: Path) -> None:
    run = compared(baselines=True, shots=[4]).save(tmp_path / "run")
    renamed = replace(COLON, name="another")
    grid: Any = {"models": [FakeModel(learner)], "templates": [renamed], "shots": [4], "seeds": 2}
    checked = check(parity_task(), no_worse_than=run, store=Store(), **grid)
    assert [gate.cell.template for gate in checked.gates] == ["another"]
    assert checked.passed


def test_a_baseline_is_not_frozen_as_a_prompt(tmp_path: Path) -> None:
    result = compared(baselines=True)
    run = read_run(result.save(tmp_path / "run"))
    assert cell_in(run, {}).template == COLON.name
    assert cell_in(run, {"shots": "0"}).template == COLON.name
    cell = cell_in(run, {"model": "tfidf-logreg"})
    with pytest.raises(TaskError, match="tfidf-logreg has no prompt to freeze"):
        freeze_cell(run, cell, tmp_path / "x.promptkit", task=parity_task(), load=lambda _: ...)  # type: ignore[arg-type, return-value]
    with pytest.raises(TaskError, match="tfidf-logreg has no prompt to freeze"):
        result.predictor(cell)


def test_terminal_and_page_show_baselines_apart(tmp_path: Path) -> None:
    result = compared(baselines=True)
    text = str(result)
    head, _, rest = text.partition("parity · without a prompt · 6 queries")
    assert "fake (none) · colon" in head
    assert "tfidf-logreg" not in head
    table = rest.split("\n\n")[0]
    assert [line.split()[0] for line in table.splitlines()[3:]] == NAMES
    assert "vs 4 shots" in table
    html = page.html(result.to_dict(), result.to_records())
    assert "<h3>Without a prompt</h3>" in html
    assert html.count('<th scope="row" dir="auto">naive-bayes<td') >= 1


def test_folds_have_a_model_each() -> None:
    task = load_task("examples/fruit")
    folded = task.model_copy(update={"folds": task.demos.folds(3), "tests": task.demos})
    how: Any = {"models": [FakeModel()], "shots": [0], "seeds": 1, "store": Store(), "lint": False}
    result = compare(folded, baselines=True, **how)
    assert " labelled rows" in " ".join(result.verdicts)
    assert {row.predictor for row in result.rows} == {"prompt", *NAMES}


class Perfect:
    """A predictor without a prompt that is always right."""

    def __init__(self, task: Any) -> None:
        self.task, self.usage = task, Usage()
        self.identity = ModelIdentity("oracle", "ab" * 32, "table", "", "none", 0)

    def predict(self, queries: Any) -> list[Prediction]:
        return [prediction_of(self.task, one, one.output, model="oracle") for one in queries]


def test_another_predictor_may_be_the_best_of_the_others() -> None:
    result = compared(baselines=True, learning_curve=True, predictors=[Perfect(parity_task())])
    first, second, *_ = result.verdicts
    assert first.startswith("Model oracle scored highest, 100 % right")
    assert second.startswith("oracle is not separated from the best trained baseline, ")
    assert result.learning_curve is not None
    assert "a prompt with up to 4 shots" in result.learning_curve.sentences[0]
    assert str(result).count("without a prompt") == 1
