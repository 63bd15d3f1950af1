"""Intervals over new queries and new draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats
from statsmodels.formula.api import ols

from promptkit.evaluation import crossed_intervals, targets
from promptkit.evaluation.crossed_intervals import variance_by_draw
from promptkit.evaluation.intervals import Difference, Interval, paired_difference, wilson

tables = st.tuples(st.integers(2, 12), st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 1))
)
NOTHING = Interval(math.inf, -math.inf)
"""An interval that no other one is narrower than."""


def mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Those of queries, of draws and of the rest, by statsmodels."""
    queries, draws = np.indices(table.shape)
    columns = {"x": table.ravel(), "query": queries.ravel(), "draw": draws.ravel()}
    data = pandas.DataFrame(columns)
    fitted: Any = sm.stats.anova_lm(ols("x ~ C(query) + C(draw)", data).fit())
    query, draw, rest = fitted["sum_sq"] / fitted["df"]
    return query, draw, rest


def test_the_error_and_its_freedom_are_those_of_the_analysis_of_variance() -> None:
    table = np.random.default_rng(0).normal(0, 1, (9, 4)) + np.arange(4)
    query, draw, rest = mean_squares(table)
    n, draws, few = 9, 4, 3 / 5
    extra = draw - few * rest
    squares = query**2 / 8 + draw**2 / 3 + rest**2 / 24
    freedom = max(few * (query + extra) ** 2 / squares, 3)
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt((query + extra) / table.size)
    found = crossed_intervals.mean_interval(table, NOTHING)
    assert found.low == pytest.approx(table.mean() - half)
    assert found.high == pytest.approx(table.mean() + half)
    assert variance_by_draw(table) == pytest.approx(extra / n)
    these = Difference(float(table.mean()), NOTHING, 0.0, 0.0)
    assert freedom < 9  # else the p-value has fewer
    expected = 2 * scipy_stats.t.sf(
        table.mean() / (half / scipy_stats.t.ppf(0.975, freedom)), freedom
    )
    assert crossed_intervals.difference(table, these).p == pytest.approx(expected)
    assert draws == table.shape[1]


@given(tables)
def test_it_is_never_narrower_than_for_these_draws(table: np.ndarray) -> None:
    found = targets.accuracy(table, drawn=True)
    assert found.general is not None
    assert 0 <= found.general.low <= found.these.low <= found.these.high <= found.general.high <= 1
    assert found.these == wilson(table)


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_queries_and_of_draws_does_not_matter(table: np.ndarray, random: Any) -> None:
    queries, draws = (random.sample(range(size), size) for size in table.shape)
    moved = table[np.ix_(queries, draws)]
    ends = [targets.accuracy(one, drawn=True).general for one in (table, moved)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert (ends[0].low, ends[0].high) == pytest.approx((ends[1].low, ends[1].high))


@settings(max_examples=30, deadline=None)
@given(tables, st.data())
def test_a_difference_turns_around_and_is_no_surer_than_for_these_draws(
    a: np.ndarray, data: st.DataObject
) -> None:
    b = data.draw(arrays(np.int64, a.shape, elements=st.integers(0, 1)))
    forth, back = (targets.difference(x, y, drawn=True).decisive for x, y in ((a, b), (b, a)))
    assert forth.delta == -back.delta
    assert (forth.ci.low, forth.ci.high) == pytest.approx((-back.ci.high, -back.ci.low))
    assert forth.p == pytest.approx(back.p)
    these = paired_difference(a, b)
    assert forth.p >= these.p
    assert forth.ci.low <= these.ci.low
    assert -1 <= forth.ci.low <= forth.delta <= forth.ci.high <= 1


def test_draws_that_all_agree_add_nothing() -> None:
    column = np.random.default_rng(1).random((40, 1)) < 0.6
    table = np.repeat(column, 4, axis=1).astype(int)
    found = targets.accuracy(table, drawn=True)
    assert found.general is not None
    assert found.general.low == pytest.approx(found.these.low, abs=0.01)


def test_what_is_not_drawn_has_one_interval_and_one_draw_says_nothing_of_others() -> None:
    table = np.random.default_rng(1).integers(0, 2, (40, 3))
    assert targets.accuracy(table, drawn=False).general == wilson(table)
    assert targets.accuracy(table[:, :1], drawn=True).general is None
    assert targets.accuracy(table[:, :1], drawn=False).general == wilson(table[:, :1])
    one = targets.difference(table[:, :1], 1 - table[:, :1], drawn=True)
    assert one.general is None
    assert one.decisive == one.these
    losses = np.random.default_rng(1).exponential(1, (40, 1))
    mean = targets.mean(losses, drawn=True, least=0.0)
    assert mean is not None
    assert mean.general is None
    assert targets.mean(losses[:1], drawn=True) is None
    assert targets.mean([[math.inf], [1.0]], drawn=True) is None


def test_the_ends_of_a_mean_stay_where_it_can_be() -> None:
    values = np.random.default_rng(2).random((5, 3)) ** 8
    found = targets.mean(values, drawn=True, least=0.0, most=1.0)
    assert found is not None
    assert found.general is not None
    assert found.general.low >= 0
    assert found.general.high <= 1


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3,)])
def test_one_query_or_one_draw_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 or more queries and draws"):
        variance_by_draw(np.zeros(shape))
