"""Coverage of the intervals of folds: rows are asked, and are shots of one another."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel

from promptkit import Example, ExampleSet, FakeModel, Predictor, Task, Template
from promptkit.evaluation import targets
from promptkit.prompts.prompt import Prompt

BASES, USES = (0.35, 0.65, 0.85), (-0.15, 0.0, 0.15)
"""Chances of a right answer to a row, and what the row adds to those of others as their shot."""

Label = Literal["yes", "no"]


class Row(BaseModel):
    base: float
    use: float
    gold: Label
    number: int


TEMPLATE = Template(
    "{% example %}{{ input.base }} {{ input.use }} {{ input.gold }} {{ input.number }} "
    "{{ output }}\n{% endexample %}"
)


def answer(prompt: Prompt) -> str:
    """Return a right answer with the chance of the query and its shots."""
    *shots, query = [line.split() for line in prompt.text.strip().split("\n")]
    chance = float(query[0]) + sum(float(shot[1]) for shot in shots) / max(len(shots), 1)
    digest = int.from_bytes(sha256(prompt.text.encode()).digest()[:7], "big")
    return query[2] if digest / 2**56 < chance else {"yes": "no", "no": "yes"}[query[2]]


def drawn(count: int, linked: float, random: np.random.Generator) -> ExampleSet[Row, Label]:
    """Return rows, of which a share are hard and harmful, or easy and helpful."""
    rows = []
    for _ in range(count):
        base, use = random.choice(BASES), random.choice(USES)
        if random.random() < linked:
            base, use = [(0.35, -0.15), (0.85, 0.15)][random.integers(2)]
        gold: Label = "yes" if random.random() < 0.5 else "no"
        row = Row(base=base, use=use, gold=gold, number=random.integers(1 << 40))
        rows.append(Example(input=row, output=gold))
    return ExampleSet[Row, Label](tuple(rows))


def asked(task: Task[Any, Any], shots: int, seeds: int) -> tuple[Any, float]:
    """Return the correctness of the answers, (queries, seeds), and what their shots added."""
    model, uses = FakeModel(answer), {demo.id: demo.input.use for demo in task.demos}
    columns, added = [], []
    for seed in range(seeds):
        one = Predictor(task=task, template=TEMPLATE, model=model, shots=shots, seed=seed)
        found = one.predict(task.tests)
        columns.append([bool(prediction.correct) for prediction in found])
        added += [np.mean([uses[id] for id in prediction.shot_ids]) for prediction in found]
    return np.array(columns, dtype=np.int64).T, float(np.mean(added))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "folds", "shots", "seeds", "linked"),
    [(60, 5, 4, 4, 0.0), (60, 5, 2, 4, 0.5)],
)
def test_intervals_of_folds_cover_the_truth(
    rows: int, folds: int, shots: int, seeds: int, linked: float
) -> None:
    """The truth is the accuracy on all rows that could be drawn, exactly, and not on a sample."""
    truth = (1 - linked) * float(np.mean(BASES)) + linked * 0.6
    draws, general, these = 400, 0, 0
    for draw in range(draws):
        whole = drawn(rows, linked, np.random.default_rng(draw))
        task = Task[Row, Label](name="t", demos=whole, folds=whole.folds(folds, seed=draw))
        table, added = asked(task, shots, seeds)
        found = targets.accuracy(table, drawn=True)
        assert found.general is not None
        general += found.general.low <= truth <= found.general.high
        these += found.these.low <= truth + added <= found.these.high
    print(f"coverage {general / draws:.3f} for k shots in general, {these / draws:.3f} for these")
    # 400 draws tell a coverage within two points; few draws of shots make the first one cautious.
    assert 0.93 <= general / draws <= 0.99
    assert 0.92 <= these / draws <= 0.98
