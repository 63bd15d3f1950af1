"""Texts of cards: nothing of the data is markup."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
import yaml as pyyaml
from card_page import HOSTILE, PARSER, shown
from hypothesis import example, given
from hypothesis import strategies as st

from promptkit.auditing.card_text import fenced, inline, link, table, yaml
from promptkit.errors import escaped


def seen(markdown: str) -> str:
    """The text that a reader sees; markup is an error."""
    page = PARSER.render(markdown).strip().removeprefix("<p>").removesuffix("</p>")
    assert not re.search("<[^>]*>", page), page
    return html.unescape(page)


def squeezed(text: str) -> str:
    return " ".join(text.split())


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
@example("0. ")
def test_inline_texts_are_no_markup(text: str) -> None:
    assert squeezed(seen(inline(text))) == squeezed(escaped(text))
    assert "\n" not in inline(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_no_markup(text: str) -> None:
    assert squeezed(seen(inline(text))) == squeezed(escaped(text))
    row = PARSER.render(table(["name", "n:"], [[inline(text), "1"]]))
    assert row.count("<td") == 2
    assert {*re.findall("<([a-z]+)", row)} <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert "evil.example" not in "".join(re.findall('(?:href|src)="([^"]*)"', row))


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
@example("```\n</code>")
@example("``````")
def test_a_fence_holds_any_text(text: str) -> None:
    tokens = PARSER.parse(fenced(text))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content == escaped(text, keep="\n\t") + "\n"


def test_addresses_are_links_only_where_they_are_of_the_web() -> None:
    assert link("https://example.org/a?b=1") == "<https://example.org/a?b=1>"
    for url in ("javascript:alert(1)", "https://a b", "https://a>b<c", "data:text/html,x"):
        assert "<" not in link(url)
        seen(link(url))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(HOSTILE),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
@example({"a": "no", "b": "2026-11-30", "c": "1e3", "d": "0x1f", "e": "1:30", "f": "~", "g": "="})
def test_yaml_is_read_as_it_was(data: dict[str, Any]) -> None:
    text = yaml(data)
    assert (pyyaml.safe_load(text) or {}) == shown(data)
    assert not re.search(r"^---", text, re.M)
    assert "\x1b" not in text
