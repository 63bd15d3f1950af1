"""Texts of a card as Markdown and YAML, in which nothing of the data is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptkit.errors import escaped

_MARKUP = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\\": "&#92;",  # a backslash would also begin a formula on some hubs
    "$": "&#36;",
    "@": "&#64;",
    **{char: f"\\{char}" for char in "`*_[]|~#"},
}
_MARKED = re.compile("|".join(map(re.escape, _MARKUP)))
_LINK = re.compile(r"(?i)\b(www)\.|(\w):(?=//)")
_BLOCK = re.compile(r"^(\s*)([-=]|(?:\+|\d+[.)])(?=\s|$))")


def inline(value: object) -> str:
    """Return a text as one line of Markdown that shows it as it stands.

    Markup and HTML become characters, addresses no links, and control characters escapes.
    """
    text = escaped(str(value))
    text = _MARKED.sub(lambda found: _MARKUP[found[0]], text)
    text = _LINK.sub(lambda found: "www&#46;" if found[1] else f"{found[2]}&#58;", text)
    return _BLOCK.sub(_first_escaped, text)


def _first_escaped(found: re.Match[str]) -> str:
    """Return the beginning of a line so that it begins no list and no rule."""
    mark = found[2]
    return f"{found[1]}{mark[:-1]}\\{mark[-1]}"


def link(url: str) -> str:
    """Return an address as a link where it is one of the web, else as a text."""
    if re.fullmatch(r"https?://[\w.~:/?#@!&'*+,;=%-]+", url, re.ASCII):
        return f"<{url}>"
    return inline(url)


def fenced(text: str) -> str:
    """Return a text as a block of code, to the character but for control characters."""
    shown = escaped(text, keep="\n\t")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown; heads that end in a colon are of numbers."""
    rule = ["--:" if head.endswith(":") else "---" for head in heads]
    lines = [[head.rstrip(":") for head in heads], rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def yaml(data: Mapping[str, Any]) -> str:
    """Return a mapping as YAML that every version of it reads alike.

    Texts that are more than a word are in double quotes, as JSON has them.
    """
    return "\n".join(_yaml(data, ""))


def _yaml(value: Any, indent: str) -> Iterator[str]:
    items = value.items() if isinstance(value, Mapping) else ((None, each) for each in value)
    for key, item in items:
        head = "-" if key is None else f"{_scalar(key)}:"
        if not isinstance(item, Mapping | list | tuple):
            yield f"{indent}{head} {_scalar(item)}"
        elif not item:
            yield f"{indent}{head} {'{}' if isinstance(item, Mapping) else '[]'}"
        elif key is None:  # a mapping in a list begins on its line
            first, *rest = _yaml(item, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}{head}"
            yield from _yaml(item, f"{indent}  " if isinstance(item, Mapping) else indent)


_PLAIN = re.compile(r"[A-Za-z][\w./-]*( [A-Za-z][\w./-]*)*", re.ASCII)
_OTHERS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_UNQUOTED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, allow_nan=False)
    if _PLAIN.fullmatch(value) and value.lower() not in _OTHERS:
        return value
    quoted = json.dumps(escaped(value), ensure_ascii=False)
    return _UNQUOTED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
