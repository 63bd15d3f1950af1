"""In which order the same shots stand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit.errors import PromptError, TaskError
from promptkit.selection.orders import RULES, Order, arranged, as_order, design, orders


def shown(
    labels: str = "", near: tuple[float, ...] = (), turn: int = 0, count: int | None = None
) -> tuple[Any, ...]:
    length = max(len(labels), len(near)) if count is None else count
    return (length, lambda: labels, lambda: near, lambda: turn)


def placed(order: Order | str, drawn: tuple[Any, ...]) -> list[int]:
    return list(arranged(as_order(order), *drawn))


def test_rules() -> None:
    assert placed("drawn", shown("abc")) == placed("given", shown("abc")) == [0, 1, 2]
    assert placed("reversed", shown("abc")) == [2, 1, 0]
    assert placed("nearest-last", shown(near=(0.5, 0.9, 0.1, 0.5))) == [2, 3, 0, 1]


def test_a_fixed_block_stays_in_front_as_it_was_drawn() -> None:
    block = -math.inf
    assert placed("nearest-last", shown(near=(0.9, 0.5, block, block))) == [2, 3, 1, 0]


@given(st.text("abc", max_size=8), st.integers(-(2**70), 2**70))
def test_rotated_turns_to_the_label_whose_turn_it_is(labels: str, turn: int) -> None:
    places = placed("rotated", shown(labels, turn=turn))
    start = places[0] if places else 0
    assert places == [(start + place) % len(labels) for place in range(len(labels))]
    if labels:
        distinct = sorted(set(labels))
        assert labels[places[-1]] == distinct[turn % len(distinct)]


@given(st.integers(0, 9), st.integers(1, 40))
def test_every_shot_stands_in_every_position_equally_often(shots: int, count: int) -> None:
    rows = [placed(order, shown(count=shots)) for order in orders(count)]
    assert all(sorted(row) == list(range(shots)) for row in rows)
    assert rows[0] == list(range(shots))
    for position in range(shots):
        times = Counter(row[position] for row in rows)
        assert max(times.values()) - min(times[shot] for shot in range(shots)) <= 1


@pytest.mark.parametrize("shots", range(2, 10))
def test_every_shot_stands_behind_every_other_one_equally_often(shots: int) -> None:
    count = 2 * shots if shots % 2 else shots
    behind = Counter(pair for row in design(shots)[:count] for pair in pairwise(row))
    assert len(behind) == shots * (shots - 1)
    assert len(set(behind.values())) == 1


def test_designs_repeat_themselves_late() -> None:
    for shots, different in ((2, 2), (3, 6), (4, 10), (5, 18), (8, 22)):
        assert len(set(design(shots))) == different


def test_orders_have_names() -> None:
    assert [order.name for order in orders(3)] == ["order 1/3", "order 2/3", "order 3/3"]
    assert {as_order(rule).name for rule in RULES} == set(RULES)
    with pytest.raises(PromptError, match="unknown order 'sorted'; choose one of: drawn, given"):
        as_order("sorted")
    with pytest.raises(TaskError, match="0 orders"):
        orders(0)
