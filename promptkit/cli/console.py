"""Output of commands, for people and as JSON.

All output goes through `Escaped` or `Screen`: control characters in texts, names and paths
become escapes there, so that data neither clears a screen nor sets its title.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TextIO

from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from promptkit.errors import escaped
from promptkit.files import saving
from promptkit.terminal_text import TextConsole
from promptkit.translation import tr


class Output:
    """A stream whose reader may go away.

    Later writes are dropped, so that a command still does its work and exits with its own code.
    """

    def __init__(self, raw: TextIO, ignored: type[OSError]) -> None:
        self._raw, self._ignored = raw, ignored
        self.gone = False
        """True once the reader went away."""

    def write(self, text: str) -> int:
        with self._dropping():
            self._raw.write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._raw.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except self._ignored:
            self.gone = True
            drop(self._raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class Escaped:
    """A stream with escapes for control characters; `exact` is the same one without them."""

    def __init__(self, exact: Output) -> None:
        self.exact = exact

    def write(self, text: str) -> int:
        return self.exact.write(escaped(text, keep="\n"))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.exact, name)


def _exact(stream: Any) -> Any:
    return stream.exact if isinstance(stream, Escaped) else stream


class Screen(TextConsole):
    """A console that shows texts as they stand: no markup, and escapes for control characters.

    Only its own colours and movements reach the terminal.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    @property
    def file(self) -> IO[str]:
        stream: IO[str] = _exact(super().file)
        return stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else escaped(segment.text, keep="\n\t")
            yield Segment(text, segment.style, segment.control)


err = Screen(stderr=True)


@contextmanager
def streams() -> Iterator[None]:
    """Escape control characters on standard output and standard error."""
    raw = sys.stdout, sys.stderr
    sys.stdout = Escaped(Output(raw[0], BrokenPipeError))
    sys.stderr = Escaped(Output(raw[1], OSError))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = raw


def drop(stream: TextIO) -> None:
    """Discard all that was and will be written to a stream."""
    with suppress(OSError, ValueError):  # a stream in memory has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def say(line: str) -> None:
    """Print one line, whatever the names in it hold."""
    print(escaped(line))


def note(message: str) -> None:
    """Print a note on standard error."""
    err.print(Text(tr("note: {message}", message=escaped(message))), soft_wrap=True)


def fail(reason: str) -> None:
    """Print an error, with its line breaks and with escapes for other control characters."""
    start = (tr("error:") + " ", "bold red")
    err.print(Text.assemble(start, escaped(reason, keep="\n")), soft_wrap=True)


def exact(text: str) -> None:
    """Write a text to standard output to the byte."""
    _exact(sys.stdout).write(text)


def write_json(file: str | None, data: Any) -> None:
    """Write a value as JSON to a file, or to standard output for `-`; without a file, nowhere."""
    if file is None:
        return
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    text = _UNREADABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if file == "-":
        sys.stdout.write(text)
    else:
        saving.write(file, text)


_UNREADABLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that JSON leaves as they are and a terminal does not."""
