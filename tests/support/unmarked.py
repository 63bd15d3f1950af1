"""Texts of the package that look like messages, and are not given to `tr`, `trn` or `mark`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

MARKS = {"tr", "trn", "mark", "counted", "listed"}
"""Functions whose literals are messages."""

QUIET = {
    *("startswith", "endswith", "split", "replace", "partition", "removeprefix", "removesuffix"),
    *("compile", "match", "search", "sub", "fullmatch", "findall", "finditer"),
    *("execute", "executemany", "executescript", "debug", "getLogger", "TypeVar", "cast"),
}
"""Functions whose literals nobody reads."""

SAID = re.compile(r"[A-Za-z]{2,}[,:;]? (\{\}|[a-z]{2,}|an? )|\{\} [a-z]{2,}")
"""Two words in a row, of which one may be a field."""


def unmarked(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each."""
    tree = ast.parse(path.read_text("utf-8"))
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        text = _text(node)
        if text and SAID.search(text) and not _is_quiet(node, above):
            yield node.lineno, text  # type: ignore[attr-defined]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_quiet(node: ast.AST, above: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether a text is marked already, part of another, or in a place that nobody reads."""
    while node in above:
        inner, node = node, above[node]
        if isinstance(node, ast.JoinedStr | ast.Compare | ast.Assert | ast.MatchValue):
            return True
        if isinstance(node, ast.Expr) and isinstance(inner, ast.Constant):
            return True
        if isinstance(node, ast.Dict) and inner in node.keys:
            return True
        if (
            isinstance(node, ast.Subscript)
            and inner is node.slice
            and _name(node.value)
            in (
                "Literal",
                "",
            )
        ):
            return True
        if isinstance(node, ast.Call) and _name(node.func) in MARKS | QUIET:
            return True
    return False


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))
