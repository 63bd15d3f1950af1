from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.power import normal_sample_size_one_tail

from promptkit.evaluation.crossed_intervals import difference, few
from promptkit.evaluation.intervals import Difference, Interval
from promptkit.evaluation.metric import measured
from promptkit.evaluation.pairs import found_in_range
from promptkit.evaluation.power import SampleSize, detectable, draws_needed, queries_needed


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(("disagreement", "delta"), [(0.3, 0.1), (0.1, -0.05), (0.5, 0.02)])
def test_queries_are_those_of_statsmodels(disagreement: float, delta: float, alpha: float) -> None:
    under_none, under_delta = disagreement**0.5, (disagreement - delta**2) ** 0.5
    expected = normal_sample_size_one_tail(abs(delta), 0.8, alpha / 2, under_none, under_delta)
    assert queries_needed(delta, SampleSize(disagreement, alpha=alpha)) == np.ceil(expected)


def exact_power(n: int, disagreement: float, delta: float, alpha: float) -> float:
    """The chance that McNemar's exact test finds a difference."""
    share, power = (disagreement + delta) / (2 * disagreement), 0.0
    for differ in range(1, n + 1):
        losses = np.arange(differ + 1)
        p = np.array([binomtest(int(k), differ).pvalue for k in losses])
        found = binom.pmf(losses, differ, 1 - share)[p <= alpha].sum()
        power += binom.pmf(differ, n, disagreement) * found
    return power


@pytest.mark.slow
@pytest.mark.parametrize(("disagreement", "delta"), [(0.3, 0.2), (0.5, 0.3), (0.2, 0.2)])
def test_the_exact_test_has_about_the_power_that_was_planned(
    disagreement: float, delta: float
) -> None:
    n = queries_needed(delta, SampleSize(disagreement))
    assert 0.75 <= exact_power(n, disagreement, delta, 0.05) <= 0.87


@given(st.integers(6, 10_000), st.floats(0, 1), st.sampled_from([0.05, 0.001]))
def test_what_is_detectable_needs_just_these_queries(
    n: int, disagreement: float, alpha: float
) -> None:
    delta = detectable(n, SampleSize(disagreement, alpha=alpha))
    if delta is None:
        assert queries_needed(1.0, SampleSize(disagreement, alpha=alpha)) > n
        return
    assert queries_needed(delta, SampleSize(disagreement, alpha=alpha)) <= n
    if delta > 1e-3:
        assert queries_needed(0.99 * delta, SampleSize(disagreement, alpha=alpha)) >= n


def test_more_queries_see_more_and_five_see_nothing() -> None:
    seen = [detectable(n, SampleSize(0.3)) for n in (37, 100, 300, 1000)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == pytest.approx(0.25, abs=0.01)
    assert detectable(5, SampleSize(0.3)) is None


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0, got 0"):
        queries_needed(0.0, SampleSize(0.3))
    with pytest.raises(ValueError, match="disagreement is from 0 to 1"):
        queries_needed(0.1, SampleSize(1.2))
    with pytest.raises(ValueError, match="alpha and power"):
        queries_needed(0.1, SampleSize(0.2, alpha=0.9))
    with pytest.raises(ValueError, match="at least one query"):
        detectable(0, SampleSize(0.3))


def test_a_correction_takes_more_queries() -> None:
    alone, among = SampleSize(0.3), SampleSize(0.3, comparisons=7)
    corrected = SampleSize(0.3, alpha=0.05 / 7)
    assert queries_needed(0.1, among) == queries_needed(0.1, corrected)
    assert (queries_needed(0.1, among) or 0) > 1.5 * (queries_needed(0.1, alone) or 0)


def test_where_draws_scatter_more_queries_do_not_help_and_more_draws_do() -> None:
    plan = SampleSize(0.15, by_draw=0.005, draws=3, comparisons=7)
    assert queries_needed(0.1, plan) is None
    draws = draws_needed(0.1, 300, plan)
    assert draws is not None
    assert 8 < draws < 30
    seen = detectable(300, SampleSize(0.15, by_draw=0.005, draws=draws, comparisons=7))
    assert seen is not None
    assert seen <= 0.1
    assert draws_needed(0.01, 300, plan) is None


@pytest.mark.parametrize(("n", "draws"), [(60, 6), (100, 8), (300, 5), (300, 12)])
def test_what_is_planned_with_draws_is_found_four_times_in_five(n: int, draws: int) -> None:
    """Normal differences that scatter as planned, judged by Student's t of the crossed layout."""
    by_draw, noise = 0.002, 0.2
    seen = by_draw + (1 - few(draws)) * noise / n  # as the crossed layout estimates it
    delta = detectable(n, SampleSize(noise / draws, by_draw=seen, draws=draws))
    assert delta is not None
    rng = np.random.default_rng(n)
    found = 0
    for _ in range(400):
        table = delta + rng.normal(0, by_draw**0.5, draws) + rng.normal(0, noise**0.5, (n, draws))
        found += crossed_p(table) <= 0.05
    assert 0.6 <= found / 400 <= 0.95


def crossed_p(table: np.ndarray) -> float:
    nothing = Difference(float(table.mean()), Interval(0.0, 0.0), 0.0, 0.0)
    return difference(table, nothing).p


def test_a_difference_beyond_the_range_of_a_metric_is_none() -> None:
    plan = SampleSize(disagreement=0.2, by_draw=0.02, draws=2, counts=False)
    assert detectable(30, plan) is not None
    assert found_in_range(30, plan, measured("micro_f1")) is None
    assert found_in_range(30, plan, measured("mae")) == detectable(30, plan)
