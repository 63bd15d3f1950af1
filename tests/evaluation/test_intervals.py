from __future__ import annotations

import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, permutation_test
from statsmodels.stats.multitest import multipletests

from promptkit.evaluation.intervals import (
    ADDED,
    Difference,
    Interval,
    effective_seeds,
    holm,
    paired_difference,
    wilson,
)

levels = st.sampled_from([0.5, 0.9, 0.95, 0.99])


@st.composite
def tables(draw: st.DrawFn, count: int = 1) -> list[np.ndarray]:
    """Tables of 0 and 1 over the same queries, each with its own number of seeds."""
    queries = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chance = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    seeds = [draw(st.integers(1, 4)) for _ in range(count)]
    return [(rng.random((queries, s)) < chance).astype(int) for s in seeds]


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (29, 30), (71, 100)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_of_one_seed_is_scipys(right: int, n: int, level: float) -> None:
    expected = binomtest(right, n).proportion_ci(level, method="wilson")
    found = wilson([1] * right + [0] * (n - right), level)
    assert ends(found) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.level == level


@settings(deadline=None)
@given(tables(), levels)
def test_wilson_contains_the_estimate(pair: list[np.ndarray], level: float) -> None:
    found = wilson(pair[0], level)
    assert 0 <= found.low <= pair[0].mean() <= found.high <= 1
    assert found.low < found.high


@settings(deadline=None)
@given(tables())
def test_seeds_help_at_most_as_much_as_new_queries(pair: list[np.ndarray]) -> None:
    table = pair[0]
    width = np.diff(ends(wilson(table))).item()
    as_new = np.diff(ends(wilson(table.ravel()))).item()
    assert width >= as_new - 1e-12


def test_seeds_that_always_agree_count_once() -> None:
    one = [1, 0, 1, 1, 0, 1, 1, 1]
    repeated = np.repeat(np.array(one)[:, None], 5, axis=1)
    assert ends(wilson(repeated)) == pytest.approx(ends(wilson(one)))
    assert ends(wilson(np.ones((30, 5)))) == pytest.approx(ends(wilson(np.ones(30))))


def test_wilson_covers_high_accuracies_under_many_seeds() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(1000):
        # A query is hard 1 time in 20, and then right 2 times in 5: the accuracy is 0.97.
        hard = rng.random((30, 1)) < 0.05
        interval = wilson(rng.random((30, 8)) < np.where(hard, 0.4, 1.0))
        hits += interval.low <= 0.97 <= interval.high
    assert hits / 1000 >= 0.93


def covered(seeds: int, n: int = 40, runs: int = 400) -> tuple[float, float]:
    """Coverage of the accuracy of a, and of b - a, when both share how hard a query is."""
    rng = np.random.default_rng(7)
    # Each query is hard (1 in 5) or easy; the accuracies of a and b are 0.74 and 0.90.
    accuracy_hit = delta_hit = 0
    for _ in range(runs):
        hard = rng.random((n, 1)) < 0.2
        a = rng.random((n, seeds)) < np.where(hard, 0.1, 0.9)
        b = rng.random((n, seeds)) < np.where(hard, 0.7, 0.95)
        interval, difference = wilson(a), paired_difference(a, b)
        accuracy_hit += interval.low <= 0.74 <= interval.high
        delta_hit += difference.ci.low <= 0.16 <= difference.ci.high
    return accuracy_hit / runs, delta_hit / runs


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_as_often_as_they_say(seeds: int) -> None:
    for share in covered(seeds):
        assert 0.92 <= share <= 0.99


@pytest.mark.parametrize(("wins", "losses"), [(0, 1), (3, 3), (6, 0), (12, 2), (40, 25)])
def test_p_of_one_seed_is_the_exact_mcnemar_test(wins: int, losses: int) -> None:
    a = np.r_[np.zeros(wins), np.ones(losses), np.ones(20)]
    b = np.r_[np.ones(wins), np.zeros(losses), np.ones(20)]
    found = paired_difference(a, b)
    assert found.delta == pytest.approx((wins - losses) / (wins + losses + 20))
    assert found.p == pytest.approx(binomtest(wins, wins + losses).pvalue)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(tables(count=2))
def test_p_is_the_share_of_sign_flips_at_least_as_far_from_zero(pair: list[np.ndarray]) -> None:
    a, b = (table[:10] for table in pair)
    units = b.sum(axis=1) * a.shape[1] - a.sum(axis=1) * b.shape[1]
    flips = np.array(list(product((-1, 1), repeat=len(units))))
    expected = (np.abs(flips @ units) >= abs(units.sum())).mean()
    assert paired_difference(a, b).p == pytest.approx(expected)


