"""Near repeats: decided for two texts, and found among many."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import some_text

from promptkit.near import SHORTEST, alike, band_keys, near_pairs, normalised

SENTENCE = normalised("The parcel that I ordered on Monday has still not come to my address.")


def test_a_word_more_or_less_is_nearly_the_same() -> None:
    assert alike(SENTENCE, SENTENCE.replace("still ", ""))
    assert alike(SENTENCE, SENTENCE + " yet")
    assert not alike(SENTENCE, normalised("The driver that I called on Monday has come at last."))
    assert not alike(SENTENCE, SENTENCE + " " + SENTENCE[::-1])


def test_short_texts_are_alike_only_where_they_are_equal() -> None:
    assert alike("fig", "fig")
    assert not alike("pear", "peas")
    assert not alike("", "")
    assert not alike("a" * (SHORTEST - 1), "a" * SHORTEST)


@given(st.lists(some_text.map(normalised) | st.just(SENTENCE), max_size=5), st.integers(1, 40))
@settings(deadline=None)
def test_alike_says_what_pairs_say(texts: list[str], times: int) -> None:
    texts = [text * times for text in texts]  # past the length from which hashes are kept
    pairs = set(near_pairs(texts))
    for a, b in pairs:
        assert alike(texts[a], texts[b])
        assert alike(texts[b], texts[a])


@pytest.mark.parametrize("words", [15, 200])
def test_texts_that_are_alike_share_a_key(words: int) -> None:
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(300)]
    missed = 0
    for _ in range(300):
        one = draw.choices(vocabulary, k=words)
        other = [word for word in one if draw.random() > 0.06]
        texts = [" ".join(one), " ".join(other)]
        keys = band_keys(texts)
        missed += alike(*texts) and not (keys[0] == keys[1]).any()
    assert missed <= 3


def test_short_texts_share_a_key_where_they_are_equal() -> None:
    keys = band_keys(["fig", "figs", "fig", SENTENCE])
    assert (keys[0] == keys[2]).all()
    assert not (keys[0] == keys[1]).any()
    assert not (keys[0] == keys[3]).any()
    assert band_keys([]).shape == (0, 10)
