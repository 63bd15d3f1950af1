"""Literal text that formats the examples of a template: names, separators, line ends.

It is found in the syntax tree of the template's own source. Expressions, instructions and loaded
templates are not searched.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from jinja2 import nodes

from promptkit.linting.source_rules import CONTROL
from promptkit.templating.reuse import shows_examples
from promptkit.templating.source import Offset, Page

_SEPARATOR = re.compile(
    r"(?P<left>[ \t]*)(?P<core>:{1,3}|：|=>?|-{1,2}>|→|⇒|-{1,2}|–|—|\|{1,2})"
    r"(?P<right>[ \t]*\n?[ \t]*)\Z"
)
_RULES = re.compile(r"[-–—|]+")
"""Separators that may be something else: a bullet, a hyphen, the edge of a table."""
_NAME = re.compile(r"(?P<name>[^\W\d_][^\n.,;:!?=<>{}()\[\]\"#*|]*)[*_`]*\Z")
_LONGEST_NAME = 3
"""Most words of a name; more make a sentence."""
_QUOTES = tuple("\"'`“”‘’")
_LINE_END = re.compile(r"[ \t]*(?:\n[ \t]*)+\Z")
JOINTS = (", ", "; ", " | ", " / ")
"""Texts between the values of fields."""
_TAG = re.compile(r"</?(?:[^\W\d_]|\Z)")
_KEY = re.compile(r"\"\s*:")


_N = TypeVar("_N", bound=nodes.Node)


class Separator(NamedTuple):
    """Separator of a name or a value from the next value, at the end of a text."""

    start: int
    """Start of its left space in the text."""
    core: str
    right: str
    """White space behind it."""


@dataclass(frozen=True)
class Spot:
    """A literal text of an example, with the parts of it that are format."""

    start: int
    """Offset of its first character in the source."""
    end: int
    """Offset after it in the source, and after white space that Jinja strips."""
    text: str
    name: tuple[int, int] | None = None
    """Start and end of a field's name in the text."""
    separator: Separator | None = None
    gap: int | None = None
    """Start of the space in front of the answer."""
    asks: bool = False
    """True if the prompt ends here, so that this space belongs to the answer."""
    is_joint: bool = False
    """True if the text joins two values, as a comma does."""
    line_end: int | None = None
    """Start of the line ends behind an example."""

    @property
    def is_format(self) -> bool:
        found = (self.name, self.separator, self.gap, self.line_end)
        return self.is_joint or any(part is not None for part in found)


class Layout(NamedTuple):
    """Format of a template's examples."""

    spots: tuple[Spot, ...]
    markup: Literal["JSON", "XML"] | None
    """Markup of the examples, in which only white space may vary."""
    has_examples: bool
    """True if the examples are in the template's own source."""


def layout(page: Page) -> Layout:
    """Return the format in a template's source. Raises `jinja2.TemplateSyntaxError`."""
    regions = list(_regions(page.tree))
    spots = {spot.start: spot for region in regions for spot in _spots(region, page)}
    found = [spots[start] for start in sorted(spots)]
    if any(CONTROL.search(spot.text) for spot in found):  # they are part of the line ends
        found = [replace(spot, line_end=None) for spot in found]
    kept = tuple(spot for spot in found if spot.is_format)
    return Layout(kept, _markup(regions), bool(regions))


def _markup(regions: Iterable[_Region]) -> Literal["JSON", "XML"] | None:
    texts = [CONTROL.sub("", event.text) for region in regions for event in region.events]
    filters = (_all(value, nodes.Filter) for region in regions for value in region.values)
    if any(_KEY.search(text) for text in texts) or "tojson" in {f.name for s in filters for f in s}:
        return "JSON"
    return "XML" if any(map(_TAG.search, texts)) else None


# --- the examples of a tree -----------------------------------------------------------------------


class _Event(NamedTuple):
    """A printed text or value, or the beginning or end of a statement, in source order."""

    kind: Literal["text", "value", "open", "close"]
    node: nodes.Node

    @property
    def text(self) -> str:
        return self.node.data if isinstance(self.node, nodes.TemplateData) else ""


class _Region(NamedTuple):
    """Part of a template that prints an example, or the query after a loop over the shots."""

    events: Sequence[_Event]
    kind: Literal["example", "tail", "macro"]

    @property
    def values(self) -> list[nodes.Node]:
        return [event.node for event in self.events if event.kind == "value"]


