"""N-grams of many texts at once are those of each text alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import SNARES, characters

from promptkit.students.hashed_grams import SIZES, Layer, layers_of
from promptkit.students.tfidf_features import TfIdfFeatures

parts = st.sampled_from([*SNARES, "one two", "日本語", "กขค"]) | st.text(characters, max_size=9)
some_texts = st.lists(st.lists(parts).map(" ".join))


def own(layer: Layer, number: int) -> list[int]:
    """Return the buckets of a text in a layer."""
    begin, end = layer.starts[number : number + 2]
    return [bucket for bucket in layer.buckets[begin:end].tolist() if bucket]


def grams(text: str) -> list[list[int]]:
    """Return the buckets of each layer of a text, as they are found in it alone."""
    ((_, layers),) = layers_of([text])
    return [own(layer, 0) for layer in layers]


@given(some_texts)
def test_no_text_depends_on_those_beside_it(texts: list[str]) -> None:
    found = [
        [own(layer, number) for layer in layers]
        for place, layers in layers_of(texts)
        for number in range(place.stop - place.start)
    ]
    assert found == [grams(text) for text in texts]


def test_products_are_the_same_in_any_batch() -> None:
    texts = [f"text {number} of many" * (number % 5 * 50) for number in range(60)]
    assert len([*layers_of(texts)]) > 2
    features = TfIdfFeatures.of(texts, 1)
    weights = np.random.default_rng(0).normal(size=(features.columns, 2)).astype(np.float32)
    score = features.scorer(weights)
    alone = np.concatenate([score([text]) for text in texts])
    assert (score(texts) == alone).all()


def test_words_and_n_grams_are_those_that_one_expects() -> None:
    words, pairs, *runs = grams("A good-ish day, a")
    assert len(words) == 7  # a good - ish day , a
    assert words[0] == words[-1]
    assert len(pairs) == 6
    assert [len(one) for one in runs] == [
        sum(max(len(word) + 2 - size + 1, 0) for word in ("a", "good", "ish", "day", "a"))
        for size in SIZES
    ]
    assert grams("GOOD") == grams("good") == grams("ｇｏｏｄ")
    assert grams("good")[2] == grams("so good")[2][-len(grams("good")[2]) :]
    assert len(grams("日本語")[0]) == 3  # a word each
    assert len(grams("한국어 공부")[0]) == 2
    assert len(grams("year_1994")[0]) == 1
    assert [len(one) for one in grams("")] == [0] * (2 + len(SIZES))


@given(some_texts, st.integers(1, 3))
def test_products_are_those_of_the_matrix(texts: list[str], outputs: int) -> None:
    features = TfIdfFeatures.of(["one two three", "日本語", *texts[:3]], 1)
    weights = np.random.default_rng(0).normal(size=(features.columns, outputs)).astype(np.float32)
    matrix = features.matrix(texts)
    assert matrix.shape == (len(texts), features.columns)
    assert np.allclose(matrix @ weights, features.scorer(weights)(texts), atol=1e-5)


def test_each_group_is_of_length_one_where_no_n_gram_is_repeated() -> None:
    features = TfIdfFeatures.of(["one two", "three"], 1)
    lengths = np.sqrt((features.matrix(["one two", "three", "", "\0", "?!"]).toarray() ** 2).sum(1))
    assert np.allclose(lengths, [2**0.5, 2**0.5, 0, 0, 0], atol=1e-6)


def test_rare_n_grams_are_left_out() -> None:
    texts = ["one two", "one three", "one four"]
    assert TfIdfFeatures.of(texts).columns < TfIdfFeatures.of(texts, 1).columns
    rarity = TfIdfFeatures.of(texts).rarity
    assert np.allclose(rarity, np.log(4 / 4) + 1)  # as in scikit-learn
