"""Gaps: intervals that hold for the largest of all differences, and tests by permutation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import studentized_range

from promptkit.auditing.group_gaps import corrected, four_fifths, gap_of
from promptkit.auditing.group_results import Gap
from promptkit.evaluation.independent_intervals import (
    Estimate,
    difference_interval,
    level_of_each,
    ratio_interval,
)
from promptkit.evaluation.intervals import Interval, wilson
from promptkit.evaluation.metric import ACCURACY
from promptkit.evaluation.outcomes import Outcomes
from promptkit.inference.cell import Cell


def outcomes(table: Any, first: int = 0) -> Outcomes:
    cell = Cell(model="m", template="t", selection="random", shots=0)
    table = np.array(table, dtype=np.int64)
    queries = {str(number): ({}, "") for number in range(first, first + len(table))}
    return Outcomes(cell, table, drawn=False, queries=queries)


def of_groups(tables: list[Any]) -> tuple[dict[str, Outcomes], Outcomes]:
    whole = np.concatenate(tables)
    starts = np.cumsum([0, *map(len, tables)])
    parts = {
        str(number): outcomes(table, int(start))
        for number, (table, start) in enumerate(zip(tables, starts, strict=False))
    }
    return parts, outcomes(whole)


def test_for_two_groups_it_is_newcombes_interval() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random((50, 1)) < 0.9, draw.random((70, 1)) < 0.5
    parts, whole = of_groups([a, b])
    gap = gap_of(ACCURACY, parts, whole)
    assert gap is not None
    one, other = (Estimate(float(t.mean()), wilson(t)) for t in (a, b))
    expected = difference_interval(one, other)
    assert gap.ci == pytest.approx((expected.low, expected.high))
    assert gap.value == pytest.approx(a.mean() - b.mean())
    assert (gap.highest, gap.lowest) == ("0", "1")
    assert gap.p is not None
    assert gap.p < 0.01
    ratio = ratio_interval(other, one)
    assert ratio is not None
    assert gap.ratio_ci == pytest.approx((ratio.low, ratio.high))


def test_levels_of_groups_are_those_of_the_studentized_range() -> None:
    assert level_of_each(2) == 0.95
    assert studentized_range.cdf(1.959964 * 2**0.5, 2, np.inf) == pytest.approx(0.95, abs=1e-5)
    levels = [level_of_each(groups) for groups in (2, 3, 5, 10)]
    assert levels == sorted(levels)
    assert 1 - level_of_each(5) > 0.05 / 10  # better than Bonferroni


@pytest.mark.slow
def test_groups_that_are_alike_are_seldom_apart() -> None:
    """The interval of a gap reaches 0, and the p-value is above 0.05, nineteen times in twenty."""
    draw = np.random.default_rng(1)
    apart = small = 0
    for _ in range(200):
        tables = [draw.random((n, 1)) < 0.7 for n in (30, 40, 50, 60)]
        gap = gap_of(ACCURACY, *of_groups(tables))
        assert gap is not None
        assert gap.ci is not None
        assert gap.p is not None
        apart += gap.ci[0] > 0
        small += gap.p <= 0.05
    assert apart <= 20
    assert small <= 20


@pytest.mark.slow
def test_the_interval_covers_the_gap() -> None:
    draw = np.random.default_rng(2)
    rates, covered = (0.9, 0.75, 0.6), 0
    for _ in range(200):
        gap = gap_of(ACCURACY, of_groups([draw.random((60, 1)) < p for p in rates])[0])
        assert gap is not None
        assert gap.ci is not None
        covered += gap.ci[0] <= 0.3 <= gap.ci[1]
    assert covered >= 184


@given(value=st.floats(0, 1), other=st.floats(0, 1), n=st.integers(2, 500), m=st.integers(2, 500))
def test_intervals_are_around_their_estimates(value: float, other: float, n: int, m: int) -> None:
    right, rest = round(value * n), round(other * m)
    one = Estimate(right / n, wilson(np.arange(n) < right))
    two = Estimate(rest / m, wilson(np.arange(m) < rest))
    delta = difference_interval(one, two)
    assert -1 - 1e-9 <= delta.low <= one.value - two.value <= delta.high <= 1 + 1e-9
    ratio = ratio_interval(one, two)
    if rest == 0:
        assert ratio is None
    else:
        assert ratio is not None
        assert 0 <= ratio.low <= one.value / two.value <= ratio.high


def test_p_values_are_adjusted_for_all_gaps() -> None:
    def gap(p: float | None) -> Gap:
        return Gap("accuracy", 0.1, (0.01, 0.2), 0.9, (0.7, 1.0), "a", "b", 2, p, None)

    found = corrected([gap(0.01), gap(None), gap(0.04)])
    assert [one.p_holm for one in found] == [0.02, None, 0.04]
    assert [one.significant for one in found] == [True, False, True]


@pytest.mark.parametrize(
    ("ends", "rule"), [((0.85, 0.95), "kept"), ((0.5, 0.7), "missed"), ((0.7, 0.9), "open")]
)
def test_the_four_fifths_rule_is_judged_by_the_interval(ends: Any, rule: str) -> None:
    gap = Gap("selection_rate", 0.1, (0.0, 0.2), 0.8, ends, "a", "b", 2, None, None)
    assert four_fifths(gap) == rule


def test_no_gap_of_fewer_than_two_groups() -> None:
    parts, whole = of_groups([np.ones((30, 1)), np.ones((30, 1))])
    assert gap_of(ACCURACY, {"0": parts["0"]}, whole) is None
    same = gap_of(ACCURACY, parts, whole)
    assert same is not None
    assert (same.value, same.ratio, same.p) == (0.0, 1.0, 1.0)
    assert Interval(0.0, 1.0).level == 0.95
