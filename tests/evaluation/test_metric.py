from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, FakeModel, Store, Task, Template, compare
from promptkit.errors import TaskError
from promptkit.evaluation.metric import METRICS, metric_named, metrics_of
from promptkit.evaluation.outcomes import outcomes
from promptkit.experiments.comparison import Comparison
from promptkit.experiments.saved_runs import read_run
from promptkit.tasks.measures import Scoring

Stars = Literal[1, 2, 3]


class Text(BaseModel):
    text: str


SOURCE = "{% example %}{{ input.text }}: {{ output }}\n{% endexample %}"


def rated(said: dict[str, str], **gold: float) -> Comparison:
    tests = [Example[Text, float](input=Text(text=k), output=v) for k, v in gold.items()]
    task = Task[Text, float](name="rated", tests=tests, scoring=Scoring(within=0.5))
    model = FakeModel(lambda prompt: said[prompt.text.split(":")[0]])
    prompts = [Template(SOURCE)]
    return compare(task, models=[model], templates=prompts, shots=[0], seeds=1, store=Store())


def test_numbers_have_their_errors() -> None:
    result = rated({"a": "1.5", "b": "2", "c": "5"}, a=1, b=2, c=3)
    figures = result.rows[0].figures
    assert figures["mae"].value == pytest.approx(2.5 / 3)
    assert figures["bias"].value == pytest.approx(2.5 / 3)
    assert figures["within"].value == pytest.approx(2 / 3)
    assert [p.measures for p in result.predictions] == [{"within": w} for w in (1, 1, 0)]


def test_an_answer_that_is_no_number_has_no_error_and_is_not_near() -> None:
    result = rated({"a": "1", "b": "many", "c": "4"}, a=1, b=2, c=3)
    row = result.rows[0]
    assert (row.failures, row.figures["mae"].value) == (1, 0.5)
    assert row.figures["within"].value == pytest.approx(1 / 3)


def test_labels_that_are_numbers_have_errors_and_a_weighted_kappa() -> None:
    rows = {"a": 1, "b": 2, "c": 3, "d": 3}
    tests = [Example[Text, Stars](input=Text(text=k), output=v) for k, v in rows.items()]
    task = Task[Text, Stars](name="stars", tests=tests)
    model = FakeModel(lambda prompt: "2")
    result = compare(
        task, models=[model], templates=[Template(SOURCE)], shots=[0], store=Store(), lint=False
    )
    figures = result.rows[0].figures
    assert figures["mae"].value == 0.75
    assert figures["quadratic_kappa"].value == 0.0


def test_a_saved_run_keeps_its_figures(tmp_path: object) -> None:
    result = rated({"a": "1.5", "b": "2", "c": "5"}, a=1, b=2, c=3)
    run = read_run(result.save(str(tmp_path)))
    saved, known = run.data["rows"], result.to_dict()["rows"]
    assert saved == known
    assert saved[0]["rmse"] > saved[0]["mae"] > 0
    assert run.predictions == result.predictions


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    result = rated({"a": "1", "b": "2", "c": "3"}, a=1, b=2, c=3)
    (one,) = outcomes(result.predictions, {}).values()
    with pytest.raises(TaskError, match="did you mean 'rmse'"):
        metric_named("rsme", one)
    names = [metric.name for metric, _ in metrics_of(one)]
    assert names == ["accuracy", "mae", "rmse", "bias", "pearson", "spearman", "within"]
    assert {metric.name for metric in METRICS} >= {*names} - {"within"}
