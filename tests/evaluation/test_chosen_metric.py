"""Comparisons by another metric than accuracy."""

from __future__ import annotations

from typing import Literal

import comparisons
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from samples import parity_task

from promptkit import (
    Comparison,
    Example,
    FakeModel,
    Prompt,
    Store,
    Task,
    Template,
    check,
    compare,
)
from promptkit.errors import TaskError
from promptkit.evaluation import best_cell, pairs
from promptkit.evaluation.chosen_metric import chosen_metric, default_metric
from promptkit.evaluation.mean_intervals import mean_difference
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.metric_bias import selection_bias
from promptkit.evaluation.outcomes import Numbers, Outcomes
from promptkit.evaluation.power import SampleSize, detectable, queries_needed
from promptkit.evaluation.sentences import judge
from promptkit.evaluation.variance import selection_bias_of_means
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.cell import Cell
from promptkit.models.llama import LlamaModel

MAE = BY_NAME["mae"]
CELL = Cell(model="model", template="template", selection="random", shots=0)


class Text(BaseModel):
    text: str


def by_errors(*errors: np.ndarray) -> dict[Cell, Outcomes]:
    """0, 1, … shots whose answers are so far from their gold numbers."""
    found = {}
    for shots, error in enumerate(errors):
        gold = np.arange(len(error), dtype=float)
        said = (gold + error)[:, np.newaxis]
        values = Numbers(gold, said)
        right = (said == gold[:, np.newaxis]).astype(int)
        cell = CELL.at(shots=shots)
        found[cell] = Outcomes(cell, right, drawn=False, values=values)
    return found


def rated(seeds: int = 2, metric: str | None = None) -> Comparison:
    """A rating of remarks by their length: with more shots the answers are nearer."""
    texts = ["x" * n for n in range(1, 31)]
    tests = [Example[Text, float](input=Text(text=t), output=len(t) / 4) for t in texts]
    demos = [Example[Text, float](input=Text(text="y" * n), output=n / 4) for n in range(1, 9)]
    task = Task[Text, float](name="rated", tests=tests, demos=demos)

    def answer(prompt: Prompt) -> str:
        length = len(prompt.text.rsplit("\n", 1)[-1].split(":")[0])
        return str(length / 4 + 2 / (1 + len(prompt.shots)) + length % 3 / 10)

    source = "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}"
    return compare(
        task,
        models=[FakeModel(answer)],
        templates=[Template(source)],
        shots=[0, 1, 4],
        seeds=seeds,
        metric=metric,
        store=Store(),
        lint=False,
    )


def test_a_smaller_error_is_better() -> None:
    rng = np.random.default_rng(0)
    cells = by_errors(rng.normal(3, 1, 60), rng.normal(1, 0.4, 60))
    best, found = best_cell.best(cells, None, MAE), pairs.compared(cells, MAE)
    assert (best.cell.shots, best.separated) == (1, True)
    assert best.value == MAE.value(cells[best.cell])
    (one,) = found
    assert judge(one.compared) == "better"
    headline, power = pairs.verdicts_on(cells, found, best, pairs.plan(cells, found, MAE), MAE)
    assert headline.startswith("1 shot is best, MAE ")
    assert "better than 0 shots (-" in headline
    assert "find a true difference of MAE of about 0." in power


def test_differences_are_those_of_the_absolute_errors() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(1, 1, 40), rng.normal(0.5, 1, 40)
    (one,) = pairs.compared(by_errors(*errors), MAE)
    expected = mean_difference(np.abs(errors[1]) - np.abs(errors[0]))
    these = one.differences.these
    assert (these.delta, these.p) == pytest.approx((expected.delta, expected.p))
    assert (these.ci.low, these.ci.high) == pytest.approx((expected.ci.low, expected.ci.high))


@given(st.floats(0.01, 1e6), st.integers(0, 99))
def test_the_unit_of_an_error_does_not_matter(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = rng.normal(1, 1, 30), rng.normal(0.8, 1, 30)
    plain, scaled = by_errors(*errors), by_errors(*(scale * error for error in errors))
    (one,), (other,) = pairs.compared(plain, MAE), pairs.compared(scaled, MAE)
    assert other.compared.p == pytest.approx(one.compared.p, rel=1e-6)
    assert judge(one.compared) == judge(other.compared)
    leaders = [best_cell.best(cells, None, MAE).cell for cells in (plain, scaled)]
    assert leaders[0] == leaders[1]
    biases = [selection_bias([*cells.values()], MAE) or 0.0 for cells in (plain, scaled)]
    assert biases[1] == pytest.approx(scale * biases[0], rel=1e-3, abs=1e-9)


def test_the_selection_bias_of_means_is_that_of_simulated_equal_cells() -> None:
    rng = np.random.default_rng(0)
    found, true = [], []
    for _ in range(60):
        values = rng.normal(0, 1, (50, 6))
        true.append(values.mean(axis=0).max())
        found.append(selection_bias_of_means(values))
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.25)


