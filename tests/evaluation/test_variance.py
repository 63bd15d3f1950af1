from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncx2
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from promptkit.evaluation.query_variance import Component
from promptkit.evaluation.variance import (
    components,
    components_of_means,
    extent,
    extent_of_means,
    selection_bias,
)


def drawn(n: int, accuracies: object, seed: int = 0, shared: float = 0.7) -> np.ndarray:
    """Answers, (queries, *cells), that share how hard a query is."""
    rng, place = np.random.default_rng(seed), np.asarray(accuracies)
    hard = rng.random((n, *[1] * place.ndim))
    return (
        np.where(rng.random((n, *place.shape)) < shared, hard, rng.random((n, *place.shape)))
        < place
    )


def mean_squares(table: np.ndarray) -> dict[str, float]:
    """Of statsmodels, for (queries, levels)."""
    rows = [
        {"y": float(table[q, level]), "q": q, "level": level}
        for q, level in product(*map(range, table.shape))
    ]
    fitted = ols("y ~ C(q) + C(level)", pd.DataFrame(rows)).fit()
    found = anova_lm(fitted)
    return {name: float(found.loc[name, "mean_sq"]) for name in ("C(q)", "C(level)", "Residual")}


@pytest.mark.parametrize("seed", [0, 1])
def test_components_are_those_of_statsmodels_mean_squares(seed: int) -> None:
    table = drawn(30, [0.3, 0.6, 0.7, 0.8], seed)
    squares, found = mean_squares(table), components(table)
    level = (squares["C(level)"] - squares["Residual"]) / 30
    query = (squares["C(q)"] - squares["Residual"]) / 4
    (factor,) = found.factors
    assert factor is not None
    assert factor.sd == pytest.approx(level**0.5)
    assert found.query.sd == pytest.approx((query / 30) ** 0.5)
    assert found.residual.sd == pytest.approx((squares["Residual"] / 30) ** 0.5)


def test_a_factor_is_the_mean_over_the_cells_of_the_others() -> None:
    table = drawn(40, np.linspace(0.3, 0.8, 12).reshape(4, 3))
    by_cell = [mean_squares(table[:, :, other]) for other in range(3)]
    alone = np.mean([(m["C(level)"] - m["Residual"]) / 40 for m in by_cell])
    first, second = components(table).factors
    assert first is not None
    assert first.sd == pytest.approx(alone**0.5)
    assert second is not None
    swapped = components(table.swapaxes(1, 2)).factors
    assert [one and one.sd for one in swapped] == pytest.approx([second.sd, first.sd])


def test_the_interval_of_a_factor_is_that_of_a_noncentral_chi_square() -> None:
    # With independent cells of equal variance the sum of squares is just that.
    n, accuracies = 3000, [0.45, 0.5, 0.5, 0.55]
    table = drawn(n, accuracies, seed=3, shared=0.0)
    (factor,) = components(table).factors
    assert factor is not None
    unit = 0.25 / n
    seen = 3 * table.mean(axis=0).var(ddof=1) / unit
    apart = (factor.ci.low**2 * 3 / unit, factor.ci.high**2 * 3 / unit)
    assert ncx2.sf(seen, 3, apart[0]) == pytest.approx(0.025, abs=0.012)
    assert ncx2.cdf(seen, 3, apart[1]) == pytest.approx(0.025, abs=0.012)


def test_orders_that_are_good_for_some_draws_only_move_the_accuracy() -> None:
    # No order is best on average, and yet another order is another accuracy.
    accuracies = 0.6 + 0.2 * np.array([[1, -1, 1], [-1, 1, 1], [1, 1, -1]])
    by_order, by_seed = components(drawn(400, accuracies)).factors
    assert by_order is not None
    assert by_seed is not None
    assert by_order.ci.low > 0.1
    assert by_order.sd == pytest.approx(0.23, abs=0.03)


def test_one_level_is_no_source() -> None:
    found = components(drawn(50, [[[0.5, 0.6, 0.7]]]))
    assert found.factors[:2] == (None, None)
    assert found.factors[2] is not None


def is_finite(component: Component) -> bool:
    return 0 <= component.ci.low <= component.sd <= component.ci.high <= 1


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(2, 12), st.integers(1, 3), st.integers(1, 3), st.integers(2, 4)),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(0, 1000),
)
def test_small_and_constant_tables_give_finite_numbers(
    shape: tuple[int, ...], chance: float, seed: int
) -> None:
    table = np.random.default_rng(seed).random(shape) < chance
    found = components(table)
    assert all(is_finite(c) for c in (found.query, found.residual, *found.factors) if c)
    assert [c is None for c in found.factors] == [levels == 1 for levels in shape[1:]]
    spread = extent(table.swapaxes(1, 3))
    assert 0 <= spread.ci.low <= spread.estimate <= spread.ci.high <= 1
    assert spread.noise > 0
    means = table.mean(axis=(0, 1, 2))
    assert spread.values == pytest.approx(tuple(means))
    assert spread.observed == pytest.approx(np.ptp(means))
    assert selection_bias(table.swapaxes(1, 3)) >= 0


@pytest.mark.parametrize("right", [0, 1])
def test_cells_that_agree_are_not_proven_equal(right: int) -> None:
    table = np.full((37, 4), right)
    (factor,) = components(table).factors
    assert factor is not None
    assert factor.sd == 0
    assert 0 < factor.ci.high < 0.1
    assert 0.01 < extent(table).ci.high < 0.15


def test_the_order_of_queries_does_not_matter() -> None:
    table = drawn(60, [0.4, 0.5, 0.7])
    turned = table[::-1]
    assert extent(turned).ci.high == pytest.approx(extent(table).ci.high, abs=1e-4)
    assert components(turned).query.sd == pytest.approx(components(table).query.sd)


