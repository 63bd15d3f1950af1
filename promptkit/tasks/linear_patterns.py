"""Regular expressions searched in time linear in the text, for patterns that a task's file names.

Python's `re` tries alternatives one after the other, which takes exponential time for patterns
such as `(a+)+b`. Here all of them advance together, character by character: Pike's machine.
Russ Cox, "Regular expression matching: the virtual machine approach", 2009.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from promptkit.errors import TaskError, shorten

MOST_STEPS = 1000
"""Largest number of a program's instructions, which counted repeats add to."""

MOST_TEXT = 5000
"""Number of characters at the end of a text that a pattern is looked for in."""

_ATOM = re.compile(
    r"\\[bBAZ]|[$^]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[dDsSwWfnrtv]|\\[^\w]"
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\()|*+?{}\[\]]|[{}]",
    re.DOTALL,
)
_REPEAT = re.compile(r"(?:([*+?])|\{(\d*)(,?)(\d*)\})(\??)")
_ANCHORS = {"^", "$", r"\b", r"\B", r"\A", r"\Z"}


class _Step(NamedTuple):
    """An instruction: consume a character, test a place, save it, or go to other instructions."""

    kind: str
    """`char`, `anchor`, `save`, `fork` or `match`."""
    test: re.Pattern[str] | None = None
    targets: tuple[int, ...] = ()
    """For `fork`: the next instructions, relative to this one, the preferred one first."""
    slot: int = 0


_Program = list[_Step]


