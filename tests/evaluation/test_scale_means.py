"""The mean and the median over a scale, from the scores of its labels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from walkthrough import ROOT

from promptkit import Example, FakeModel, LlamaModel, Store, Task, Template, compare, load_task
from promptkit.calibration.methods import Calibration
from promptkit.evaluation.metric import BY_NAME, metric_named
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.experiments.comparison import Comparison
from promptkit.inference.cell import RAW
from promptkit.tasks.judging import Judge
from promptkit.tasks.measures import Scoring
from promptkit.tasks.output_type import OutputType

Stars = Literal[1, 2, 3, 4, 5]
LABELS = OutputType(Stars).label_of
JUDGE = Judge(Scoring(within=1), OutputType(Stars))


class Text(BaseModel):
    text: str


SOURCE = "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}"


def compared(
    n: int = 40, calibrations: tuple[Calibration, ...] = (), metric: str | None = None
) -> Comparison:
    """A model that scores labels by a hash; gold numbers in the middle, where the mean is."""
    golds = [3, 3, 2, 4]
    tests = [
        Example[Text, Stars](input=Text(text=f"t{i}"), output=golds[i % 4])  # type: ignore[arg-type]
        for i in range(n)
    ]
    demos = [
        Example[Text, Stars](input=Text(text=f"d{i}"), output=1 + i % 5)  # type: ignore[arg-type]
        for i in range(20)
    ]
    task = Task[Text, Stars](name="stars", tests=tests, demos=demos, scoring=Scoring(within=1))
    return compare(
        task,
        models=[FakeModel()],
        templates=[Template(SOURCE)],
        shots=[0, 4],
        seeds=2,
        calibrations=calibrations,
        store=Store(),
        lint=False,
        metric=metric,
    )


def of_cells(result: Comparison) -> list[Outcomes]:
    return [*outcomes(result.predictions, LABELS, JUDGE.of_label).values()]


def test_the_metrics_are_those_of_scikit_learn_and_scipy() -> None:
    result = compared()
    rows = {row.shots: row for row in result.rows if row.seed is None}
    scale = np.arange(1, 6)
    for shots, row in rows.items():
        asked = [p for p in result.predictions if p.shots == shots]
        found: dict[str, list[float]] = {"mae_of_mean": [], "rmse_of_mean": [], "mae_of_median": []}
        for seed in {p.seed for p in asked}:
            own = [p for p in asked if p.seed == seed]
            gold = [float(p.gold) for p in own]
            each = [
                stats.rv_discrete(values=(scale, [p.probs[str(v)] for v in scale]))  # type: ignore[index]
                for p in own
            ]
            means = [one.mean() for one in each]
            found["mae_of_mean"].append(mean_absolute_error(gold, means))
            found["rmse_of_mean"].append(root_mean_squared_error(gold, means))
            medians = [one.median() for one in each]
            found["mae_of_median"].append(mean_absolute_error(gold, medians))
        for name, values in found.items():
            figure = row.figures[name]
            assert figure.value == pytest.approx(np.mean(values))
            assert figure.ci_fixed is not None
            assert figure.ci_fixed[0] <= figure.value <= figure.ci_fixed[1]


def test_a_calibrated_cell_has_them_from_its_own_probabilities_and_is_near_or_not() -> None:
    result = compared(calibrations=("contextual",))
    calibrated = [one for one in of_cells(result) if one.cell.calibration != RAW]
    assert calibrated
    for one in calibrated:
        method = one.cell.calibration
        asked = [p for p in result.predictions if p.shots == one.cell.shots]
        expected = [
            abs(float(p.gold) - sum(float(k) * v for k, v in p.calibrated[method].items()))
            for p in asked
        ]
        assert BY_NAME["mae_of_mean"].value(one) == pytest.approx(np.mean(expected))
        said = [max(p.calibrated[method], key=p.calibrated[method].__getitem__) for p in asked]
        near = [
            abs(float(p.gold) - float(label)) <= 1 for p, label in zip(asked, said, strict=True)
        ]
        assert metric_named("within", one).value(one) == pytest.approx(np.mean(near))
        row = next(row for row in result.rows if row.at(seed=None) == one.cell)
        assert row.figures["within"].value == pytest.approx(np.mean(near))
        assert row.figures["within"].ci_fixed is not None


def test_raw_measures_are_those_that_a_calibration_by_nothing_would_have() -> None:
    result = compared()
    for one in of_cells(result):
        assert one.values is not None
        near = np.abs(one.values.said - one.values.gold[:, np.newaxis]) <= 1
        np.testing.assert_array_equal(one.measures["within"], near)


def test_a_significant_difference_of_mean_and_label_is_a_verdict() -> None:
    said = [line for line in compared(120).verdicts if "probability-weighted mean" in line]
    assert len(said) == 1
    assert "vs the most probable label: MAE " in said[0]
    assert " lower [" in said[0]
    assert "Holm-adjusted p" in said[0]
    few = compared(4).verdicts
    assert not any("probability-weighted mean" in line for line in few)


def test_a_comparison_can_look_at_the_mean() -> None:
    result = compared(metric="mae_of_mean")
    assert result.metric == "mae_of_mean"
    assert result.best.value == min(
        row.figures["mae_of_mean"].value for row in result.rows if row.seed is None
    )


def test_labels_that_are_no_numbers_have_no_mean() -> None:
    tests = [
        Example[Text, Literal["a", "b", "c"]](input=Text(text=f"t{i}"), output="a")
        for i in range(8)
    ]
    task = Task[Text, Literal["a", "b", "c"]](name="letters", tests=tests)
    result = compare(
        task, models=[FakeModel()], templates=[Template(SOURCE)], shots=[0], store=Store()
    )
    assert not any("mean" in name for row in result.rows for name in row.figures)


@pytest.mark.model
def test_the_bundled_model_rates_on_a_scale(smollm2: LlamaModel) -> None:
    task = load_task(ROOT / "examples" / "ratings")
    assert task.labels == ("1", "2", "3", "4", "5")
    result = compare(
        task, models=[smollm2], shots=[0], seeds=1, limit=12, calibrations=("batch",), store=Store()
    )
    raw, calibrated = (row for row in result.rows if row.seed is None)
    for row in (raw, calibrated):
        assert {"mae", "mae_of_mean", "rmse_of_mean", "mae_of_median", "within"} <= {*row.figures}
    asked = [(p.gold, p.probs or {}) for p in result.predictions]
    means = [sum(float(label) * p for label, p in probs.items()) for _, probs in asked]
    expected = mean_absolute_error([float(gold) for gold, _ in asked], means)
    assert raw.figures["mae_of_mean"].value == pytest.approx(expected)
    assert calibrated.figures["mae_of_mean"].value != raw.figures["mae_of_mean"].value