def test_a_range_of_equals_is_what_noise_makes() -> None:
    tables = [drawn(100, np.full(8, 0.6), seed, shared=0.5) for seed in range(60)]
    found = [extent(table) for table in tables]
    observed = np.mean([one.observed for one in found])
    assert observed == pytest.approx(np.mean([one.noise for one in found]), rel=0.1)
    assert np.median([one.estimate for one in found]) < observed / 2
    assert np.mean([one.ci.low > 0 for one in found]) <= 0.05


def test_flattery_is_what_new_queries_take_back() -> None:
    rng = np.random.default_rng(5)
    said, taken = [], []
    for seed in range(150):
        table = drawn(80, np.full(10, 0.6), seed + 100, shared=0.5)
        said.append(selection_bias(table))
        taken.append(table.mean(axis=0).max() - 0.6)
    assert np.mean(said) == pytest.approx(np.mean(taken), abs=0.012)
    sure = rng.random((80, 2)) < [0.2, 0.9]
    assert selection_bias(sure) < 0.003


def test_identical_cells_have_no_selection_bias() -> None:
    rng = np.random.default_rng(3)
    answers = rng.integers(0, 2, (50, 1, 3))
    for cells in (2, 5):
        assert selection_bias(answers.repeat(cells, axis=1)) == 0.0
        assert selection_bias(answers[:, :, 0].repeat(cells, axis=1)) == 0.0
    assert selection_bias(np.ones((20, 4))) == 0.0


def test_selection_bias_counts_cells_with_the_same_answers_once() -> None:
    rng = np.random.default_rng(4)
    two = rng.permuted(np.tile([[0], [1]], (40, 2)), axis=0)  # equal accuracy, other answers
    assert two.mean(axis=0).tolist() == [0.5, 0.5]
    assert selection_bias(two) > 0.005
    assert selection_bias(two[:, [0, 1, 1, 0, 0]]) == selection_bias(two)


def test_what_has_no_variance_is_refused() -> None:
    for table in ([], [1, 0], [[1, 0]], [[1], [0]]):
        with pytest.raises(ValueError, match="two queries and two cells"):
            components(table)
    with pytest.raises(ValueError, match="True and False"):
        components([[0.5, 1], [0, 1]])
    with pytest.raises(ValueError, match="two levels"):
        extent(np.ones((3, 1, 2)))


def errors(n: int, means: object, seed: int = 0) -> np.ndarray:
    """Absolute errors, (queries, *cells), skewed and shared in part."""
    rng, place = np.random.default_rng(seed), np.asarray(means, dtype=float)
    hard = rng.exponential(1, (n, *[1] * place.ndim))
    return place * (0.5 * hard + 0.5 * rng.exponential(1, (n, *place.shape)))


@pytest.mark.parametrize("unit", [1.0, 1e-4, 3e5])
def test_components_of_numbers_are_those_of_statsmodels_too(unit: float) -> None:
    table = unit * errors(30, [1.0, 1.5, 2.0, 2.5])
    squares, found = mean_squares(table), components_of_means(table)
    (factor,) = found.factors
    assert factor is not None
    level = (squares["C(level)"] - squares["Residual"]) / 30
    query = (squares["C(q)"] - squares["Residual"]) / 4
    assert factor.sd == pytest.approx(level**0.5)
    assert found.query.sd == pytest.approx((query / 30) ** 0.5)
    assert found.residual.sd == pytest.approx((squares["Residual"] / 30) ** 0.5)
    for one in (factor, found.query, found.residual):
        assert one.ci.low <= one.sd <= one.ci.high


def test_components_of_right_and_wrong_are_the_same_as_of_numbers() -> None:
    table = drawn(60, [[0.4, 0.5], [0.6, 0.8]])
    one, other = components(table), components_of_means(table)
    assert other.query.sd == pytest.approx(one.query.sd)
    assert other.residual.sd == pytest.approx(one.residual.sd)
    assert [f and f.sd for f in other.factors] == pytest.approx([f and f.sd for f in one.factors])
    apart, also = extent(table), extent_of_means(table)
    assert also.values == pytest.approx(apart.values)
    assert also.estimate == pytest.approx(apart.estimate, abs=0.01)


def test_the_interval_of_the_queries_covers_what_their_sample_does() -> None:
    found = [components_of_means(errors(80, [2.0, 2.0, 2.0], seed)).query for seed in range(200)]
    true = (4 * 0.25 / 80) ** 0.5  # of half of an exponential of mean 2, over 80 queries
    assert np.mean([one.ci.low <= true <= one.ci.high for one in found]) >= 0.85
    assert np.mean([one.sd for one in found]) == pytest.approx(true, rel=0.05)


def test_a_range_of_numbers_is_without_noise_and_in_their_unit() -> None:
    equal = [extent_of_means(errors(100, np.full(6, 2.0), seed)) for seed in range(60)]
    assert np.mean([one.ci.low > 0 for one in equal]) <= 0.06
    observed = np.mean([one.observed for one in equal])
    assert observed == pytest.approx(np.mean([one.noise for one in equal]), rel=0.1)
    apart = [extent_of_means(errors(200, [1.0, 2.0], seed)) for seed in range(60)]
    assert np.mean([one.ci.low <= 1 <= one.ci.high for one in apart]) >= 0.9
    table = errors(50, [1.0, 1.2, 2.0])
    one, other = extent_of_means(table), extent_of_means(1000 + 50 * table)
    assert other.estimate == pytest.approx(50 * one.estimate, rel=1e-3)
    assert other.values == pytest.approx(1000 + 50 * table.mean(axis=0))
