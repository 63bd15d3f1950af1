from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from promptkit.evaluation import number_metrics
from promptkit.evaluation.shares import Shares

values = st.floats(-100, 100).map(lambda x: round(x, 1))
pairs_of_numbers = st.lists(st.tuples(values, values), min_size=4, max_size=30)
Pairs = list[tuple[float, float]]
Metric = Callable[[list[float], list[float]], Shares]

ORACLES: dict[str, tuple[Metric, Callable[[list[float], list[float]], float]]] = {
    "mae": (number_metrics.absolute_errors, oracle.mean_absolute_error),
    "rmse": (number_metrics.rmse, oracle.root_mean_squared_error),
    "pearson": (number_metrics.pearson, lambda a, b: stats.pearsonr(a, b).statistic),
    "spearman": (number_metrics.spearman, lambda a, b: stats.spearmanr(a, b).statistic),
}


@pytest.mark.parametrize("name", ORACLES)
@given(pairs=pairs_of_numbers)
def test_they_are_those_of_scipy_and_scikit_learn(name: str, pairs: Pairs) -> None:
    gold, said = map(list, zip(*pairs, strict=True))
    assume(min(np.std(gold), np.std(said)) > 1e-3)
    ours, known = ORACLES[name]
    assert ours(gold, said).mean() == pytest.approx(known(gold, said), abs=1e-6)


@pytest.mark.parametrize("name", ["rmse", "pearson"])
@given(pairs=pairs_of_numbers)
def test_shares_are_those_of_leaving_each_query_out(name: str, pairs: Pairs) -> None:
    gold, said = map(list, zip(*pairs, strict=True))
    ours, known = ORACLES[name]
    n = len(pairs)
    left = [(gold[:i] + gold[i + 1 :], said[:i] + said[i + 1 :]) for i in range(n)]
    assume(all(min(np.std(a), np.std(b)) > 1e-2 for a, b in left))
    found = ours(gold, said)
    without = np.array([known(a, b) for a, b in left])
    np.testing.assert_allclose(found - found[0], (n - 1) * (without[0] - without), atol=1e-3)


def test_what_is_no_answer_has_no_share() -> None:
    gold, said = [1.0, 2.0, 3.0, 5.0], [1.5, float("nan"), 2.0, 5.0]
    for metric in (number_metrics.rmse, number_metrics.pearson, number_metrics.absolute_errors):
        found = metric(gold, said)
        assert np.isnan(found).tolist() == [False, True, False, False]
        alone = metric([1.0, 3.0, 5.0], [1.5, 2.0, 5.0])
        np.testing.assert_allclose(found[[0, 2, 3]], alone)


def test_bias_has_a_sign() -> None:
    assert number_metrics.errors([1, 1], [2, 4]).mean() == 2.0


def test_constant_numbers_do_not_correlate() -> None:
    assert np.isnan(number_metrics.pearson([1, 1, 1], [1, 2, 3])).all()


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True),
    st.lists(st.integers(0, 20), min_size=8, max_size=8),
)
def test_mean_and_median_of_a_distribution_are_those_of_scipy(
    values: list[int], weights: list[int]
) -> None:
    weights = weights[: len(values)]
    assume(sum(weights))
    probs = np.array(weights) / sum(weights)
    # Halves that are met exactly are decided by rounding in scipy.
    below = np.cumsum(np.array(weights)[np.argsort(values)])
    assume(not (2 * below == sum(weights)).any())
    known = stats.rv_discrete(values=(sorted(values), probs[np.argsort(values)]))
    with np.errstate(divide="ignore"):
        logprobs = np.log(probs)[np.newaxis]
    assert number_metrics.distribution_means(logprobs, values)[0] == pytest.approx(known.mean())
    assert number_metrics.distribution_medians(logprobs, values)[0] == known.median()


def test_the_median_is_the_value_at_which_a_half_is_met() -> None:
    thirds = np.log([[1 / 6, 1 / 6, 1 / 6, 1 / 2]])
    assert number_metrics.distribution_medians(thirds, [1, 2, 3, 4]).tolist() == [3.0]
