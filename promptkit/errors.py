"""Exceptions of promptkit.

PromptkitError
├── DataError               rows, files or values that do not fit the types of the task
├── TaskError               a task folder or task object that is invalid as a whole
├── TemplateError           a template that does not parse or does not render
├── PromptError             a prompt that the model cannot be asked: labels that clash,
│   │                       an answer format that no grammar can express
│   └── PromptTooLongError  a prompt with more tokens than the model's context
├── ModelError              a model that cannot be found, read or run
│   └── ModelFileError      a GGUF file that is missing, damaged or of an unknown kind
├── StoreError              a prediction store that cannot be opened or read
├── LookupFileError         a lookup table that cannot be opened, read or changed
├── LookupMissError         an input that a lookup table has no answer to; also a LookupError
└── MissingExtraError       an optional dependency that is not installed; also an ImportError

A message names the problem, its place, the offending value and the remedy. The command line prints
it without a traceback and exits with 2. No exception is a ValueError: pydantic would swallow one
that a validator raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promptkit.graphemes import ZWJ, ZWNJ, boundary, cut, is_joined
from promptkit.translation import tr

MAX_SHOWN = 20
"""Number of problems that one message spells out; the rest are counted."""

_LINE, _QUOTED = (2000, 400), (500, 199)
"""The longest line of a message, in characters, and the part of the end that a longer one keeps.

A line of our own words may list many names. A quoted message is made by untrusted input, such as a
template, and may say nothing at length, so that less of it is shown."""
_MOST_LINES = 100

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


class PromptkitError(Exception):
    """The root of all exceptions that promptkit raises on purpose.

    Control characters in the message, as a name or a value may hold them, become escapes; a line
    break stays one where an indented line follows. Very long lines lose their middle.

    Example:
        >>> from promptkit import load_task
        >>> try:
        ...     load_task("nowhere")
        ... except PromptkitError as error:
        ...     print(type(error).__name__)
        TaskError
    """

    def __init__(self, message: str = "") -> None:
        lines = str(message).split("\n  ")
        shown = [escaped(_shortened(line, *_LINE)) for line in lines[:_MOST_LINES]]
        if len(lines) > _MOST_LINES:
            shown.append(tr("... and {count:,} more lines", count=len(lines) - _MOST_LINES))
        super().__init__("\n  ".join(shown))


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with one row or value."""

    reason: str
    """The problem, and what to do about it unless that is obvious."""
    file: str | None = None
    line: int | None = None
    """The line on which the row begins, counted from 1."""
    example: str | None = None
    """The example's id, where it has one."""
    field: str | None = None
    value: object = None
    """The offending value; shown shortened."""

    def __str__(self) -> str:
        where = _place(self.file, self.line)
        parts = [where] if where else []
        if self.example is not None:
            parts.append(tr("example {name}", name=shorten(self.example)))
        if self.field is not None:
            parts.append(tr("field {name!r}", name=self.field))
        if self.value is not None:
            parts.append(tr("value {value}", value=shorten(self.value)))
        return ", ".join(parts) + (": " if parts else "") + self.reason


class DataError(PromptkitError):
    """Rows or values that do not fit the types; `problems` lists all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        hidden = len(self.problems) - len(shown)
        if hidden:
            shown.append(tr("... and {hidden} more", hidden=hidden))
        if len(self.problems) > 1:
            shown.insert(0, tr("{count} problems in the data:", count=len(self.problems)))
        super().__init__("\n  ".join(shown))


class TaskError(PromptkitError):
    """A task that is invalid as a whole, such as an unknown key or a missing file."""


class TemplateError(PromptkitError):
    """A template that does not parse or does not render."""

    def __init__(
        self,
        reason: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        example: str | None = None,
    ) -> None:
        reason = brief(reason)
        self.reason, self.file, self.line, self.example = reason, file, line, example
        where = _place(file, line, column)
        suffix = (
            " " + tr("(while rendering example {name})", name=shorten(example)) if example else ""
        )
        super().__init__(f"{where}: {reason}{suffix}" if where else f"{reason}{suffix}")


class PromptError(PromptkitError):
    """A rendered prompt that the model cannot be asked."""


class PromptTooLongError(PromptError):
    """A prompt with more tokens than the model's context."""


class ModelError(PromptkitError):
    """A model that cannot be found, read or run."""


class ModelFileError(ModelError):
    """A GGUF file that is missing, damaged or of a kind that llama.cpp does not know."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path, self.reason = Path(path), reason
        super().__init__(f"{escaped(str(path))}: {reason}")


class StoreError(PromptkitError):
    """A prediction store that cannot be opened or read."""


class LookupFileError(PromptkitError):
    """A lookup table that cannot be opened, read or changed."""


class LookupMissError(PromptkitError, LookupError):
    """An input that a lookup table has no answer to."""


class MissingExtraError(PromptkitError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            tr(
                "{what} needs an optional dependency; "
                "install it with: pip install 'promptkit-fewshot[{extra}]'",
                what=what,
                extra=extra,
            )
        )


def shorten(value: object, limit: int = 60) -> str:
    """Return the `repr` of `value`, shortened to `limit` columns with an ellipsis.

    Joiners stay characters where their script has them, as in Persian and Hindi.
    """
    return cut(_JOINER.sub(_joiner, repr(value)), limit)


_JOINER = re.compile(r"\\u200([cd])")


def _joiner(found: re.Match[str]) -> str:
    text, start, end = found.string, *found.span()
    joiner = ZWNJ if found[1] == "c" else ZWJ
    is_meant = is_joined(text[start - 1 : start], joiner, text[end : end + 1])
    return joiner if is_meant else found[0]


def _shortened(text: str, limit: int, end: int) -> str:
    """Return a text without its middle where it is longer than the limit.

    The beginning of a message names the problem, and the end says what to do.
    """
    if len(text) <= limit:
        return text
    head, tail = boundary(text, limit - end - 1), boundary(text, len(text) - end, after=True)
    return f"{text[:head]}…{text[tail:]}"


_CONTROLS = re.compile(
    "[\0-\x1f\x7f-\x9f"  # C0, DEL and C1, which move a terminal's cursor and set its title
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # show text in another order
    "\u2028\u2029\ud800-\udfff]"  # other line breaks, and what is no character
)


def escaped(text: str, keep: str = "") -> str:
    """Return `text` with escapes for control characters, bidirectional ones too.

    They are written as Python writes them: `\\x1b`, `\\n`, `\\u202e`. Those in `keep` stay.
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def _place(file: str | None, *numbers: int | None) -> str:
    """Return the known ones of a file, a line and a column as `file:line:column`."""
    return ":".join(escaped(str(part)) for part in (file, *numbers) if part is not None)


def brief(message: str) -> str:
    """Return a message made by untrusted input, shortened and without addresses in memory."""
    return _ADDRESS.sub("", _shortened(message, *_QUOTED))
