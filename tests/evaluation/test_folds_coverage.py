"""Coverage of the intervals of folds: rows are asked, and are shots of one another."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from promptkit import Example, ExampleSet, FakeModel, Predictor, Task, Template
from promptkit.evaluation import targets
from promptkit.selection.pool import Pool

BASES, USES = np.array([0.35, 0.65, 0.85]), np.array([-0.15, 0.0, 0.15])
"""Chances of a right answer to a row, and what the row adds to those of others as their shot."""

DRAWS = 2000
"""They tell a coverage within a point."""


class Setting(NamedTuple):
    rows: int
    folds: int
    shots: int
    seeds: int
    linked: float
    """Share of the rows that are hard and harmful, or easy and helpful."""


SETTINGS = [
    Setting(60, 5, 4, 4, 0.0),
    Setting(60, 5, 2, 4, 0.5),
    Setting(60, 5, 4, 2, 0.5),
    Setting(100, 10, 4, 4, 0.0),
    Setting(100, 10, 4, 4, 0.5),
    Setting(100, 5, 4, 8, 0.0),
    Setting(40, 2, 4, 4, 0.5),
    Setting(40, 20, 8, 3, 0.5),
    Setting(200, 5, 4, 4, 0.5),
]


def shots_of(
    fold: NDArray[np.int64], ranking: NDArray[np.int64], shots: int
) -> dict[int, NDArray[np.int64]]:
    """Return the shots of each fold: the first rows of a ranking that are in others."""
    return {one: ranking[fold[ranking] != one][:shots] for one in np.unique(fold).tolist()}


def asked(setting: Setting, random: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Return whether answers are right, (queries, seeds), and what their shots added on average."""
    rows = setting.rows
    base, use = random.choice(BASES, rows), random.choice(USES, rows)
    linked, easy = random.random(rows) < setting.linked, random.random(rows) < 0.5
    base = np.where(linked, np.where(easy, 0.85, 0.35), base)
    use = np.where(linked, np.where(easy, 0.15, -0.15), use)
    fold = random.permutation(np.arange(rows) % setting.folds)
    added = np.empty((rows, setting.seeds))
    for seed in range(setting.seeds):
        for one, shots in shots_of(fold, random.permutation(rows), setting.shots).items():
            added[fold == one, seed] = use[shots].mean()
    right = random.random(added.shape) < base[:, np.newaxis] + added
    return right.astype(np.int64), float(added.mean())


def coverage(setting: Setting, draws: int) -> tuple[float, float]:
    """Return the coverage for k shots in general, and for the shots that were drawn.

    The truth is the accuracy on all rows that could be drawn, exactly, and not on a sample.
    """
    truth = (1 - setting.linked) * float(BASES.mean()) + setting.linked * 0.6
    general = these = 0
    for draw in range(draws):
        right, added = asked(setting, np.random.default_rng(draw))
        found = targets.accuracy(right, drawn=True)
        assert found.general is not None
        general += found.general.low <= truth <= found.general.high
        these += found.these.low <= truth + added <= found.these.high
    return general / draws, these / draws


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_of_folds_cover_the_truth(setting: Setting) -> None:
    general, these = coverage(setting, DRAWS)
    print(f"coverage {general:.4f} for k shots in general, {these:.4f} for these")
    assert 0.93 <= general <= 0.97
    assert 0.93 <= these <= 0.97


class Row(BaseModel):
    number: int


def test_the_shots_of_the_simulation_are_drawn_as_those_of_folds() -> None:
    """Per seed there is one ranking, of which each fold has the first rows of others."""
    output = Literal["yes", "no"]
    rows = [Example(input=Row(number=n * n * 7919), output=("yes", "no")[n % 2]) for n in range(30)]
    whole = ExampleSet[Row, output](tuple(rows))
    task = Task[Row, output](name="t", demos=whole, folds=whole.folds(5))
    template = Template("{% example %}{{ input.number }} {{ output }}\n{% endexample %}")
    index = {demo.id: place for place, demo in enumerate(whole)}
    fold = np.array([task.folds[demo.id] for demo in whole])

    one = Predictor(
        task=task, template=template, model=FakeModel(), shots=4, seed=3, selection="random"
    )
    expected = shots_of(fold, np.array(Pool(whole).permutation(3)), 4)
    for prediction in one.predict(task.tests):
        shots = expected[task.folds[prediction.id]]
        assert [index[id] for id in prediction.shot_ids] == shots.tolist()
