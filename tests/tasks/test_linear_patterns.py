from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promptkit.tasks.linear_patterns import linear_pattern

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\.", "1", "[]a]"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}"])


def patterns() -> st.SearchStrategy[str]:
    """Patterns without repeats of what can be empty, which Python's `re` treats in its own way."""
    part = st.builds("".join, st.lists(st.builds("".join, st.tuples(ATOMS, REPEATS)), max_size=3))
    either = st.builds("(?:{}|{})".format, part, part)
    body = st.builds("".join, st.lists(part | either, min_size=1, max_size=3))
    ends = st.tuples(
        st.sampled_from(["", "^", r"\b", "(?i)"]), body, body, body, st.sampled_from(["", "$"])
    )
    return ends.map(lambda e: f"{e[0]}{e[1]}({e[2]}){e[3]}{e[4]}")


@given(patterns(), st.text("abB1. \n", max_size=10))
def test_the_capture_is_that_of_re(pattern: str, text: str) -> None:
    found = [*re.finditer(pattern, text)]
    assume(all(match.end() > match.start() for match in found))
    assert linear_pattern(pattern).last_capture(text) == (found[-1][1] if found else None)


@pytest.mark.parametrize("pattern", ["(?:a+)+(b)", "(?:a|a)*(b)", ".*.*.*.*(x)", "(?:a?){30}(b)"])
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    assert linear_pattern(pattern).last_capture("a" * 100_000) is None
    assert time.process_time() - began < 5
