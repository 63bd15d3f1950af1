"""Near-duplicates: decided for two texts, and found among many."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import some_text

from promptkit.tasks.near_duplicates import (
    SHORTEST,
    alike,
    band_keys,
    near_pairs,
    normal_form,
    normalised,
)

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


def near(one: str | list[str], other: str | list[str]) -> bool:
    ours, theirs = (normal_form([t] if isinstance(t, str) else t) for t in (one, other))
    assert alike(ours, theirs) == alike(theirs, ours)
    return alike(ours, theirs)


LONG = "The parcel that I ordered on Monday has still not come to my address"
PASSAGE = (
    "The mill on the river was built by two brothers, and it burned down in a dry summer. "
    "Its wheel still stands in the garden of the school. "
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dog.", "dog"),
        ("He said, “yes”!", "he said yes"),
        ("Quoi ? Oui.", "quoi? oui"),
        ("don’t", "don't"),
        ("你好吗？我很好。", "你好吗?我很好"),
        ("x = 1;", "x  =  1"),
        (LONG, LONG.upper() + "!"),
        (LONG, f'"{LONG}."'),
        (PASSAGE + LONG, PASSAGE + LONG.replace("still ", "")),
        ([LONG, "5"], [LONG.lower() + "...", "5"]),
        (["short", LONG], ["Short!", LONG + " yet"]),
    ],
)
def test_near_duplicates(one: Any, other: Any) -> None:
    assert near(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Questions about one passage, in one field and in two.
        (PASSAGE + "Did it burn in winter?", PASSAGE + "Who built the mill?"),
        (PASSAGE + "Does the wheel stand?", PASSAGE + "Does the old wheel stand?"),
        ([PASSAGE, "The wheel stands."], [PASSAGE, "The old wheel stands."]),
        ([PASSAGE, LONG + " yet"], [PASSAGE, LONG]),
        # Slots and numbers.
        (LONG, LONG.replace("Monday", "Sunday")),
        ("Book me a seat from Oslo to Bergen for the coming Tuesday, by the window",
         "Book me a seat from Oslo to Tromsø for the coming Tuesday, by the window"),
        ("Ann has 5 apples, buys 3 more and gives 2 of them to her brother at noon",
         "Ann has 5 apples, buys 7 more and gives 2 of them to her brother at noon"),
        (LONG, LONG + " 2"),
        ("3.5", "35"),
        ("$5", "5"),
        # Negations.
        (LONG.replace("still not", "still"), LONG),
        ("Diesen Film würde ich allen meinen Freunden empfehlen",
         "Diesen Film würde ich nicht allen meinen Freunden empfehlen"),
        # Brackets, operators, code.
        ("not True and False", "not ( True and False )"),
        ("not ( True and not False ) or ( False and True ) or ( True and False )",
         "not ( True and False ) or ( False and True ) or ( True and False )"),
        ("( ( [", "( [ ("),
        ("[ < { ( ) } > ] { { ( ( [ ] < > ) ) } } ( (", "[ < { ( ) } > ] { { ( [ ] < > ) } } ( ("),
        ("! True and False", "True and False"),
        ("x != 1", "x = 1"),
        ('x = "1"', "x = 1"),
        ("return [x for x in xs if x > 0 and x < limit]", "return [x for x in xs if x > 0]"),
        ("for (int i = 0; i < n; i++) { total += a[i]; }",
         "for (int i = 0; i <= n; i++) { total += a[i]; }"),
        ("What is 5! + 3", "What is 5 + 3"),
        # Another number of fields.
        (["a", "b"], ["a b", "c"]),
    ],
)  # fmt: skip
def test_what_differs_in_what_matters_is_no_near_duplicate(one: Any, other: Any) -> None:
    assert not near(one, other)


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


@pytest.mark.slow
@pytest.mark.parametrize("run", [".", ",", "'", '"', "!", "?!", ".)", ",;", ". ", "([", "。", "x!"])
def test_runs_of_marks_take_no_longer_than_words(run: str) -> None:
    start = time.process_time()
    normalised(run * 200_000 + "x")
    assert time.process_time() - start < 5
