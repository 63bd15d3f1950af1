"""Grapheme clusters are never cut, and texts fit the columns that they are given."""

from __future__ import annotations

from itertools import accumulate

import pytest
from browser import headless
from hypothesis import given
from hypothesis import strategies as st
from scripts import CLUSTERS, clusters_of_a_text, words_of_a_text
from strategies import some_text

from promptkit.errors import PromptkitError, shorten
from promptkit.graphemes import (
    LONGEST,
    beginning,
    boundary,
    breaks,
    clusters,
    composed,
    cut,
    folded,
    is_right_to_left,
    pieces,
    right_to_left,
    width,
)
from promptkit.text import has_word, printable, quoted, visible


def bounds(text: str) -> set[int]:
    """Return the places between the clusters of a text, and both its ends."""
    return {0, *accumulate(map(len, clusters(text)))}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_character_is_one_cluster(cluster: str) -> None:
    assert [*clusters(cluster)] == [cluster]
    assert 1 <= width(cluster) <= 2


@given(some_text)
def test_clusters_are_all_of_a_text(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert all(len(one) <= LONGEST for one in clusters(text))
    shown = printable(text)
    assert width(shown) == sum(map(width, clusters(shown)))


@pytest.mark.slow
def test_a_browser_has_the_same_clusters() -> None:
    """Chromium's ICU, another implementation of the same rules."""
    texts = [f"{one}{other}" for one in CLUSTERS for other in CLUSTERS]
    script = "texts => texts.map(t => [...new Intl.Segmenter().segment(t)].map(s => s.segment))"
    with headless() as browser:
        theirs = browser.new_page().evaluate(script, texts)
    assert [[*clusters(text)] for text in texts] == theirs


@given(clusters_of_a_text.map("".join) | some_text, st.integers(1, 30))
def test_a_text_is_cut_between_clusters(text: str, limit: int) -> None:
    for shown, whole in (
        (cut(text, limit), text),
        (visible(text, limit), printable(text)),
        (quoted(text, limit)[1:-1], printable(text)),
    ):
        assert width(shown) <= limit
        kept = shown.removesuffix("…")
        if shown != whole:
            assert shown.endswith("…")
            assert whole.startswith(kept)
            assert len(kept) in bounds(whole)


@given(clusters_of_a_text.map("".join), st.integers(4, 30))
def test_a_value_in_a_message_is_cut_between_clusters(text: str, limit: int) -> None:
    whole, shown = shorten(text, 10_000), shorten(text, limit)
    assert width(shown) <= limit
    if shown != whole:
        assert len(shown.removesuffix("…")) in bounds(whole)


@given(clusters_of_a_text.map("".join), st.integers(0, 200), st.booleans())
def test_a_boundary_is_the_nearest_one(text: str, at: int, after: bool) -> None:
    found = bounds(text)
    if after:
        assert boundary(text, at, after=True) == min([b for b in found if b >= at] or [len(text)])
    else:
        assert boundary(text, at) == max(b for b in found if b <= at)
        assert beginning(text, at) == text[: boundary(text, at)]


def test_a_long_message_loses_whole_characters() -> None:
    for cluster in ("न्दी", "👨\u200d👩\u200d👧", "🇮🇳"):
        text = f"x{cluster * 2000}y"
        head, _, tail = str(PromptkitError(text)).partition("…")
        assert head.removeprefix("x").strip(cluster[0]) in (head[1:], "") or head
        assert head[1:] == cluster * (len(head[1:]) // len(cluster))
        assert tail[:-1] == cluster * (len(tail[:-1]) // len(cluster))
        assert len(head) + len(tail) < 2000


def test_marks_without_end_are_cut() -> None:
    zalgo = "a" + "\u0301" * 100_000
    assert len(visible(zalgo, 10)) <= LONGEST * 12
    assert len(shorten(zalgo, 10)) <= LONGEST * 12
    assert len(str(PromptkitError(zalgo))) <= 2000


@given(words_of_a_text, st.integers(2, 20))
def test_lines_are_folded_between_clusters(words: list[str], columns: int) -> None:
    text = " ".join(words)
    places = {*breaks(text, columns)}
    assert places <= bounds(text)
    parts = folded(text, columns)
    assert all(width(part) <= columns for part in parts)
    assert "".join("".join(parts).split()) == "".join(words)
    for part in pieces(text, columns):
        assert width(part) <= columns


def test_joiners_of_a_script_stay_and_others_are_shown() -> None:
    for text in ("می\u200cخواهم", "क्\u200dष", "അവന്\u200d", "👩\u200d🔬", CLUSTERS[-1]):
        assert printable(text) == text
        assert visible(text, 40) == text
    assert printable("wo\u200dlf") == "wo·lf"
    assert printable("फल\u200c") == "फल·"
    assert shorten("می\u200cخواهم") == "'می\u200cخواهم'"
    assert shorten("wo\u200dlf") == r"'wo\u200dlf'"
    assert shorten("a\\u200db") == r"'a\\u200db'"


def test_directions_that_data_sets_stay_visible() -> None:
    hostile = "سیب\u202e\u2066فروش"
    assert printable(hostile) == "سیب··فروش"
    assert "\u202e" not in shorten(hostile)
    assert "\u202e" not in str(PromptkitError(hostile))


def test_what_is_written_from_right_to_left() -> None:
    assert not is_right_to_left("apple ٤٢ फल")
    assert is_right_to_left("שלום")
    line = 'always "سیب سرخ" is right 16 %, "موز" 12 %'
    assert [line[slice(*run)] for run in right_to_left(line)] == ["سیب سرخ", "موز"]
    assert [*right_to_left("  سیب: ۴۲ (موز)  ")] == [(2, 15)]
    assert [*right_to_left("apple")] == []


def test_a_word_is_found_in_any_script() -> None:
    assert has_word("एक सेब और केला", "सेब")
    assert has_word("मछली ताज़ी है", "मछली")
    assert not has_word("फलों की टोकरी", "फल")
    assert has_word("我家的猫很可爱", "猫")
    assert has_word("ฉันเลี้ยงแมวหนึ่งตัว", "แมว")
    assert has_word("cafe\u0301 au lait", "caf\u00e9")
    assert not has_word("blackbird", "bird")
    assert has_word("a bird, black", "bird")
    assert not has_word("", "")


@given(some_text)
def test_normal_forms_are_for_comparisons(text: str) -> None:
    assert composed(composed(text)) == composed(text)
    assert composed("\u095b") == composed("\u091c\u093c") == "\u091c\u093c"