def _regions(tree: nodes.Template) -> Iterator[_Region]:
    """Yield the bodies of `{% example %}`, else of loops over the shots and the part after them.

    The bodies of macros that these call follow.
    """
    calls = [call for call in tree.find_all(nodes.CallBlock) if shows_examples(call)]
    found = [_Region([*_events(call.body)], "example") for call in calls]
    if not calls:
        loops = [
            loop
            for loop in tree.find_all(nodes.For)
            if any(name.name == "shots" for name in _all(loop.iter, nodes.Name))
        ]
        found = [_Region([*_events(loop.body)], "example") for loop in loops]
        if loops:
            events = [*_events(tree.body)]
            ends = [i for i, e in enumerate(events) if e.kind == "close" and e.node in loops]
            found.append(_Region(events[max(ends, default=len(events)) + 1 :], "tail"))
    yield from found
    calls_of = (_all(value, nodes.Call) for region in found for value in region.values)
    called = {_name(call.node) for calls in calls_of for call in calls}
    for macro in tree.find_all(nodes.Macro):
        if macro.name in called:
            yield _Region([*_events(macro.body)], "macro")


def _all(node: nodes.Node, kind: type[_N]) -> list[_N]:
    """Return all nodes of a kind, `node` itself included."""
    return [one for one in (node, *node.find_all(kind)) if isinstance(one, kind)]


def _name(node: nodes.Node) -> str | None:
    """Return the name of a variable, or of the field that is read."""
    if isinstance(node, nodes.Filter) and node.node is not None:
        return _name(node.node)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return str(node.arg.value)
    return getattr(node, "name", None) or getattr(node, "attr", None)


def _events(body: Iterable[nodes.Node]) -> Iterator[_Event]:
    """Yield what a body prints, in order, without macros: a call of one is a value."""
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                is_text = isinstance(child, nodes.TemplateData)
                yield _Event("text" if is_text else "value", child)
        elif isinstance(node, nodes.Include):
            yield _Event("value", node)
        elif hasattr(node, "body") and not isinstance(node, nodes.Macro | nodes.AssignBlock):
            yield _Event("open", node)
            yield from _events(node.body)
            yield from _events([*getattr(node, "elif_", ()), *getattr(node, "else_", ())])
            yield _Event("close", node)


# --- the format of a text -------------------------------------------------------------------------


def _spots(region: _Region, page: Page) -> Iterator[Spot]:
    """Yield the texts of a region."""
    events = region.events
    starts = [token.offset for token in page.tokens]
    for index, event in enumerate(events):
        if event.kind != "text":
            continue
        assert isinstance(event.node.lineno, Offset)
        start, text = event.node.lineno.offset, event.text
        before = events[index - 1] if index else None
        value = _value_after(events[index + 1 :])
        asks = region.kind == "tail" and not any(
            e.kind == "value" or e.text.strip() for e in events[index + 1 :]
        )
        separator = _separator(text, before) if value is not None or asks else None
        answers = asks or (value is not None and _name(value) == "output")
        ends_line = region.kind == "example" and index == len(events) - 1
        line_end = _LINE_END.search(text) if ends_line else None
        after = bisect_right(starts, start)
        yield Spot(
            start,
            starts[after] if after < len(starts) else len(page.source),
            text,
            name=_field_name(text[: separator.start]) if separator is not None else None,
            separator=separator,
            gap=_gap(text, separator) if answers else None,
            asks=asks,
            is_joint=text in JOINTS and before is not None,
            line_end=line_end.start() if line_end is not None else None,
        )


def _value_after(events: Iterable[_Event]) -> nodes.Node | None:
    """Return the value of an example that is printed right behind a text; None without one."""
    following = next((event for event in events if event.kind != "open"), None)
    if following is None or following.kind != "value":
        return None
    names = {name.name for name in _all(following.node, nodes.Name)}
    return None if names and names <= {"task", "labels", "options"} else following.node


def _separator(text: str, before: _Event | None) -> Separator | None:
    """Return the separator at the end of a text, if it follows a name or a value."""
    match = _SEPARATOR.search(text)
    if match is None:
        return None
    last = text[: match.start()][-1:]
    if not last and (before is None or before.kind not in ("value", "close")):
        return None
    if last and (last.isspace() or last in _QUOTES):
        return None
    if _RULES.fullmatch(match["core"]) and not match["left"] + match["right"]:
        return None
    return Separator(match.start(), match["core"], match["right"])


def _field_name(head: str) -> tuple[int, int] | None:
    match = _NAME.search(head)
    if match is None or len(match["name"].split()) > _LONGEST_NAME:
        return None
    return match.span("name")


def _gap(text: str, separator: Separator | None) -> int | None:
    """Return the start of the space in front of an answer; None if it may not vary."""
    gap = len(text.rstrip(" \t\n"))
    if separator is not None:
        return gap
    return gap if text[:gap].endswith((">", ":")) and text.count("\n", gap) < 2 else None
