"""Rows of CSV files as they come: separated by commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from promptkit.errors import DataError, Problem, TaskError, shorten
from promptkit.files.paths import plain_path
from promptkit.text import did_you_mean
from promptkit.translation import mark, tr

SEPARATORS = (",", ";", "\t", "|")
_NAMES = {",": mark("a comma"), ";": mark("a semicolon"), "\t": mark("a tab")}

_SAID = re.compile(r'"?sep=([^"\r\n])"?\r?(?:\n|$)', re.IGNORECASE)
"""The first line that names the separator, as Excel reads it."""

_SHOWN = 10  # columns that a message lists
_WINDOW = 1 << 20  # characters of a stream that are in memory at a time
_LONGEST = 1 << 24  # characters of a record that may go on behind a window


def is_tabbed(path: Path) -> bool:
    """Return whether a file's name says that tabs separate its columns."""
    return plain_path(path).suffix.lower() in (".tsv", ".tab")


def csv_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV file with the lines on which they begin.

    Columns without a name are left out. Rows that cannot be read go to `problems`, and the others
    are read all the same. Raises `DataError` for a header that lacks a `required`
    column or names one twice.
    """
    return _rows(path, _Windows(io.StringIO(text, newline=""), len(text) + 1), problems, required)


def csv_stream(
    path: Path,
    lines: Iterable[str],
    problems: list[Problem],
    required: Sequence[str],
    window: int = _WINDOW,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of lines like `csv_rows`, with `window` characters of them in memory.

    A cell whose quotation mark is not ended within 16 million characters is not CSV.
    """
    return _rows(path, _Windows(lines, window), problems, required)


class _Windows:
    """The lines of a file, some at a time."""

    def __init__(self, lines: Iterable[str], size: int) -> None:
        self._rest, self._size = iter(lines), size
        self.lines: list[str] = []
        """Lines of the window."""
        self.before = 0
        """Number of lines in front of it."""
        self.ended = False
        """Whether the last line of the file is in it."""
        self.advance(0)

    def advance(self, count: int) -> None:
        """Leave the first lines behind and read some more."""
        self.before += count
        self.lines = self.lines[count:]
        size = 0
        while size < self._size and not self.ended:
            line = next(self._rest, None)
            self.ended = line is None
            self.lines += [line] if line is not None else []
            size += len(line or "")

    def may_go_on(self, line: int) -> bool:
        """Return whether a record that begins on a line may end behind the window."""
        return not self.ended and sum(map(len, self.lines[line - 1 :])) < _LONGEST


