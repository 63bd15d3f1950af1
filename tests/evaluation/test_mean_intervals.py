from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from promptkit.evaluation import targets
from promptkit.evaluation.mean_intervals import mean_interval


def test_skewed_losses_are_covered_as_often_as_is_said() -> None:
    """A tenth of the queries is very wrong: Student's interval covers 80 % of the means here."""
    random = np.random.default_rng(7)
    true = 0.9 * 0.05 + 0.1 * 4
    covered = 0
    for _ in range(200):
        wrong = random.random(40) < 0.1
        losses = np.where(wrong, 1 + random.exponential(3, 40), random.exponential(0.05, 40))
        interval = mean_interval(losses)
        covered += interval.low <= true <= interval.high
    assert covered / 200 >= 0.93


def test_without_skew_it_is_student_s_interval() -> None:
    values = np.random.default_rng(3).normal(2, 1, 400)
    interval = mean_interval(values, 0.9)
    low, high = scipy_stats.t.interval(0.9, len(values) - 1, values.mean(), scipy_stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)


def test_it_is_the_inverse_of_hall_s_transformation() -> None:
    values = np.random.default_rng(3).exponential(1, 60)
    interval, n = mean_interval(values, 0.9), len(values)
    skew = scipy_stats.skew(values)
    for end, quantile in ((interval.low, 0.95), (interval.high, 0.05)):
        distance = (values.mean() - end) / scipy_stats.sem(values)
        transformed = (
            distance
            + skew / (3 * n**0.5) * distance**2
            + skew**2 / (27 * n) * distance**3
            + skew / (6 * n**0.5)
        )
        assert transformed == pytest.approx(scipy_stats.t.ppf(quantile, n - 1))


@settings(max_examples=20)
@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=12),
    st.sampled_from([0.8, 0.95]),
)
def test_it_moves_and_grows_with_the_values(values: list[int], level: float) -> None:
    interval = mean_interval(values, level)
    mean = sum(values) / len(values)
    assert interval.low <= mean <= interval.high
    assert interval == mean_interval(values[::-1], level)
    moved = mean_interval([2 * value + 3 for value in values], level)
    expected = (2 * interval.low + 3, 2 * interval.high + 3)
    assert (moved.low, moved.high) == pytest.approx(expected, abs=1e-9)


def test_seeds_of_a_query_are_no_new_queries() -> None:
    values = np.random.default_rng(5).exponential(1, 30)
    repeated = mean_interval(np.stack([values] * 4, axis=1))
    assert repeated == mean_interval(values)


def test_what_no_interval_can_say() -> None:
    assert mean_interval([3.0]) == mean_interval([[3.0, 3.0]])
    assert mean_interval([3.0]).low == -math.inf
    equal = mean_interval([0.1] * 7)
    assert equal.low == equal.high == pytest.approx(0.1)
    for values in ([], [math.inf, 1.0], [math.nan]):
        with pytest.raises(ValueError, match="finite values"):
            mean_interval(values)
    levels: list[Any] = [0, 1]
    for level in levels:
        with pytest.raises(ValueError, match="level"):
            mean_interval([1.0, 2.0], level)


def test_equal_values_of_a_bounded_mean_leave_room_for_rare_others() -> None:
    found = targets.mean(np.ones((60, 1)), False, least=0, most=1)
    assert found is not None
    assert (found.these.low, found.these.high) == (pytest.approx(0.05 ** (1 / 60)), 1.0)
    exact = scipy_stats.binomtest(60, 60).proportion_ci(0.90, method="exact")
    assert found.these.low == pytest.approx(exact.low)
    half = targets.mean(np.full((2, 1), 0.5), False, least=0, most=1)
    assert half is not None
    assert half.these.low < 0.15 < 0.85 < half.these.high
    loss = targets.mean(np.zeros((60, 1)), False, least=0)
    assert loss is not None
    assert (loss.these.low, loss.these.high) == (0.0, 0.0)
