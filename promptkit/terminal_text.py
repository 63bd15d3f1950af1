"""Lines and tables in a terminal, for texts in any script.

rich measures text by code points, so that vowel signs of Hindi take no column and a flag can be
cut in two. Here lines break between grapheme clusters, and columns are as wide as a terminal shows
them (`graphemes.width`). What is written from right to left is isolated, so that a terminal that
orders lines by Unicode's rules leaves the numbers beside it where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import ControlType, Segment
from rich.text import Text

from promptkit.graphemes import breaks, cut, is_right_to_left, right_to_left, width

_CONTROL: Any = [(ControlType.BELL,)]
"""Marks a segment as one that only a terminal gets; rich rings no bell for it."""
_ISOLATE, _END = (Segment(mark, None, _CONTROL) for mark in "\u2068\u2069")
"""FSI, whose direction is that of the first letter behind it, and PDI."""


class TextConsole(Console):
    """A console that breaks lines between grapheme clusters and isolates right-to-left text."""

    def print(self, *objects: Any, crop: bool = False, **settings: Any) -> None:
        """Print as `Console.print` does; lines are broken already, so that none is cropped."""
        super().print(*objects, crop=crop, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        if not isinstance(renderable, Text):
            yield from super().render(renderable, options)
            return
        options = options or self.options
        whole = options.no_wrap or renderable.no_wrap
        for place, line in enumerate(_lines(renderable, None if whole else options.max_width)):
            if place:
                yield Segment.line()
            yield from _isolated(line, self)
        if renderable.end:
            yield Segment(renderable.end)


def text_console(file: Any, columns: int) -> TextConsole:
    """Return a console that writes plain text to a file, in lines of so many columns."""
    return TextConsole(
        file=file, width=columns, color_system=None, markup=False, emoji=False, highlight=False
    )


class TextTable:
    """A table: a heading, a rule, and rows whose cells fold into several lines.

    A column whose name ends in a colon holds numbers, on the right. Without any name there is no
    heading.
    """

    def __init__(self, *names: str, gap: int = 2, rule: bool = True) -> None:
        """Make an empty table.

        Args:
            names: The columns.
            gap: Number of blanks between two columns.
            rule: Whether a line is drawn below the heading.
        """
        style = "bold" if rule else "dim"
        self._names = [Text(name.rstrip(":"), style) for name in names]
        self._rule = rule
        self._right = [name.endswith(":") for name in names]
        self._gap = gap
        self._rows: list[list[Text] | None] = []  # None between two sections

    @property
    def names(self) -> list[str]:
        """Return the names of the columns."""
        return [name.plain for name in self._names]

    def add_row(self, *cells: str | Text, end_section: bool = False) -> None:
        """Add a row, and behind it the end of a section if `end_section`."""
        self._rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])
        if end_section:
            self.add_section()

    def add_section(self) -> None:
        """Put a blank line between the last row and the next one."""
        self._rows.append(None)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        total = sum(self._widths(options.max_width)) + self._gap * (len(self._names) - 1)
        return Measurement(min(total, options.max_width), total)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        widths = self._widths(options.max_width)
        if any(map(str, self._names)):
            yield from self._row(self._names, widths, console, at_end=True)
            if self._rule:
                yield Segment("─" * (sum(widths) + self._gap * (len(widths) - 1)))
                yield Segment.line()
        rows = self._rows[:-1] if self._rows[-1:] == [None] else self._rows
        for row in rows:
            if row is None:
                yield Segment.line()
            else:
                yield from self._row(row, widths, console)

    def _widths(self, most: int) -> list[int]:
        """Return the widths of the columns, the widest ones narrowed until all fit."""
        rows = [self._names, *filter(None, self._rows)]
        widths = [
            max([_widest(cell) for cell in cells]) for cells in zip_longest(*rows, fillvalue=Text())
        ]
        room = most - self._gap * (len(widths) - 1)
        while sum(widths) > room and max(widths) > 2:
            widest = max(widths)
            widths[len(widths) - 1 - widths[::-1].index(widest)] -= 1
        return widths

    def _row(
        self, cells: Sequence[Text], widths: Sequence[int], console: Console, at_end: bool = False
    ) -> Iterator[Segment]:
        """Yield the lines of a row; `at_end`: a shorter cell has its empty lines at its top."""
        folded = [_lines(cell, room) for cell, room in zip(cells, widths, strict=False)]
        height = max(map(len, folded))
        blank = [[Text()] * (height - len(lines)) for lines in folded]
        folded = [b + f if at_end else f + b for b, f in zip(blank, folded, strict=True)]
        for line in zip(*folded, strict=True):
            due = 0  # spaces, which are only written where something follows
            for text, room, right in zip(line, widths, self._right, strict=False):
                free = room - width(text.plain)
                if text.plain:
                    yield Segment(" " * (due + (free if right else 0)))
                    yield from _isolated(text, console, whole=True)
                    due = 0 if right else free
                else:
                    due += room
                due += self._gap
            yield Segment.line()


def _widest(text: Text) -> int:
    return max(map(width, text.plain.split("\n")))


def _lines(text: Text, columns: int | None) -> list[Text]:
    """Return a text's lines, folded to a number of columns; as they are without one."""
    found: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        if "\t" in line.plain:
            line.expand_tabs(8)
        if columns is None or width(line.plain) <= columns:
            found.append(line)
        elif text.no_wrap:
            found.append(Text(cut(line.plain, columns), line.style))
        else:
            for part in line.divide(breaks(line.plain, columns)):
                part.rstrip()
                found.append(part)
    return found


def _isolated(line: Text, console: Console, *, whole: bool = False) -> Iterator[Segment]:
    """Yield a line, with isolates around what is written from right to left.

    Args:
        line: The line.
        console: The console that renders it.
        whole: Whether the line is one value, which is isolated as a whole if it begins so.
    """
    runs = [*right_to_left(line.plain)]
    if not runs:
        yield from line.render(console)
        return
    if whole and is_right_to_left(next(filter(str.isalpha, line.plain), "")):
        runs = [(0, len(line.plain))]
    ends = [place for run in runs for place in run]
    for number, part in enumerate(line.divide(ends)):
        if number % 2:
            yield _ISOLATE
        yield from part.render(console)
        if number % 2:
            yield _END
