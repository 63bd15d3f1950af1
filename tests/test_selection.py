from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from strategies import Fruit, fruits

from promptkit.errors import PromptError
from promptkit.examples import Example
from promptkit.selection import draw

POOL = fruits({f"fruit {i}": "pome" for i in range(12)}).demos
QUERY = Example(input=Fruit(name="quince"))


def ids(shots: tuple[Example, ...]) -> list[str]:
    return [shot.id for shot in shots]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(-(2**70), 2**70))
def test_fewer_shots_are_the_first_of_more(a: int, b: int, seed: int) -> None:
    few, many = sorted((a, b))
    assert draw(POOL, QUERY, few, seed=seed) == draw(POOL, QUERY, many, seed=seed)[:few]


def test_one_seed_draws_the_same_always() -> None:
    expected = ["fruit 11", "fruit 4", "fruit 10", "fruit 9"]
    assert ids(draw(POOL, QUERY, 4, seed=7)) == expected


@given(st.integers(0, 11), st.integers(0, 5))
def test_every_query_sees_the_same_order_without_itself(index: int, seed: int) -> None:
    everything = draw(POOL, QUERY, 12, seed=seed)
    query = POOL[index]
    assert draw(POOL, query, 11, seed=seed) == tuple(e for e in everything if e != query)


def test_different_seeds_draw_different_orders() -> None:
    orders = {tuple(ids(draw(POOL, QUERY, 12, seed=seed))) for seed in range(50)}
    assert len(orders) == 50


def test_a_different_pool_draws_a_different_order() -> None:
    other = fruits({f"fruit {i}": "berry" for i in range(12)}).demos
    assert ids(draw(POOL, QUERY, 12)) != ids(draw(other, QUERY, 12))


def test_first_keeps_the_order_of_the_pool() -> None:
    assert draw(POOL, QUERY, 5, selection="first", seed=3) == POOL[:5]


@pytest.mark.parametrize("selection", ["first", "random"])
@pytest.mark.parametrize(
    "query",
    [
        Example(input=Fruit(name="something else"), id="fruit 3"),
        Example(input=Fruit(name="fruit 3"), id="other"),
        Example(input=Fruit(name="FRUIT 3"), id="other"),
    ],
)
def test_the_query_is_never_drawn_by_id_or_text(query: Example, selection: str) -> None:
    shots = draw(POOL, query, 11, selection=selection)
    assert "fruit 3" not in ids(shots)
    with pytest.raises(PromptError, match="only 11 demonstrations for example"):
        draw(POOL, query, 12, selection=selection)


def test_a_small_pool_is_an_error_that_says_what_to_do() -> None:
    reason = "13 shots asked, but the pool has only 12 demonstrations .* add some, or ask for fewer"
    with pytest.raises(PromptError, match=reason):
        draw(POOL, QUERY, 13)


def test_no_shots_of_an_empty_pool_are_none() -> None:
    assert draw(fruits({}).demos, QUERY, 0) == ()


def test_a_negative_number_of_shots_is_an_error() -> None:
    with pytest.raises(PromptError, match="-1 shots"):
        draw(POOL, QUERY, -1)


def test_an_unknown_selection_is_an_error() -> None:
    with pytest.raises(PromptError, match="no selection 'best'; there is random, first"):
        draw(POOL, QUERY, 1, selection="best")  # type: ignore[arg-type]


def test_every_order_of_a_small_pool_is_equally_likely() -> None:
    pool = fruits().demos
    counts = Counter(tuple(ids(draw(pool, QUERY, 3, seed=seed))) for seed in range(3000))
    assert set(counts) == set(permutations(e.id for e in pool))
    assert chisquare(list(counts.values())).pvalue > 0.001
