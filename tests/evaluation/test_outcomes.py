"""Metrics of scored labels, which are computed per seed and averaged, and calibrated answers."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import Word
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.metrics import log_loss as sklearn_log_loss

from promptkit.evaluation import cell_metrics
from promptkit.evaluation.outcomes import LabelScores, Outcomes, outcomes
from promptkit.evaluation.results import Row
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

CELL = Cell(model="model", template="template", selection="random", shots=2)
LABELS = ("A", "B", "C")


def outcomes_of(gold: list[int], *seeds: np.ndarray) -> Outcomes:
    """The outcomes of label scores, (queries, labels) for each seed."""
    logprobs = np.stack(seeds, axis=1)
    said, asked = logprobs.argmax(axis=2), np.array(gold)
    right = (said == asked[:, np.newaxis]).astype(int)
    coverage = 0.5 + np.arange(len(seeds)) / 10 + np.zeros((len(gold), 1))
    scores = LabelScores(LABELS[: logprobs.shape[2]], logprobs, asked, said)
    return Outcomes(CELL, right, scores, coverage)


def constant(label: int, n: int, sure: float = 0.9) -> np.ndarray:
    """Scores of a seed that gives all queries the same answer."""
    probs = np.full((n, 2), 1 - sure)
    probs[:, label] = sure
    return np.log(probs)


@st.composite
def several_seeds(draw: st.DrawFn) -> Outcomes:
    n = draw(st.integers(1, 12))
    gold = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    seeds = range(draw(st.integers(1, 4)))
    return outcomes_of(gold, *(np.log(rng.dirichlet(np.ones(3), size=n)) for _ in seeds))


def row_of(one: Outcomes) -> Row:
    return next(cell_metrics.rows({CELL: one}))


def test_seeds_with_opposite_biases_do_not_cancel() -> None:
    row = row_of(outcomes_of([0, 1] * 10, constant(0, 20), constant(1, 20)))
    assert row.accuracy == 0.5
    assert row.macro_f1 == pytest.approx(1 / 3)


def test_a_seed_too_sure_and_one_not_sure_enough_do_not_cancel() -> None:
    swayed = np.concatenate([constant(0, 6, sure=0.8), constant(1, 4, sure=0.8)])
    one = outcomes_of([0] * 10, constant(0, 10, sure=0.8), swayed)
    assert row_of(one).ece == pytest.approx(0.2)  # 0.2 too low in one, 0.2 too high in the other
    (curve,) = cell_metrics.reliability({CELL: one})
    (bin,) = curve.bins
    assert (bin.confidence, bin.accuracy) == (pytest.approx(0.8), pytest.approx(0.8))
    assert bin.n == 20


@pytest.mark.slow
@settings(deadline=None)
@given(several_seeds())
def test_each_metric_is_the_mean_of_scikit_learns_per_seed(one: Outcomes) -> None:
    aggregate, *by_seed = cell_metrics.rows({CELL: one})
    scores = one.scores
    assert scores is not None
    said, probs = scores.said.T, np.exp(scores.logprobs)
    f1 = [f1_score(scores.gold, seed, average="macro", zero_division=0) for seed in said]
    losses = [
        sklearn_log_loss(scores.gold, probs[:, seed], labels=[0, 1, 2]) for seed in range(len(said))
    ]
    assert aggregate.macro_f1 == pytest.approx(np.mean(f1))
    assert aggregate.log_loss == pytest.approx(np.mean(losses))
    for name in ("macro_f1", "log_loss", "brier", "ece", "coverage"):
        mean = np.mean([getattr(row, name) for row in by_seed])
        assert getattr(aggregate, name) == pytest.approx(mean)


@settings(deadline=None)
@given(several_seeds())
def test_the_confusion_is_the_sum_of_the_seeds(one: Outcomes) -> None:
    (found,) = cell_metrics.confusion({CELL: one})
    scores = one.scores
    assert scores is not None
    expected = sum(confusion_matrix(scores.gold, seed, labels=[0, 1, 2]) for seed in scores.said.T)
    assert np.array_equal(found.counts, expected)


@settings(deadline=None)
@given(several_seeds())
def test_figures_per_class_are_those_of_scikit_learn(one: Outcomes) -> None:
    (found,) = cell_metrics.confusion({CELL: one})
    scores = one.scores
    assert scores is not None
    gold, said = np.repeat(scores.gold, scores.said.shape[1]), scores.said.ravel()
    labels = range(len(scores.labels))
    known = precision_recall_fscore_support(gold, said, labels=labels, zero_division=0)
    ours = found.per_class
    for own, theirs in zip(
        (ours.precision, ours.recall, ours.f1, ours.support), known, strict=True
    ):
        np.testing.assert_allclose(own, theirs, atol=1e-12)


@settings(deadline=None)
@given(several_seeds())
def test_losses_are_tables_of_queries_and_seeds(one: Outcomes) -> None:
    row, *by_seed = cell_metrics.rows({CELL: one})
    for table, name in ((one.log_losses, "log_loss"), (one.brier_scores, "brier")):
        assert table is not None
        assert table.shape == one.correct.shape
        assert table.mean() == pytest.approx(getattr(row, name))
        assert table.mean(axis=0) == pytest.approx([getattr(seed, name) for seed in by_seed])


def test_generated_answers_have_no_loss_tables() -> None:
    one = Outcomes(CELL, np.array([[1]]))
    assert one.log_losses is None
    assert one.brier_scores is None
    assert row_of(one).brier is None


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


@pytest.mark.slow
@settings(deadline=None)
@given(st.data())
def test_calibrated_answers_are_outcomes_of_their_own(data: st.DataObject) -> None:
    """Correctness and log loss of each answer, by hand."""
    size, seeds = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    predictions = {
        (number, seed): prediction(number, seed, data.draw(distributions), data.draw(distributions))
        for number in range(size)
        for seed in range(seeds)
    }
    raw, batch = outcomes(predictions.values(), KINDS.output_type.label_of).values()
    assert (raw.cell.calibration, batch.cell.calibration) == (RAW, "batch")
    assert raw.seeds == batch.seeds == tuple(range(seeds))
    for (number, seed), one in predictions.items():
        assert raw.correct[number, seed] == one.correct
        for found, probs in ((raw, one.probs or {}), (batch, one.calibrated["batch"])):
            best = next(label for label in LABELS if probs[label] == max(probs.values()))
            assert found.correct[number, seed] == (best == one.gold)
            assert found.log_losses is not None
            loss = -math.log(probs[one.gold]) if probs[one.gold] else math.inf
            assert found.log_losses[number, seed] == pytest.approx(loss)
