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
from promptkit.selection import SELECTIONS, Selection, default_selection, draw
from promptkit.task import Task

POOL = fruits({f"fruit {i}": "pome" for i in range(12)}).demos
QUERY = Example(input=Fruit(name="quince"))


def ids(shots: tuple[Example, ...]) -> list[str]:
    return [shot.id for shot in shots]


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(-(2**70), 2**70),
    st.sampled_from(SELECTIONS),
)
def test_fewer_shots_are_the_first_of_more(a: int, b: int, seed: int, selection: Selection) -> None:
    few, many = sorted((a, b))
    shots = draw(POOL, QUERY, many, seed=seed, selection=selection)
    assert draw(POOL, QUERY, few, seed=seed, selection=selection) == shots[:few]


def test_one_seed_draws_the_same_always() -> None:
    expected = ["fruit 11", "fruit 4", "fruit 10", "fruit 9"]
    assert ids(draw(POOL, QUERY, 4, seed=7)) == expected


@given(st.integers(0, 11), st.integers(0, 5), st.sampled_from(SELECTIONS))
def test_every_query_sees_the_same_order_without_itself(
    index: int, seed: int, selection: Selection
) -> None:
    everything = draw(POOL, QUERY, 12, seed=seed, selection=selection)
    query = POOL[index]
    shots = draw(POOL, query, 11, seed=seed, selection=selection)
    assert shots == tuple(e for e in everything if e != query)


def test_different_seeds_draw_different_orders() -> None:
    orders = {tuple(ids(draw(POOL, QUERY, 12, seed=seed))) for seed in range(50)}
    assert len(orders) == 50


def test_a_different_pool_draws_a_different_order() -> None:
    other = fruits({f"fruit {i}": "berry" for i in range(12)}).demos
    assert ids(draw(POOL, QUERY, 12)) != ids(draw(other, QUERY, 12))


def test_first_keeps_the_order_of_the_pool() -> None:
    assert draw(POOL, QUERY, 5, selection="first", seed=3) == POOL[:5]


@given(st.integers(0, 100))
def test_balanced_gives_every_label_its_turn(seed: int) -> None:
    families = ["pome"] * 8 + ["drupe"] * 3 + ["berry"]
    pool = fruits({f"fruit {i}": family for i, family in enumerate(families)}).demos
    drawn = [e.output for e in draw(pool, QUERY, 12, seed=seed, selection="balanced")]
    assert set(drawn[:3]) == {"pome", "drupe", "berry"}
    assert set(drawn[3:5]) == set(drawn[5:7]) == {"pome", "drupe"}
    assert drawn[7:] == ["pome"] * 5


def test_balanced_is_the_default_where_answers_are_labels() -> None:
    assert default_selection(fruits()) == "balanced"
    assert default_selection(Task[Fruit, str](name="t")) == "random"


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(
    "query",
    [
        Example(input=Fruit(name="something else"), id="fruit 3"),
        Example(input=Fruit(name="fruit 3"), id="other"),
        Example(input=Fruit(name="FRUIT 3"), id="other"),
    ],
)
def test_the_query_is_never_drawn_by_id_or_text(query: Example, selection: Selection) -> None:
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
    with pytest.raises(PromptError, match="no selection 'best'; there is balanced, random, first"):
        draw(POOL, QUERY, 1, selection="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("selection", ["balanced", "random"])
def test_every_order_of_a_small_pool_is_equally_likely(selection: Selection) -> None:
    pool = fruits().demos
    counts = Counter(
        tuple(ids(draw(pool, QUERY, 3, seed=seed, selection=selection))) for seed in range(3000)
    )
    assert set(counts) == set(permutations(e.id for e in pool))
    assert chisquare(list(counts.values())).pvalue > 0.001
