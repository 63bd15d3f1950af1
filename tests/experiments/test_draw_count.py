"""How many draws are asked where the comparison decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import COLON, asked_word, parity, parity_task

from promptkit import FakeModel, Prompt, Store, compare
from promptkit.errors import TaskError
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.outcomes import Numbers, Outcomes
from promptkit.experiments import draw_count
from promptkit.experiments.compare import Comparison
from promptkit.inference.cell import Cell

CELL = Cell(model="model", template="template", selection="random", shots=4)


def cell(by_draw: float, n: int = 300, seed: int = 0, *, drawn: bool = True) -> Outcomes:
    rng = np.random.default_rng(seed)
    ease, luck = rng.normal(0, 1, (n, 1)), rng.normal(0, by_draw, (1, draw_count.PILOT))
    right = ease + luck + rng.normal(0, 1, (n, draw_count.PILOT)) > 0
    return Outcomes(CELL, right.astype(int), drawn=drawn)


def test_draws_that_scatter_take_more_of_them() -> None:
    assert draw_count.enough({CELL: cell(0.0)}) == draw_count.PILOT
    assert draw_count.enough({CELL: cell(1.0)}) == draw_count.MOST
    assert draw_count.enough({CELL: cell(1.0, drawn=False)}) == draw_count.PILOT
    some = [draw_count.enough({CELL: cell(0.2, seed=seed)}) for seed in range(20)]
    assert draw_count.PILOT < np.mean(some) < draw_count.MOST
    few = [draw_count.enough({CELL: cell(0.2, n=40, seed=seed)}) for seed in range(20)]
    assert np.mean(few) < np.mean(some)  # few queries are the larger part of the error


def test_the_draws_of_the_chosen_metric_count() -> None:
    rng = np.random.default_rng(0)
    noise, luck = rng.exponential(1, (300, draw_count.PILOT)), 2.0 + rng.normal(0, 1, 5)
    for said, many in ((noise, False), (noise + luck, True)):
        values = Numbers(np.zeros(300), np.abs(said))
        one = Outcomes(CELL, np.zeros((300, 5), dtype=int), values=values)
        assert draw_count.enough({CELL: one}) == draw_count.PILOT  # none is right
        assert (draw_count.enough({CELL: one}, BY_NAME["mae"]) > draw_count.PILOT) == many


def run(**changed: Any) -> Comparison:
    def answer(prompt: Prompt) -> str:
        word = asked_word(prompt)
        lucky = not prompt.shots or len(prompt.shots[0]) % 2
        return parity(word) if lucky else "even"

    arguments: dict[str, Any] = {
        "models": [FakeModel(answer)],
        "templates": [COLON],
        "shots": (0, 2),
        "seeds": "auto",
        "store": Store(),
    }
    return compare(parity_task(asked=60), **(arguments | changed))


@pytest.mark.slow
def test_auto_says_its_bound_first_and_asks_each_prompt_once() -> None:
    told: list[str] = []
    store = Store()
    result = run(store=store, announce=told.append)
    seeds = {p.seed for p in result.predictions}
    assert draw_count.PILOT < len(seeds) <= draw_count.MOST
    most = 60 * (draw_count.PILOT + draw_count.MOST)
    assert told[0] == (
        f"seeds auto: {draw_count.PILOT} draws of shots first, and {draw_count.MOST} at the most, "
        f"which is {most:,} predictions"
    )
    assert any(line.startswith(f"seeds auto: {len(seeds)} draws") for line in told)
    assert result.usage.cached == 0
    assert result.usage.prompts == len(store)
    again = run(store=store)
    assert again.usage.cached == again.usage.prompts == result.usage.prompts
    assert again.rows == result.rows


@pytest.mark.slow
def test_it_is_the_comparison_of_so_many_seeds() -> None:
    found = run()
    asked = len({p.seed for p in found.predictions})
    same = run(seeds=asked)
    assert [row.accuracy_ci for row in found.rows] == [row.accuracy_ci for row in same.rows]
    assert found.verdicts == same.verdicts


def test_another_word_is_refused() -> None:
    with pytest.raises(TaskError, match="a number of draws, a list of seeds, or 'auto'"):
        run(seeds="many")