def test_p_and_interval_agree_with_scipys_resampling() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((80, 3)) < 0.6, rng.random((80, 2)) < 0.68
    d = b.mean(axis=1) - a.mean(axis=1)
    found = paired_difference(a, b)
    flipped = permutation_test((d,), np.mean, permutation_type="samples", rng=rng)
    assert found.p == pytest.approx(flipped.pvalue, abs=0.02)
    one = ADDED * min(effective_seeds(a), effective_seeds(b)) ** -0.5
    added = np.r_[d, one, -one]
    resampled = bootstrap((added,), np.mean, method="percentile", rng=rng).confidence_interval
    assert ends(found.ci) == pytest.approx((resampled.low, resampled.high), abs=0.006)


@pytest.mark.slow
@settings(deadline=None)
@given(tables(count=2), levels, st.randoms(use_true_random=False))
def test_difference_is_antisymmetric_and_blind_to_order(
    pair: list[np.ndarray], level: float, random: object
) -> None:
    a, b = pair
    found = paired_difference(a, b, level)
    assert found.delta == pytest.approx(b.mean() - a.mean())
    assert -1 <= found.ci.low <= found.delta <= found.ci.high <= 1
    assert 0 < found.p <= 1
    turned = Interval(-found.ci.high, -found.ci.low, level)
    assert paired_difference(b, a, level) == Difference(
        -found.delta, turned, found.p, found.disagreement
    )
    order = np.arange(len(a))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert paired_difference(a[order], b[order], level) == found


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_equal_differences_give_a_finite_interval_with_width(
    n: int, a: int, b: int, seeds: int
) -> None:
    found = paired_difference(np.full((n, seeds), a), np.full((n, seeds), b))
    assert found.delta == b - a
    assert -1 <= found.ci.low < found.ci.high <= 1
    assert found.p == (1.0 if a == b else pytest.approx(2.0 ** (1 - n)))


def test_many_queries_are_fast_and_very_small_p_stays_above_zero() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((1000, 3)) < 0.2, rng.random((1000, 3)) < 0.8
    paired_difference(a[:2], b[:2])
    start = time.process_time()
    found = paired_difference(a, b)
    assert time.process_time() - start < 0.3
    assert 0 < found.p < 1e-12


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="not the same queries: 2 in a, 3 in b"):
        paired_difference([1, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="no predictions"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="no predictions"):
        wilson([])
    for level in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="level"):
            wilson([1], level)
        with pytest.raises(ValueError, match="level"):
            paired_difference([1], [0], level)


def test_importing_loads_neither_scipy_nor_scikit_learn() -> None:
    code = (
        "import promptkit.evaluation.intervals, sys; print({'scipy', 'sklearn'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    found = holm(p_values)
    expected = multipletests(p_values, method="holm")[1] if p_values else []
    assert found == pytest.approx(expected)


def test_holm_keeps_ties_and_places() -> None:
    assert holm([0.04, 0.01, 0.04, 1.0]).tolist() == pytest.approx([0.12, 0.04, 0.12, 1.0])
    with pytest.raises(ValueError, match="p-values"):
        holm([0.5, 1.5])


def test_disagreement_of_one_seed_is_the_share_of_queries_that_differ() -> None:
    assert paired_difference([1, 1, 0, 0], [1, 0, 1, 0]).disagreement == 0.5
    assert paired_difference([[1, 1], [0, 0]], [[1, 0], [1, 1]]).disagreement == (0.25 + 1) / 2


def test_seeds_in_agreement_are_worth_one() -> None:
    rng = np.random.default_rng(1)
    agreed = np.repeat(rng.random((500, 1)) < 0.6, 4, axis=1)
    assert effective_seeds(agreed) == 1
    assert effective_seeds(np.ones((30, 4))) == 1
    assert effective_seeds(rng.random((500, 4)) < 0.6) == pytest.approx(4, rel=0.1)


@pytest.mark.slow
def test_few_queries_do_not_prove_a_side_of_one_mind_better() -> None:
    # Without shots all seeds say the same; both sides are right 19 times in 20.
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(300):
        agreed = np.repeat(rng.random((37, 1)) < 0.95, 5, axis=1)
        found = paired_difference(agreed, rng.random((37, 5)) < 0.95)
        wrong += found.p <= 0.05 and not found.ci.low <= 0 <= found.ci.high
    assert wrong / 300 <= 0.05
