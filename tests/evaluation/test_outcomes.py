"""Metrics of scored labels, which are computed per seed and averaged, and calibrated answers."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import Word
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.metrics import log_loss as sklearn_log_loss

from promptkit.evaluation import outcomes
from promptkit.evaluation.matched import answers
from promptkit.evaluation.outcomes import Judged, Scored
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

CELL = Cell("model", "template", "random", "drawn", "labels", "none", 2, None)
LABELS = ("A", "B", "C")


def seed_of(number: int, gold: list[int], logprobs: np.ndarray, labels: int = 3) -> Judged:
    """The judged predictions of one seed, the most probable label being the answer."""
    said = [int(label) for label in logprobs.argmax(axis=1)]
    scored = Scored(LABELS[:labels], logprobs, gold, said, [0.5 + number / 10] * len(gold))
    right = [a == b for a, b in zip(said, gold, strict=True)]
    return Judged(CELL._replace(seed=number), right, 0, 0, 0.0, scored)


def constant(number: int, label: int, gold: list[int], sure: float = 0.9) -> Judged:
    """A seed that gives all queries the same answer."""
    probs = np.full((len(gold), 2), 1 - sure)
    probs[:, label] = sure
    return seed_of(number, gold, np.log(probs), labels=2)


@st.composite
def several_seeds(draw: st.DrawFn) -> list[Judged]:
    n = draw(st.integers(1, 12))
    gold = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return [
        seed_of(number, gold, np.log(rng.dirichlet(np.ones(3), size=n)))
        for number in range(draw(st.integers(1, 4)))
    ]


def row_of(cells: list[Judged]) -> outcomes.Row:
    first, *_ = outcomes.rows({CELL: cells})
    return first


def test_seeds_with_opposite_biases_do_not_cancel() -> None:
    gold = [0, 1] * 10
    row = row_of([constant(0, 0, gold), constant(1, 1, gold)])
    assert row.accuracy == 0.5
    assert row.macro_f1 == pytest.approx(1 / 3)


def test_a_seed_too_sure_and_one_not_sure_enough_do_not_cancel() -> None:
    gold = [0] * 10
    cells = [constant(0, 0, gold, sure=0.8), constant(1, 0, gold, sure=0.8)]
    cells[1] = cells[1]._replace(scored=cells[1].scored._replace(gold=[0] * 6 + [1] * 4))  # type: ignore[union-attr]
    row = row_of(cells)
    assert row.ece == pytest.approx(0.2)  # 0.2 too low in one, 0.2 too high in the other
    (curve,) = outcomes.reliability({CELL: cells})
    ((confidence, accuracy, n),) = curve.bins
    assert (confidence, accuracy, n) == (pytest.approx(0.8), pytest.approx(0.8), 20)


@settings(deadline=None)
@given(several_seeds())
def test_each_metric_is_the_mean_of_scikit_learns_per_seed(cells: list[Judged]) -> None:
    aggregate, *by_seed = outcomes.rows({CELL: cells})
    scored = [one.scored for one in cells if one.scored is not None]
    f1 = [f1_score(seed.gold, seed.said, average="macro", zero_division=0) for seed in scored]
    losses = [
        sklearn_log_loss(seed.gold, np.exp(seed.logprobs), labels=[0, 1, 2]) for seed in scored
    ]
    assert aggregate.macro_f1 == pytest.approx(np.mean(f1))
    assert aggregate.log_loss == pytest.approx(np.mean(losses))
    for name in ("macro_f1", "log_loss", "brier", "ece", "coverage"):
        mean = np.mean([getattr(row, name) for row in by_seed])
        assert getattr(aggregate, name) == pytest.approx(mean)


@settings(deadline=None)
@given(several_seeds())
def test_the_confusion_is_the_sum_of_the_seeds(cells: list[Judged]) -> None:
    (found,) = outcomes.confusion({CELL: cells})
    scored = [one.scored for one in cells if one.scored is not None]
    expected = sum(confusion_matrix(seed.gold, seed.said, labels=[0, 1, 2]) for seed in scored)
    assert np.array_equal(found.counts, expected)


@settings(deadline=None)
@given(several_seeds())
def test_losses_are_tables_of_queries_and_seeds(cells: list[Judged]) -> None:
    row, *by_seed = outcomes.rows({CELL: cells})
    for table, name in (
        (outcomes.log_losses(cells), "log_loss"),
        (outcomes.brier_scores(cells), "brier"),
    ):
        assert table is not None
        assert table.shape == (row.n, len(cells))
        assert table.mean() == pytest.approx(getattr(row, name))
        assert table.mean(axis=0) == pytest.approx([getattr(one, name) for one in by_seed])


def test_generated_answers_have_no_loss_tables() -> None:
    cells = [Judged(CELL._replace(seed=0), [True], 0, 0, 0.0, None)]
    assert outcomes.log_losses(cells) is None
    assert outcomes.brier_scores(cells) is None
    assert row_of(cells).brier is None


# Answers of calibrated cells, in a comparison and in gates.

Kind = Literal["A", "B", "C"]
EXAMPLES = [Example(input=Word(word=f"w{i}"), output=label) for i, label in enumerate("ABCABCAB")]
KINDS = Task[Word, Kind](name="kinds", tests=EXAMPLES)

# Chances that are equal, that nearly are, and that are none, after they have been normalised.
chances = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1 / 3, np.nextafter(1 / 3, 1), 0.5, 1.0])
distributions = st.lists(chances, min_size=3, max_size=3).filter(any)


def normalised(row: list[float]) -> dict[str, float]:
    return {label: chance / sum(row) for label, chance in zip(LABELS, row, strict=True)}


def prediction(number: int, seed: int, raw: list[float], calibrated: list[float]) -> Prediction:
    probs = normalised(raw)
    label = max(probs, key=probs.__getitem__)
    logprobs = {name: math.log(p) if p else -math.inf for name, p in probs.items()}
    gold = EXAMPLES[number].output
    rest: dict[str, Any] = {
        "selection": "random",
        "order": "drawn",
        "verbalizer": "labels",
        "template": "colon",
        "model": "fake",
        "prompt_sha256": "",
        "tokens": 1,
        "seconds": 0.0,
        "margin": 0.0,
        "near_tie": False,
        "text": None,
        "failure": None,
        "shots": 2,
        "shot_ids": (),
        "coverage": 1.0,
        "input": {"word": f"w{number}"},
    }
    return Prediction(
        id=f"w{number}",
        gold=gold,
        label=label,
        correct=label == gold,
        logprobs=logprobs,
        probs=probs,
        seed=seed,
        calibrated={"batch": normalised(calibrated)},
        **rest,
    )


@settings(deadline=None)
@given(st.data())
def test_comparisons_and_gates_judge_the_same_answers(data: st.DataObject) -> None:
    size, seeds = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    cells = [
        [
            prediction(number, seed, data.draw(distributions), data.draw(distributions))
            for number in range(size)
        ]
        for seed in range(seeds)
    ]
    groups = outcomes.judged(KINDS, cells)
    every = [one for cell in cells for one in cell]
    gates = {found.cell: found for found in answers(every, KINDS.output_type.label_of)}
    assert {cell.calibration for cell in groups} == {RAW, "batch"}
    assert {*gates} == {*groups}
    for cell, found in gates.items():
        assert np.array_equal(found.correct, outcomes.correct(groups[cell]))
        losses = outcomes.log_losses(groups[cell])
        assert losses is not None
        assert found.losses is not None
        assert found.losses == pytest.approx(losses)
