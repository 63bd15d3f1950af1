"""Metrics of answers without a model, and cells that answer in part only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    root_mean_squared_error,
)

from promptkit import Comparison, Example, FakeModel, Prompt, Store, Task, Template, compare
from promptkit.evaluation import best_cell, pairs
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.outcomes import Numbers, Outcomes
from promptkit.inference.cell import Cell
from promptkit.report import page
from promptkit.tasks.measures import Scoring

MAE = BY_NAME["mae"]
CELL = Cell(model="model", template="template", selection="random", shots=0)
TEMPLATE = Template("{% example %}{{ input.text }}: {{ output }}\n{% endexample %}")


class Text(BaseModel):
    text: str


def run(output: Any, golds: list[Any], pool: list[Any], **more: Any) -> Comparison:
    tests = [Example(input=Text(text=f"t{i}"), output=gold) for i, gold in enumerate(golds)]
    demos = [Example(input=Text(text=f"d{i}"), output=gold) for i, gold in enumerate(pool)]
    scoring = Scoring(within=more.pop("within", None))
    task = Task[Text, output](name="t", tests=tests, demos=demos, scoring=scoring)
    chosen: dict[str, Any] = {"models": [FakeModel()], "shots": [0], "seeds": 1} | more
    return compare(task, templates=[TEMPLATE], store=Store(), lint=False, **chosen)


GOLDS = [*"aaaaabbbcc", *"aabbbaaaca"]
CLASSES = Literal["a", "b", "c"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("macro_f1", f1_score(GOLDS, ["a"] * 20, average="macro", zero_division=0)),
        ("balanced_accuracy", balanced_accuracy_score(GOLDS, ["a"] * 20)),
        ("mcc", 0.0),
        ("kappa", 0.0),
    ],
)
def test_labels_have_that_of_the_commonest_label(metric: str, expected: float) -> None:
    made = run(CLASSES, GOLDS, [*"abc"], metric=metric)
    assert made.best.baseline == pytest.approx(expected)
    assert made.best.baseline_name == 'always answering "a"'
    noun = BY_NAME[metric].noun
    assert any(note.startswith(f'Always answering "a" would have {noun} ') for note in made.notes)


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_probabilities_have_that_of_the_label_frequencies(metric: str) -> None:
    made = run(CLASSES, GOLDS, [*"abc"], metric=metric)
    frequencies = np.tile([GOLDS.count(label) / 20 for label in "abc"], (20, 1))
    oracle = log_loss if metric == "log_loss" else brier_score_loss
    more: dict[str, Any] = {} if metric == "log_loss" else {"scale_by_half": False}
    assert made.best.baseline == pytest.approx(oracle(GOLDS, frequencies, labels=[*"abc"], **more))
    assert "constant probabilities" in made.best.baseline_name


@pytest.mark.parametrize("output", [float, Literal[1, 2, 3, 4, 5]])
def test_numbers_have_that_of_the_median_or_mean_of_the_pool(output: Any) -> None:
    golds, pool = [1, 2, 4, 5, 5, 3, 2, 1] * 3, [1, 2, 3, 3, 5, 5, 5]
    said = {"models": [FakeModel(lambda _: "2")]}
    mae = run(output, golds, pool, metric="mae", **said)
    assert mae.best.baseline == pytest.approx(mean_absolute_error(golds, [3] * 24))
    assert "A constant 3.0 (the median of the pool) would have MAE 1.38." in mae.notes
    rmse = run(output, golds, pool, metric="rmse", **said)
    mean = [sum(pool) / len(pool)] * 24
    assert rmse.best.baseline == pytest.approx(root_mean_squared_error(golds, mean))
    assert "a constant 3.4 (the mean of the pool)" in rmse.best.baseline_name
    near = run(output, golds, pool, metric="within", within=1, **said)
    assert near.best.baseline == pytest.approx(np.mean([abs(gold - 3) <= 1 for gold in golds]))
    assert run(output, golds, pool, metric="mae", **said).warnings
    assert run(output, golds, [], metric="mae", **said).best.baseline is None


def test_a_cell_that_does_not_beat_the_constant_is_said_to() -> None:
    made = run(float, [1.0, 3.0, 5.0] * 20, [3.0, 2.0, 4.0], models=[FakeModel(lambda _: "9")])
    assert made.verdicts[0] == (
        "No cell beats a constant 3.0 (the median of the pool): MAE 1.33, the best 6.0."
    )
    assert any(
        "No cell significantly beats a constant 3.0 (the median of the pool), MAE 1.33;" in warning
        for warning in made.warnings
    )
    good = run(float, [1.0, 3.0, 5.0] * 20, [3.0, 2.0, 4.0], models=[FakeModel(answer_gold)])
    assert not any("beats" in text for text in (*good.verdicts, *good.warnings))
    assert ">constant<" in page.html(good.to_dict(), good.to_records()).replace("</tspan>", "<")


def answer_gold(prompt: Prompt) -> str:
    number = int(prompt.text.rstrip().rsplit("\n", 1)[-1].removeprefix("t").split(":")[0])
    return str([1.0, 3.0, 5.0][number % 3])


def cells(*answers: np.ndarray) -> dict[Cell, Outcomes]:
    found = {}
    for shots, said in enumerate(answers):
        cell = CELL.at(shots=shots)
        values = Numbers(np.zeros(len(said)), said[:, np.newaxis])
        right = (said[:, np.newaxis] == 0).astype(int)
        found[cell] = Outcomes(cell, right, drawn=False, values=values)
    return found


def test_a_cell_that_answers_the_easy_queries_only_is_not_the_best() -> None:
    rng = np.random.default_rng(0)
    errors = rng.exponential(1, 100)
    easy = np.where(errors < 0.5, errors, np.nan)
    by_cell = cells(errors, easy)
    assert MAE.value(by_cell[CELL.at(shots=1)]) < MAE.value(by_cell[CELL])  # type: ignore[operator]
    best, found = best_cell.best(by_cell, None, MAE), pairs.compared(by_cell, MAE)
    assert (best.cell.shots, best.separated) == (0, False)
    first, *others = pairs.verdicts_on(by_cell, found, best, pairs.plan(by_cell, found, MAE), MAE)
    assert first.startswith("0 shots scored lowest of the cells that mostly answer")
    answered = int((errors < 0.5).sum())
    assert any(f"over the {answered} of 100 queries that both answered" in one for one in others)
    (pair,) = pairs.pairs(by_cell, found)
    assert (pair.delta, pair.n) == (0, answered)


def test_where_no_cell_mostly_answers_the_share_is_said() -> None:
    made = run(float, [1.0, 3.0] * 20, [3.0, 2.0], models=[FakeModel(half)], shots=[0, 1])
    assert "of the 50 % of its answers that have one" in made.verdicts[0]
    assert any(
        "50 % of the answers at 0 shots have no MAE (and more than 5 % in 2 of 2 cells)" in one
        for one in made.warnings
    )
    assert "20 (50 %)" in str(made)
    assert "20 (50 %)" in page.html(made.to_dict(), made.to_records())


def half(prompt: Prompt) -> str:
    number = int(prompt.text.rstrip().rsplit("\n", 1)[-1].removeprefix("t").split(":")[0])
    return "2.5" if number % 2 else "no idea"