def test_the_planned_number_of_queries_finds_a_difference_of_means() -> None:
    plan = SampleSize(4.0, counts=False)
    n = queries_needed(0.5, plan)
    assert n is not None
    assert detectable(n, plan) == pytest.approx(0.5, rel=0.01)
    rng = np.random.default_rng(0)
    found = [mean_difference(rng.normal(0.5, 2, n)).p <= 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_numbers_are_compared_by_their_errors() -> None:
    result = rated()
    assert result.metric == "mae"
    assert result.best.cell.shots == 4
    assert result.best.value == pytest.approx(result.rows[-1].figures["mae"].value, rel=0.2)
    text = str(result)
    assert "MAE 0.5" in result.verdicts[0]
    assert "RMSE" in text
    assert "points" not in text.split("Ranges")[0]
    assert all("lower [" in pair.verdict for pair in result.pairs)


def test_the_metric_is_saved(tmp_path: object) -> None:
    run = read_run(rated().save(str(tmp_path)))
    assert run.data["metric"] == "mae"
    page = (run.folder / "report.html").read_text("utf-8")
    assert "MAE by number of shots; smaller is better." in page
    assert "points of accuracy" not in page


def test_labels_may_be_compared_by_another_metric() -> None:
    result = comparisons.compared(metric="balanced_accuracy")
    assert result.metric == "balanced_accuracy"
    assert "balanced accuracy 83 %" in result.verdicts[0]
    assert "balanced accuracy +50 points" in " ".join(result.verdicts)
    again = comparisons.compared(metric="log_loss")
    assert again.verdicts[0].startswith("4 shots scored lowest, log loss ")
    table = str(again).split("\n")
    assert table[1].split() == [
        *("shots", "log", "loss", "as", "drawn", "change", "draws", "accuracy"),
        *("coverage", "tokens", "time"),
    ]


def test_accuracy_is_the_default_of_labels() -> None:
    assert default_metric(parity_task()).name == "accuracy"
    assert (
        str(comparisons.compared(metric="accuracy")).split("\n")[2:5]
        == (str(comparisons.compared()).split("\n")[2:5])
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rsme", "metric 'rsme': these answers have no such metric; choose one of: accuracy, "),
        ("mae", "these answers have no such metric"),
        ("balanced_acuracy", "did you mean 'balanced_accuracy'?"),
    ],
)
def test_an_unknown_metric_is_refused_before_a_model_runs(name: str, said: str) -> None:
    def fail(prompt: Prompt) -> str:
        raise AssertionError("asked")

    with pytest.raises(TaskError) as error:
        comparisons.compared(models=[FakeModel(fail)], metric=name)
    assert said in str(error.value)


def test_nothing_is_chosen_by_a_bias() -> None:
    with pytest.raises(TaskError, match="neither a larger nor a smaller one is better"):
        rated(metric="bias")


def test_a_metric_that_no_cell_has_is_refused_and_a_default_one_is_not() -> None:
    task = Task[Text, float](
        name="same", tests=[Example[Text, float](input=Text(text=t), output=1.0) for t in "abc"]
    )
    source = "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}"
    asked = {"templates": [Template(source)], "shots": [0], "seeds": 1, "lint": False}
    model = FakeModel(lambda prompt: "1")
    with pytest.raises(TaskError, match="no cell has one, since all answers"):
        compare(task, models=[model], metric="pearson", store=Store(), **asked)
    none = FakeModel(lambda prompt: "many")
    assert compare(task, models=[none], store=Store(), **asked).metric == "accuracy"


def test_labels_that_are_numbers_stay_labels() -> None:
    task = Task[Text, Literal[1, 2, 3]](name="stars", tests=[{"input": {"text": "a"}, "output": 2}])
    assert default_metric(task).name == "accuracy"
    assert chosen_metric(task, "quadratic_kappa").name == "quadratic_kappa"


@pytest.mark.model
def test_the_bundled_model_rates_and_is_checked_by_its_errors(smollm2: LlamaModel) -> None:
    remarks = ("awful", "bad", "poor", "fair", "good", "great")
    rows = [
        Example[Text, int](input=Text(text=f"{word} {thing}"), output=stars)
        for thing in ("lamp", "chair")
        for stars, word in enumerate(remarks)
    ]
    task = Task[Text, int](name="stars", demos=rows[:6], tests=rows[6:])
    source = "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}"
    asked = {"templates": [Template(source)], "shots": [4], "seeds": 2, "lint": False}
    found = check(task, max={"mae": 1e9}, models=[smollm2], store=Store(), **asked)
    assert found.comparison.metric == "mae"
    assert found.gates[0].estimate == pytest.approx(found.comparison.best.value)
