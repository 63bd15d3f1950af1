from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from promptkit.evaluation.metrics import (
    brier_scores,
    correctness,
    expected_calibration_error,
    log_losses,
)


def log_loss(log_probs: ArrayLike, gold: ArrayLike) -> float:
    return float(log_losses(log_probs, gold).mean())


def brier_score(probs: ArrayLike, gold: ArrayLike) -> float:
    return float(brier_scores(probs, gold).mean())


def test_correctness_is_a_table_of_queries_and_seeds() -> None:
    assert correctness([True, False, True, True]).mean() == 0.75
    assert correctness([[1, 0], [0, 0]]).tolist() == [[1, 0], [0, 0]]
    assert correctness([1.0, 0.0]).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "no predictions"),
        (np.zeros((3, 0)), "no predictions"),
        (1, "shape"),
        (np.zeros((2, 2, 2)), "shape"),
        ([0, 2], "1 and 0"),
        ([0.5], "1 and 0"),
        ([float("nan")], "1 and 0"),
        ([True, None], "1 and 0"),
        (["1"], "1 and 0"),
    ],
)
def test_correctness_takes_only_right_and_wrong(bad: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        correctness(bad)  # type: ignore[arg-type]


def random_probs(n: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(labels, 0.7), size=n), rng.integers(0, labels, n)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 1000))
def test_log_loss_is_scikit_learns(n: int, labels: int, seed: int) -> None:
    probs, gold = random_probs(n, labels, seed)
    expected = sklearn_log_loss(gold, probs, labels=list(range(labels)))
    assert log_loss(np.log(probs), gold) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_log_loss_stays_finite_where_the_probability_underflows() -> None:
    assert log_loss([[0.0, -2000.0]], [1]) == 2000.0
    assert log_loss([[0.0, -np.inf]], [1]) == np.inf
    perfect = log_loss([[0.0, -np.inf]], [0])
    assert perfect == 0.0
    assert not np.signbit(perfect)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.integers(1, 20), st.integers(0, 1000))
def test_calibration_error_is_the_gap_of_scikit_learns_curve(
    n: int, labels: int, bins: int, seed: int
) -> None:
    probs, gold = random_probs(n, labels, seed)
    confidence = probs.max(axis=1)
    right = (probs.argmax(axis=1) == gold).astype(int)
    true, stated = calibration_curve(right, confidence, n_bins=bins, strategy="uniform")
    size = np.histogram(confidence, np.linspace(0, 1, bins + 1))[0]
    expected = (np.abs(true - stated) * size[size > 0]).sum() / n
    found = expected_calibration_error(probs, gold, bins)
    assert found == pytest.approx(expected)
    assert 0 <= found <= 1


def test_calibration_error_by_hand() -> None:
    probs = [[0.95, 0.05], [0.95, 0.05], [0.35, 0.65]]
    # Bin (0.9, 1]: accuracy 1/2, confidence 0.95; bin (0.6, 0.7]: accuracy 1, confidence 0.65.
    assert expected_calibration_error(probs, [0, 1, 1]) == pytest.approx((2 * 0.45 + 0.35) / 3)
    assert expected_calibration_error([[1.0, 0.0]], [0]) == 0.0
    assert expected_calibration_error([[1.0, 0.0]], [1]) == 1.0


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    # 0.7 shares the bin of 0.65, where one right and one wrong answer partly cancel.
    probs = [[0.7, 0.3], [0.65, 0.35]]
    assert expected_calibration_error(probs, [0, 1]) == pytest.approx((0.65 - 0.3) / 2)


@pytest.mark.parametrize("metric", [log_loss, expected_calibration_error])
@pytest.mark.parametrize(
    ("probs", "gold", "says"),
    [
        (np.zeros((0, 2)), np.zeros(0, dtype=int), "no predictions"),
        ([[0.5, 0.5]], [0, 1], "shapes"),
        ([0.5, 0.5], [0, 1], "shapes"),
        ([[0.5, 0.5]], [2], "from 0 to 1"),
        ([[0.5, 0.5]], [-1], "from 0 to 1"),
        ([[0.5, 0.5]], [0.0], "from 0 to 1"),
        ([[0.5, np.nan]], [0], "NaN"),
        ([[0.6, 0.6]], [0], "normalised"),
        ([[900.0, 900.0]], [0], "normalised"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    metric: object, probs: object, gold: object, says: str
) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=says):
        metric(probs, gold)


def test_probabilities_and_their_logarithms_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="log-probabilities must be normalised"):
        log_loss([[0.5, 0.5]], [0])
    with pytest.raises(ValueError, match="not logarithms"):
        expected_calibration_error(np.log([[0.5, 0.5]]), [0])
    with pytest.raises(ValueError, match="bins"):
        expected_calibration_error([[0.5, 0.5]], [0], bins=0)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5), st.integers(1, 20))
def test_brier_score_is_scikit_learns_summed_over_labels(seed: int, labels: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(labels), size=n)
    gold = rng.integers(labels, size=n)
    each = [
        brier_score_loss(gold == label, probs[:, label], labels=[False, True])
        for label in range(labels)
    ]
    assert brier_score(probs, gold) == pytest.approx(sum(each))
    assert brier_scores(probs, gold).mean() == pytest.approx(sum(each))


def test_brier_score_at_its_ends_and_of_a_coin() -> None:
    assert brier_scores([[1, 0], [1, 0], [0.5, 0.5]], [0, 1, 0]).tolist() == [0, 2, 0.5]
    assert brier_score(np.full((4, 5), 0.2), [0, 1, 2, 3]) == pytest.approx(0.8)


def test_brier_score_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(ValueError, match="normalised"):
        brier_score([[0.5, 0.6]], [0])
    with pytest.raises(ValueError, match="not logarithms"):
        brier_score(np.log([[0.5, 0.5]]), [0])
    with pytest.raises(ValueError, match="no predictions"):
        brier_score(np.zeros((0, 2)), np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="gold indices"):
        brier_score([[0.5, 0.5]], [2])


def test_losses_per_query_have_the_mean_of_the_whole() -> None:
    logprobs = np.log([[0.9, 0.1], [0.25, 0.75]])
    assert log_losses(logprobs, [0, 0]) == pytest.approx([-np.log(0.9), -np.log(0.25)])
    assert log_loss(logprobs, [0, 0]) == pytest.approx(log_losses(logprobs, [0, 0]).mean())
    assert log_losses([[0.0, -np.inf]], [1]).tolist() == [np.inf]
    assert np.signbit(log_losses([[0.0, -np.inf]], [0])).tolist() == [False]
