from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from promptkit.evaluation import confidence_metrics
from promptkit.evaluation.targets import mean_difference

scored = st.lists(
    st.tuples(st.integers(0, 8).map(lambda x: x / 8), st.booleans()), min_size=3, max_size=40
)
Scored = list[tuple[float, bool]]


@given(rows=scored)
def test_auroc_is_that_of_scikit_learn(rows: Scored) -> None:
    scores, positive = map(list, zip(*rows, strict=True))
    assume(0 < sum(positive) < len(positive))
    found = confidence_metrics.auroc(scores, positive)
    assert found.mean() == pytest.approx(oracle.roc_auc_score(positive, scores), abs=1e-12)


def test_shares_of_auroc_scatter_as_delongs_variance() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(60) < 0.4
    scores = rng.normal(size=60) + positive
    above, below = scores[positive], scores[~positive]
    psi = (above[:, None] > below).astype(float)
    by_hand = psi.mean(1).var() / len(above) + psi.mean(0).var() / len(below)
    shares = confidence_metrics.auroc(scores, positive)
    assert shares.var() / 60 == pytest.approx(by_hand)


def test_one_side_alone_has_no_area() -> None:
    assert np.isnan(confidence_metrics.auroc([0.1, 0.2], [True, True])).all()


@given(data=st.data(), k=st.integers(1, 3))
def test_top_k_is_that_of_scikit_learn(data: st.DataObject, k: int) -> None:
    n = data.draw(st.integers(4, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    logprobs = rng.normal(size=(n, 4))
    gold = rng.integers(0, 4, n)
    known = oracle.top_k_accuracy_score(gold, logprobs, k=k, labels=range(4))
    assert confidence_metrics.top_k(logprobs, gold, k).mean() == pytest.approx(known)


def test_the_risk_coverage_curve_by_hand() -> None:
    risks = confidence_metrics.risk_coverage([0.9, 0.5, 0.7], [False, True, True])
    np.testing.assert_allclose(risks, [0, 1 / 2, 2 / 3])
    area = confidence_metrics.aurc([0.9, 0.5, 0.7], [False, True, True])
    assert area.mean() == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)


@given(rows=st.lists(st.booleans(), min_size=3, max_size=20))
def test_shares_of_the_area_are_those_of_leaving_each_query_out(rows: list[bool]) -> None:
    sure = np.linspace(1, 0, len(rows))
    n = len(rows)
    found = confidence_metrics.aurc(sure, rows)
    without = [
        confidence_metrics.risk_coverage(np.delete(sure, i), np.delete(rows, i)).mean()
        for i in range(n)
    ]
    expected = (n - 1) * (without[0] - np.array(without))
    np.testing.assert_allclose(found - found[0], expected, atol=1e-9)


def test_a_difference_of_means_is_students_where_nothing_is_skewed() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])[:, None]
    change = np.array([1.0, 3.0, -1.0, 1.0])[:, None]
    found = mean_difference(a, a + change, drawn=False)
    assert found is not None
    known = stats.ttest_rel((a + change).ravel(), a.ravel())
    assert found.these.p == pytest.approx(known.pvalue)
    low, high = known.confidence_interval()
    assert (found.these.ci.low, found.these.ci.high) == pytest.approx((low, high))


@given(seed=st.integers(0, 200), level=st.floats(0.5, 0.999))
def test_p_values_agree_with_intervals(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    change = rng.exponential(size=(25, 1)) - 0.7
    found = mean_difference(np.zeros((25, 1)), change, drawn=False, level=level)
    assert found is not None
    covers = found.these.ci.low <= 0 <= found.these.ci.high
    assert covers == (found.these.p >= 1 - level) or abs(found.these.p - 1 + level) < 1e-9
