"""Linear models are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from promptkit.students.linear_head import STRENGTHS, fit_head
from promptkit.students.minimiser import minimise


def problem(labels: int, rows: int = 80, columns: int = 12) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(labels)
    features = draw.normal(size=(rows, columns)) * (draw.random((rows, columns)) < 0.4)
    scores = features @ draw.normal(size=(columns, labels))
    if labels == 1:
        return features, scores * 7 + 40 + draw.normal(size=(rows, 1)), draw.random(rows) + 0.5
    shares = np.exp(scores + draw.gumbel(size=scores.shape))
    return features, shares / shares.sum(1, keepdims=True), draw.random(rows) + 0.5


@pytest.mark.parametrize("labels", [2, 3, 5])
@pytest.mark.parametrize("strength", [0.3, 10.0])
def test_soft_labels_are_rows_repeated_with_their_shares(labels: int, strength: float) -> None:
    features, targets, weights = problem(labels)
    head = fit_head(sparse.csr_array(features), targets, weights, strengths=(strength,))
    oracle = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
    repeated = np.repeat(features, labels, axis=0)
    each = (targets * weights[:, np.newaxis]).ravel()
    oracle.fit(repeated, np.tile(np.arange(labels), len(features)), sample_weight=each)
    scores = np.hstack([np.zeros((len(features), 1)), features @ head.weights + head.bias])
    found = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert found == pytest.approx(oracle.predict_proba(features), abs=2e-3)


def test_numbers_are_fitted_by_ridge_regression() -> None:
    features, targets, weights = problem(1)
    head = fit_head(features, targets, weights, strengths=(3.0,))
    oracle = Ridge(alpha=1 / 3.0).fit(features, targets[:, 0], sample_weight=weights)
    assert features @ head.weights[:, 0] + head.bias[0] == pytest.approx(
        oracle.predict(features), abs=0.02
    )


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_the_strength_is_the_one_of_the_least_held_out_loss(labels: int) -> None:
    features, targets, weights = problem(labels)
    head = fit_head(features, targets, weights)
    assert 1 < len(head.losses) <= len(STRENGTHS)
    assert head.strength == STRENGTHS[int(np.argmin(head.losses))]
    assert fit_head(features, targets, weights, seed=0).losses == head.losses


def test_equal_targets_and_single_rows_are_fitted() -> None:
    features = np.eye(3)
    for targets in (np.full((3, 1), 4.0), np.full((3, 2), 0.5), np.full((3, 4), 0.25)):
        head = fit_head(features, targets, np.ones(3))
        assert np.abs(head.weights).max() < 1e-6
        one = fit_head(features[:1], targets[:1], np.ones(1))
        assert np.isfinite(one.bias).all()


def test_a_quadratic_is_minimised() -> None:
    draw = np.random.default_rng(0)
    root = draw.normal(size=(20, 20))
    matrix, goal = root @ root.T + np.eye(20), draw.normal(size=20)

    def value(at: Any) -> tuple[float, Any]:
        return float(at @ matrix @ at / 2 - goal @ at), matrix @ at - goal

    found = minimise(value, np.zeros(20), tolerance=1e-14)
    assert found == pytest.approx(np.linalg.solve(matrix, goal), abs=1e-4)
