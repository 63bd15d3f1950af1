"""Predictors without a prompt, compared next to prompted models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from comparisons import compared, learner
from samples import COLON, parity_task

from promptkit import FakeModel, Predictor, Store, check
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor, prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.examples import Example


class Table:
    """Stored answers by word."""

    def __init__(self, answers: dict[str, str], name: str = "table") -> None:
        self.task, self.answers = parity_task(), answers
        self.usage = Usage()
        self.identity = ModelIdentity(name, "cd" * 32, "table", "", "none", 0)

    def predict(self, queries: Iterable[Example[Any, Any]]) -> list[Prediction]:
        name = self.identity.name
        return [
            prediction_of(self.task, query, self.answers.get(query.input.word), model=name)
            for query in queries
        ]


WORDS = {"t": "odd", "tt": "even", "ttt": "odd", "tttt": "even"}  # of six tests, four


def test_a_lookup_table_stands_in_the_rows_and_pairs() -> None:
    table = Table(WORDS)
    assert isinstance(table, AnyPredictor)
    assert isinstance(Predictor(parity_task(), COLON, FakeModel()), AnyPredictor)
    alone, result = compared(), compared(predictors=[table])
    assert [row for row in result.rows if row.model != "table"] == list(alone.rows)
    rows = [row for row in result.rows if row.model == "table"]
    assert [(row.seed, row.n, row.failures) for row in rows] == [
        *((None, 6, 4), (0, 6, 2), (1, 6, 2)),
    ]
    assert {row.accuracy for row in rows} == {4 / 6}
    found = {(p.a.model, p.a.shots): p for p in result.pairs if p.b.model == "table"}
    assert [*found] == [("fake", 0), ("fake", 1), ("fake", 4)]
    for shots, accuracy in ((0, 1 / 6), (1, 2 / 6), (4, 5 / 6)):
        assert found["fake", shots].delta == pytest.approx(4 / 6 - accuracy)
    assert [identity.name for identity in result.models] == ["fake", "table"]
    assert {rival.cell.model for rival in result.best.rivals} == {"fake", "table"}
    assert "table" in str(result)


def test_a_majority_predictor_passes_and_fails_gates(tmp_path: Path) -> None:
    task = parity_task()
    ((label, _),) = Counter(str(demo.output) for demo in task.demos).most_common(1)
    majority = Table(dict.fromkeys([test.input.word for test in task.tests], label), "majority")
    run = compared(predictors=[majority], shots=[4]).save(tmp_path / "run")
    grid: Any = {"models": [FakeModel(learner)], "templates": [COLON], "shots": [4], "seeds": 2}
    checked = check(
        task, min={"accuracy": 0.4}, no_worse_than=run, predictors=[majority], store=Store(), **grid
    )
    cells = [gate.cell.model for gate in checked.gates]
    assert cells == ["fake", "fake", "majority", "majority"]


def test_what_cannot_stand_beside_the_grid_is_refused() -> None:
    for wrong in (Predictor(parity_task(), COLON, FakeModel()), "table"):
        with pytest.raises(TaskError, match="cannot stand beside the grid"):
            compared(predictors=[wrong])
    with pytest.raises(TaskError, match="two models are called 'fake'"):
        compared(predictors=[Table(WORDS, "fake")])
    broken = Table(WORDS)
    broken.predict = lambda queries: []  # type: ignore[method-assign]
    with pytest.raises(TaskError, match="'table': its predictions are not one for each query"):
        compared(predictors=[broken])
