from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promptkit.errors import TaskError
from promptkit.tasks.answer_patterns import answer_pattern

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "1",
        "ö",
        ".",
        "[ab]",
        "[^a]",
        "[]a]",
        "[^]]",
        r"[a\]]",
        "[b[]",
        "[$b]",
        "[ä-ü]",
        r"\.",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"\u00f6",
        r"[\d.]",
        r"[^\w]",
        r"[\s\S]",
        r"[^\D1]",
    ]
)
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}"])


def patterns() -> st.SearchStrategy[str]:
    """Patterns without repeats of what can be empty, which Python's `re` treats in its own way."""
    part = st.builds("".join, st.lists(st.builds("".join, st.tuples(ATOMS, REPEATS)), max_size=3))
    either = st.builds("(?:{}|{})".format, part, part)
    body = st.builds("".join, st.lists(part | either, min_size=1, max_size=3))
    ends = st.tuples(
        st.sampled_from(["", "^", r"\b", "(?i)", "(?s)"]),
        body,
        body,
        body,
        st.sampled_from(["", "$", r"\Z"]),
    )
    return ends.map(lambda e: f"{e[0]}{e[1]}({e[2]}){e[3]}{e[4]}")


@given(patterns(), st.text("abB1.[$ \nöÖ٣é\u2003\x85_", max_size=10))
def test_the_capture_is_that_of_re(pattern: str, text: str) -> None:
    found = [*re.finditer(pattern, text)]
    assume(r"\b" not in pattern or text.isascii())
    assume(all(match.end() > match.start() for match in found))
    assert answer_pattern(pattern).last_capture(text) == (found[-1][1] if found else None)


@pytest.mark.parametrize("piece", [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"])
def test_escapes_mean_what_they_do_in_python(piece: str) -> None:
    """Characters of planes that both versions of Unicode know."""
    for first in range(0, 0x3000, 64):
        known = [chr(c) for c in range(first, first + 64) if unicodedata.category(chr(c)) != "Cn"]
        text = "".join(known)
        ours = answer_pattern(f"({piece}+)").last_capture(text)
        theirs = re.findall(f"({piece}+)", text)
        assert ours == (theirs[-1] if theirs else None)


@pytest.mark.parametrize(
    ("pattern", "part", "place"),
    [
        ("x(?=a)(b)", "'(?='", 2),
        ("(a)(?<!b)", "'(?<!'", 4),
        (r"(a)\1", r"'\\1'", 4),
        ("(a++)", "'++'", 3),
        ("(a{2000})", "'{2000}'", 3),
        ("((a{99}){99})", "'{99}'", 4),
        (r"([\w\W])", r"\W", 5),
        ("(?x)(a)", "'(?x'", 1),
    ],
)
def test_an_unsupported_part_is_named_with_its_place(pattern: str, part: str, place: int) -> None:
    with pytest.raises(TaskError, match=re.escape(f"{part} at character {place}: ")):
        answer_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a" + "b" * 1000 + ")", "it has 1,003 characters; at most 1,000 are allowed"),
        (r"(?:.{1000})(\w{900})", "it is too large; repeat less often"),
        ("(a)(b)", "it has 2 groups that capture"),
        ("(a\\", "not a regular expression"),
    ],
)
def test_what_is_too_large_or_wrong_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(TaskError, match=re.escape(reason)):
        answer_pattern(pattern)


def test_halves_of_surrogate_pairs_match_nothing_and_break_nothing() -> None:
    assert answer_pattern("(\ud800)x").last_capture("\udc00 4x") is None


def test_the_end_of_a_text_may_be_a_line_end() -> None:
    assert answer_pattern(r"is (\w+)$").last_capture("it is Größe\n") == "Größe"
    assert answer_pattern(r"(?m)^(\w+)$").last_capture("ja\nnein\n\n!") == "nein"


@pytest.mark.parametrize(
    "pattern", ["(?:a+)+(b)", "(?:a|a)*(b)", ".*.*.*.*(x)", "(?:a?){30}(b)", ".*b|(c)"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    assert answer_pattern(pattern).last_capture("a" * 100_000) is None
    assert time.process_time() - began < 5