@dataclass(frozen=True)
class LinearPattern:
    """A compiled pattern with one group."""

    program: Sequence[_Step]

    def last_capture(self, text: str) -> str | None:
        """Return what the group of the last match captured; None without a match.

        Args:
            text: The text, of which the last `MOST_TEXT` characters count.
        """
        text, at, found = text[-MOST_TEXT:], 0, None
        while at <= len(text):
            match = self._search(text, at)
            if match is None:
                break
            begin, end, first, last = match
            found = text[first:last] if 0 <= first <= last else found
            at = max(end, begin + 1)
        return found

    def _search(self, text: str, start: int) -> tuple[int, int, int, int] | None:
        """Return the place of the leftmost match and of its group, as `re.search` finds it."""
        found: tuple[int, ...] | None = None
        threads: list[tuple[int, tuple[int, ...]]] = []
        for at in range(start, len(text) + 1):
            if found is None:
                threads.append((0, (at, -1, -1, -1)))
            elif not threads:
                break
            seen: set[int] = set()
            following = []
            for thread in threads:
                ended = None
                for step, places in self._closed(thread, text, at, seen):
                    if self.program[step].kind == "match":
                        ended = (places[0], at, places[2], places[3])
                        break
                    test = self.program[step].test
                    if at < len(text) and test is not None and test.fullmatch(text[at]):
                        following.append((step + 1, places))
                if ended is not None:  # what comes behind is less preferred
                    found = ended
                    break
            threads = following
        return None if found is None else (found[0], found[1], found[2], found[3])

    def _closed(
        self, thread: tuple[int, tuple[int, ...]], text: str, at: int, seen: set[int]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield the instructions that consume or match which a thread reaches at a place."""
        stack = [thread]
        while stack:
            step, places = stack.pop()
            if step in seen:
                continue
            seen.add(step)
            kind, test, targets, slot = self.program[step]
            if kind == "fork":
                stack += ((step + target, places) for target in reversed(targets))
            elif kind == "save":
                stack.append((step + 1, (*places[:slot], at, *places[slot + 1 :])))
            elif kind == "anchor":
                if test is not None and test.match(text, at):
                    stack.append((step + 1, places))
            else:
                yield step, places


@lru_cache(maxsize=64)
def linear_pattern(pattern: str) -> LinearPattern:
    """Return a compiled pattern.

    Args:
        pattern: A pattern in the syntax of `re` with exactly one group that captures; without
            look-around, references to groups, and flags other than `(?i)` in front.

    Raises:
        TaskError: The pattern is invalid, or has what this syntax leaves out.

    Example:
        >>> linear_pattern("answer is (.*)").last_capture("So the answer is 4.")
        '4.'
    """
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise TaskError(f"not a regular expression: {error}") from None
    if groups != 1:
        raise TaskError(
            f"it has {groups} groups that capture; write one (...) around the answer, and (?:...) "
            "for other groups"
        )
    flags = re.IGNORECASE if pattern.startswith("(?i)") else re.RegexFlag(0)
    body = pattern.removeprefix("(?i)")
    try:
        program, end = _alternatives(body, 0, flags)
    except RecursionError:
        raise TaskError("it nests too deeply") from None
    if end < len(body):
        raise TaskError(f"{shorten(body[end:])} is not supported here")
    return LinearPattern([*program, _Step("match")])


def _alternatives(text: str, at: int, flags: re.RegexFlag) -> tuple[_Program, int]:
    """Return the program of `a|b|c`, and where the text goes on behind it."""
    program, at = _sequence(text, at, flags)
    if text[at : at + 1] != "|":
        return program, at
    rest, at = _alternatives(text, at + 1, flags)
    return [
        _Step("fork", None, (1, len(program) + 2)),
        *program,
        _Step("fork", None, (len(rest) + 1,)),
        *rest,
    ], at


def _sequence(text: str, at: int, flags: re.RegexFlag) -> tuple[_Program, int]:
    program: _Program = []
    while at < len(text) and text[at] not in "|)":
        part, at = _part(text, at, flags)
        repeat = _REPEAT.match(text, at)
        if repeat and (repeat[1] or repeat[2] or repeat[4]):
            part, at = _repeated(part, repeat), repeat.end()
            if text[at : at + 1] == "+":
                raise TaskError("a repeat that gives nothing back (`++`) is not supported here")
        program += part
        if len(program) > MOST_STEPS:
            raise TaskError(f"it is longer than {MOST_STEPS:,} steps; repeat less often")
    return program, at


def _part(text: str, at: int, flags: re.RegexFlag) -> tuple[_Program, int]:
    """Return the program of a group, a set or a character."""
    if text[at] == "(":
        capturing = text[at + 1 : at + 2] != "?"
        if not capturing and not text.startswith("(?:", at):
            raise TaskError(
                f"{shorten(text[at : at + 4])}: groups are (...) and (?:...); look-around, names "
                "and flags are not supported here, except (?i) in front"
            )
        inner, end = _alternatives(text, at + (1 if capturing else 3), flags)
        if capturing:
            inner = [_Step("save", slot=2), *inner, _Step("save", slot=3)]
        return inner, end + 1
    atom = _ATOM.match(text, at)
    if atom is None:
        raise TaskError(f"{shorten(text[at : at + 4])} is not supported here")
    test = re.compile(re.escape(atom[0]) if atom[0] in "{}" else atom[0], flags)
    return [_Step("anchor" if atom[0] in _ANCHORS else "char", test)], atom.end()


def _repeated(part: _Program, repeat: re.Match[str]) -> _Program:
    """Return the program of a part that is repeated."""
    sign, least_text, comma, most_text, lazy = repeat.groups()
    least = {"*": 0, "+": 1, "?": 0}.get(sign, int(least_text or 0))
    most = {"*": None, "+": None, "?": 1}.get(sign, int(most_text) if most_text else None)
    if sign is None and not comma:
        most = least
    if len(part) * max(least, most or 0) > MOST_STEPS:
        raise TaskError(f"it is longer than {MOST_STEPS:,} steps; repeat less often")

    def order(*targets: int) -> tuple[int, ...]:
        return targets[::-1] if lazy else targets

    size = len(part)
    if most is None:
        loop = [_Step("fork", None, order(1, size + 2)), *part, _Step("fork", None, (-size - 1,))]
        return part * least + loop
    rest: _Program = []
    for _ in range(most - least):
        rest = [_Step("fork", None, order(1, size + len(rest) + 1)), *part, *rest]
    return part * least + rest