def _rows(
    path: Path, windows: _Windows, problems: list[Problem], required: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    said = _SAID.fullmatch(windows.lines[0])
    begin = 1 if said else 0
    with _long_fields():
        separator = said[1] if said else _separator(windows.lines, required, tabbed=is_tabbed(path))
        header: list[str] | None = None
        named = 0  # how many cells a row has at the least
        for line, cells in _windowed(windows, begin, separator):
            if isinstance(cells, _NotCsv):
                problems.append(Problem(cells.reason, str(path), line, value=_shown(cells.line)))
            elif not cells or (len(cells) > 1 and not any(cells)):
                continue  # a blank line, or an empty row of a spreadsheet
            elif header is None:
                header = _header(path, line, cells, required)
                named = max([place for place, name in enumerate(header, 1) if name], default=0)
            elif any(cells[len(header) :]) or len(cells) < named:
                reason = tr(
                    "{count} fields, but the header names {named}", count=len(cells), named=named
                )
                if len(cells) > named:
                    name = tr(_NAMES.get(separator, repr(separator)))
                    reason += tr("; put a cell that holds {name} in quotation marks", name=name)
                problems.append(Problem(reason, str(path), line, value=separator.join(cells)))
            else:
                yield line, {k: cell for k, cell in zip(header, cells, strict=False) if k}


class _NotCsv(NamedTuple):
    """A record that is not CSV."""

    reason: str
    line: str
    """The line on which it begins."""
    is_open: bool
    """Whether it would go on behind the last line."""


def _windowed(
    windows: _Windows, begin: int, separator: str
) -> Iterator[tuple[int, list[str] | _NotCsv]]:
    """The records of all windows, like `_records`."""
    while True:
        read = len(windows.lines)
        for line, cells in _records(windows.lines, begin, separator):
            if isinstance(cells, _NotCsv) and cells.is_open and windows.may_go_on(line):
                read = line - 1
                break
            yield windows.before + line, cells
        if windows.ended:
            return
        windows.advance(read)
        begin = 0


def _separator(lines: Sequence[str], required: Sequence[str], *, tabbed: bool) -> str:
    """Return the separator that splits the header into the required columns, or the most."""
    known = ("\t", ",", ";", "|") if tabbed else SEPARATORS
    headers = {separator: _first(lines, separator) for separator in known}
    for separator, header in headers.items():
        if required and set(required) <= set(header):
            return separator
    if len(headers[known[0]]) > 1:
        return known[0]
    return max(known, key=lambda separator: len(headers[separator]))


def _first(lines: Sequence[str], separator: str) -> Sequence[str]:
    cells = next((cells for _, cells in _records(lines, 0, separator) if cells), ())
    return () if isinstance(cells, _NotCsv) else cells


def _records(
    lines: Sequence[str], begin: int, separator: str
) -> Iterator[tuple[int, list[str] | _NotCsv]]:
    """The cells of each record with its first line."""
    while begin < len(lines):
        reader = csv.reader(lines[begin:], strict=True, delimiter=separator)
        while True:
            line = begin + reader.line_num
            try:
                yield line + 1, next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                is_open = "unexpected end" in str(error)  # the rest was taken for one cell
                reason = _not_csv(str(error), lines[line])
                yield line + 1, _NotCsv(reason, lines[line], is_open)
                if is_open:
                    begin = line + 1
                    break


def _not_csv(error: str, line: str) -> str:
    if "unexpected end" in error:
        return tr(
            "not CSV: a quotation mark begins a cell here, and none ends it; add one, "
            "or write each mark within the cell twice and the cell in quotation marks: "
            '"""so"" to speak"'
        )
    if "expected after" in error and '\\"' in line:
        return tr('not CSV: a quotation mark within a cell is written twice, "", and not as \\"')
    if "expected after" in error:
        return tr(
            "not CSV: the cell goes on behind the quotation mark that ends it; write "
            'the marks within it twice, and the cell in quotation marks: """so"" to '
            'speak"'
        )
    return tr("not CSV: {error}", error=error)


def _header(path: Path, line: int, header: list[str], required: Sequence[str]) -> list[str]:
    """The names of the columns; raises `DataError` for what is wrong with them."""
    problems = []
    for name in sorted(name for name, times in Counter(header).items() if times > 1 and name):
        problems.append(Problem(tr("the header repeats this column"), str(path), line, field=name))
    none = not set(required) & set(header)
    for name in required:
        if name not in header:
            others = [column for column in header if column not in required]
            reason = tr("column not found{hint}", hint=column_hint(name, others, header))
            if none and not did_you_mean(name, others):
                reason += tr(
                    "; the first line is read as the names of the columns: name those that "
                    "hold the fields in `columns`, or where it is a row, put a line with their "
                    "names above it"
                )
            problems.append(Problem(reason, str(path), line, field=name))
    if problems:
        raise DataError(problems)
    return header


def column_hint(name: str, others: Sequence[str], header: Sequence[str]) -> str:
    """Return a hint for a missing column: the closest of `others`, or the columns of the header."""
    if hint := did_you_mean(name, others, lead="; "):
        return hint
    shown = [_shown(column) for column in header[:_SHOWN]] + ["…"] * (len(header) > _SHOWN)
    return tr("; the columns are {shown}", shown=", ".join(shown))


def _shown(text: str, limit: int = 40) -> str:
    text = text.rstrip("\r\n")
    return text if len(text) <= limit else text[: limit - 1] + "…"


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the limit of the csv module, 128 KiB a field; a document is longer."""
    before = csv.field_size_limit(sys.maxsize if sys.platform != "win32" else 2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def to_csv(rows: Sequence[Mapping[str, Any]], separator: str = ",") -> str:
    """Return rows as CSV. Raises `TaskError` for what it cannot hold."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for row in rows:
        for column in columns:
            value = row.get(column)
            if not isinstance(value, str | int | float):
                what = (
                    tr("CSV cannot leave a value out")
                    if value is None
                    else tr("CSV holds text only")
                )
                raise TaskError(
                    tr(
                        "example {row!r}, column {column!r}: {what}, this is {value}; write JSON "
                        "Lines",
                        row=row["id"],
                        column=column,
                        what=what,
                        value=shorten(value),
                    )
                )
    # Before Python 3.13 a lone carriage return is not a reason to quote, but ends a row.
    cells = (str(value) for row in rows for value in (*row, *row.values()))
    quoting: Literal[0, 1] = csv.QUOTE_ALL if any("\r" in c for c in cells) else csv.QUOTE_MINIMAL
    file = io.StringIO(newline="")
    writer = csv.DictWriter(
        file, columns, lineterminator="\n", quoting=quoting, delimiter=separator
    )
    try:
        writer.writeheader()
        writer.writerows(rows)
    except csv.Error as error:  # Python 3.10 cannot write NUL
        raise TaskError(
            tr("CSV cannot hold these rows: {error}; write JSON Lines", error=error)
        ) from None
    return file.getvalue()
