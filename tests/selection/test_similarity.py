"""Similarities are exact: the same however they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import some_text

from promptkit.selection import ranking, similarity
from promptkit.selection.similarity import Embedded, TfIdf

words = st.sampled_from(["red", "redder", "apple", "of the north", "Ärger", "漢字", "फल", "…"])
texts = st.lists(words, min_size=1, max_size=6).map(" ".join) | some_text


def letters(texts: Sequence[str]) -> Any:
    """Counts of some letters."""
    return np.array([[text.count(letter) for letter in "aeirt"] for text in texts], float)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.lists(texts, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_all_ways_to_a_similarity_agree_to_the_bit(
    pool: list[str], small: bool, embedded: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "SMALL", 2048 if small else 0)
        found = Embedded(pool, letters) if embedded else TfIdf(pool)
        rows = np.array([*found.rows(pool)])
        among = found.among(range(len(pool)))
        alone = np.array([next(iter(found.rows([text]))) for text in pool])
        columns = np.array([found.to(index) for index in range(len(pool))])
    assert (rows == among).all()
    assert (rows == alone).all()
    assert (rows == columns).all()
    assert (rows == rows.T).all()
    lengths = rows.diagonal()
    assert ((abs(lengths - 1) < 1e-6) | (lengths == 0)).all()


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=8))
def test_what_is_left_out_of_large_pools_is_the_commonest(pool: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "PRODUCTS", 0)
        few = TfIdf(pool)
    every = range(len(pool))
    alike, usually = few.among(every) > 0, TfIdf(pool).among(every) > 0
    assert (alike <= usually).all()
    assert alike.any()


def test_an_empty_pool_has_no_similarities() -> None:
    for found in (TfIdf([]), Embedded([], letters)):
        assert found.among([]).shape == (0, 0)
    assert [row.shape for row in TfIdf([]).rows(["a", "b"])] == [(0,), (0,)]


# `ranking`, beside the plainest way to do the same.

rows = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0]), min_size=1, max_size=40)


@given(rows, st.integers(0, 45), st.sets(st.integers(0, 40)))
def test_similar_is_a_stable_sort(row: list[float], count: int, barred: set[int]) -> None:
    ranked = sorted((i for i in range(len(row)) if i not in barred), key=lambda i: -row[i])
    assert ranking.similar(np.array(row), count, barred.__contains__) == ranked[:count]
    nearest = sorted(range(len(row)), key=lambda i: -row[i])
    assert ranking.nearest(np.array(row), count).tolist() == nearest[:count]


@pytest.mark.slow
@given(st.lists(texts, min_size=2, max_size=10), texts, st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_diverse_takes_the_best_of_all_that_are_left(
    pool: list[str], query: str, relevance: float
) -> None:
    found = TfIdf(pool)
    row, between = next(iter(found.rows([query]))), found.among(range(len(pool)))
    chosen = ranking.diverse(row, len(pool), lambda index: False, found, relevance)
    assert sorted(chosen) == list(range(len(pool)))

    def gain(index: int, before: Sequence[int]) -> float:
        return float(relevance * row[index] - (1 - relevance) * between[index][before].max())

    assert row[chosen[0]] == row.max() or relevance == 0
    for place in range(1, len(chosen)):
        before, left = chosen[:place], chosen[place:]
        best = max(gain(index, before) for index in left)
        assert gain(chosen[place], before) == pytest.approx(best, abs=1e-12)


@given(rows, st.integers(1, 4), st.sets(st.integers(0, 40)), st.integers(0, 45))
def test_balanced_deals_out_labels(
    row: list[float], labels: int, barred: set[int], count: int
) -> None:
    members = [np.arange(label, len(row), labels) for label in range(labels)]
    members = [indices for indices in members if len(indices)]
    found = ranking.balanced(np.array(row), count, barred.__contains__, members)
    left = [i for i in range(len(row)) if i not in barred]
    assert len(found) == min(count, len(left))
    for label in range(labels):
        nearest = sorted((i for i in left if i % labels == label), key=lambda i: -row[i])
        mine = [i for i in found if i % labels == label]
        assert mine == nearest[: len(mine)]
        others = [len([i for i in found if i % labels == other]) for other in range(labels)]
        assert max(others) - len(mine) <= 1 or len(mine) == len(nearest)


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, min_size=1, max_size=10), st.data())
def test_far_apart_goes_to_the_least_like(pool: list[str], data: st.DataObject) -> None:
    found = TfIdf(pool)
    first = data.draw(st.integers(0, len(pool) - 1))
    chosen = ranking.far_apart(found, first, len(pool))
    between = found.among(range(len(pool)))
    assert chosen[0] == first
    assert sorted(chosen) == list(range(len(pool)))
    for place in range(1, len(chosen)):
        before, left = chosen[:place], chosen[place:]
        closest = {index: between[index][before].max() for index in left}
        assert closest[chosen[place]] == min(closest.values())
