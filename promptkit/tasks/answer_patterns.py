r"""Regular expressions of a task's file, searched by RE2 in time linear in the text.

Python's `re` can take exponential time for patterns such as `(a+)+b`. Patterns are written as for
`re`; where RE2 writes or means something else, they are translated: `\w`, `\d` and `\s` are those
of Unicode, `\Z` and `$` the end of the text, `\u00e9` and `{,3}` what they are in Python.

Russ Cox, "Regular expression matching: the virtual machine approach", 2009.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from promptkit.errors import TaskError, shorten
from promptkit.translation import mark, tr

if TYPE_CHECKING:
    from re2 import _Regexp

MOST_TEXT = 5000
"""Number of characters at the end of a text that a pattern is looked for in."""

MOST_PATTERN = 1000
"""Largest number of characters of a pattern."""

_SETS = {
    r"\d": r"\p{Nd}",
    r"\D": r"\P{Nd}",
    r"\w": r"\p{L}\p{N}_",
    r"\s": r"\s\v\x1c-\x1f\x{85}\p{Z}",
}
"""Unicode's sets of characters, as RE2 writes them within brackets."""

_PIECE = re.compile(
    r"\[(?P<negated>\^?)(?P<first>\]?)(?P<rest>(?:\\.|[^\]\\])*)\]"
    r"|\\u(?P<code>[0-9a-fA-F]{4})|(?P<escape>\\.)|\{(?P<most>,\d+\})|(?P<end>\$)",
    re.DOTALL,
)
"""Parts that may have to be translated: sets, escapes, repeats from 0, and ends."""
_IN_SET = re.compile(r"\\u(?P<code>[0-9a-fA-F]{4})|(?P<escape>\\.)|\[", re.DOTALL)
_LINES = re.compile(r"\(\?[is]*m")
"""The flag under which `^` and `$` are the ends of lines."""

_REASONS = {
    "invalid perl operator": mark(
        "look-around, references, conditions, atomic groups, comments, and flags "
        "other than i, m and s are not supported"
    ),
    "invalid escape sequence": mark("this escape is not supported, nor are references to groups"),
    "bad repetition operator": mark(
        "one repeat follows another; possessive repeats are not supported"
    ),
    "invalid repetition size": mark("repeats are counted up to 1,000, nested ones together"),
    "pattern too large - compile failed": mark("it is too large; repeat less often"),
}


class AnswerPattern:
    """A compiled pattern with one group."""

    def __init__(self, compiled: _Regexp) -> None:
        self._compiled = compiled

    def last_capture(self, text: str) -> str | None:
        """Return what the group of the last match captured; None without a match.

        Args:
            text: The text, of which the last `MOST_TEXT` characters count.
        """
        found = None
        for match in self._compiled.finditer(_encodable(text[-MOST_TEXT:])):
            found = match[1] if match[1] is not None else found
        return found


@lru_cache(maxsize=64)
def answer_pattern(pattern: str) -> AnswerPattern:
    """Return a compiled pattern.

    Args:
        pattern: A pattern in the syntax of `re` with exactly one group that captures; without
            look-around and references to groups.

    Raises:
        TaskError: The pattern is invalid, or has what RE2 leaves out.

    Example:
        >>> answer_pattern("answer is (.*)").last_capture("So the answer is 4.")
        '4.'
    """
    import re2  # imported where it is needed: few tasks name a pattern

    if len(pattern) > MOST_PATTERN:
        raise TaskError(
            tr(
                "it has {count:,} characters; at most {MOST_PATTERN:,} are allowed",
                count=len(pattern),
                MOST_PATTERN=MOST_PATTERN,
            )
        )
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(_encodable(_translated(pattern)), options)
    except re2.error as error:
        raise TaskError(_reason(error, pattern)) from None
    if compiled.groups != 1:
        raise TaskError(
            tr(
                "it has {groups} groups that capture; write one (...) around the answer, "
                "and (?:...) for other groups",
                groups=compiled.groups,
            )
        )
    return AnswerPattern(compiled)


def _translated(pattern: str) -> str:
    """Return a pattern of `re` as RE2 writes it; Python's meaning of escapes is kept."""
    end = "$" if _LINES.search(pattern) else r"(?:\n?\z)"
    return _PIECE.sub(lambda piece: _outside(piece, end), pattern)


def _outside(piece: re.Match[str], end: str) -> str:
    """Return a piece of a pattern for RE2, in which `end` stands for `$`."""
    if piece["rest"] is not None:
        first = r"\]" if piece["first"] else ""
        rest = _IN_SET.sub(lambda part: _in_set(part, piece.start("rest")), piece["rest"])
        return f"[{piece['negated']}{first}{rest}]"
    if piece["code"] or piece["most"]:
        return rf"\x{{{piece['code']}}}" if piece["code"] else "{0" + piece["most"]
    escape = piece["escape"]
    if escape in (r"\W", r"\S"):
        return f"[^{_SETS[escape.lower()]}]"
    if escape in _SETS:
        return f"[{_SETS[escape]}]"
    return end if piece["end"] else escape.replace(r"\Z", r"\z")


def _in_set(part: re.Match[str], start: int) -> str:
    """Return an escape or a bracket within `[...]` for RE2; `start` is the place of the set."""
    if part[0] == r"\W":
        raise TaskError(
            tr(
                "\\W at character {place}: it is not supported within [...]; write "
                "[^\\w...], or (?s:.) for any character",
                place=start + part.start() + 1,
            )
        )
    if part["code"]:
        return rf"\x{{{part['code']}}}"
    return r"\[" if part[0] == "[" else _SETS.get(part[0], part[0])


def _reason(error: Exception, pattern: str) -> str:
    """Return why a pattern is invalid, from RE2's message `reason: part of the pattern`."""
    message = error.args[0]
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    said, _, part = str(message).partition(": ")
    place = pattern.find(part) if part else -1
    where = (
        tr("{part} at character {place}: ", part=shorten(part), place=place + 1)
        if place >= 0
        else ""
    )
    return tr(
        "not a regular expression for RE2: {where}{reason}",
        where=where,
        reason=tr(_REASONS.get(said, said)),
    )


def _encodable(text: str) -> str:
    """Return a text without lone surrogates, which UTF-8 does not encode."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
