"""Cards as a reader of Markdown parses them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from promptkit.errors import escaped

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://evil.example/pixel.png)",
    "<!-- hidden -->",
    "| a | b |",
    "# no title",
    "- no item",
    "1. no item",
    "```\nno fence",
    "line\nbreak\n---\nlicense: evil",
    "https://evil.example and www.evil.example and a@evil.example",
    "&lt;b&gt; &#60;b&#62;",
    "$x$ \\(y\\) \\",
    "**bold** _thin_ `code` ~~gone~~",
    "\x1b[2J\x1b]0;title\x07",
    "\u202edlrow olleh\u2066",
    "--- !!python/object:os.system",
    "no",
    "\ud800",
    "…\u2028\u2029\x85\ufeff",
)

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def parsed(text: str) -> list[Token]:
    """All tokens of a text, those inside of others too."""
    tokens = PARSER.parse(text)
    return [each for token in tokens for each in (token, *(token.children or ()))]


def texts_of(tokens: Sequence[Token]) -> list[str]:
    """The texts of titles."""
    pairs = pairwise(tokens)
    return [inner.content for token, inner in pairs if token.type == "heading_open"]


def shown(value: Any) -> Any:
    """A value whose texts have escapes for control characters."""
    if isinstance(value, dict):
        return {escaped(key): shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [*map(shown, value)]
    return escaped(value) if isinstance(value, str) else value
