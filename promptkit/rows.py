"""Rows of CSV and JSON Lines files, read with their line numbers and written without loss.

Parquet files are read too, for data that comes from elsewhere.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from promptkit.errors import DataError, MissingExtraError, Problem, TaskError, shorten

Row = tuple[int, dict[str, Any]]
"""The line on which a row begins, and its columns."""


def read_rows(path: Path, problems: list[Problem], required: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a CSV, JSON Lines or Parquet file with their lines; ragged ones go to `problems`.

    `required` are the columns that a CSV file must name. The lines of a Parquet file are its rows,
    counted from 1. Raises `TaskError` for a file that is not there, `DataError` for one that
    cannot be read as a whole, and `MissingExtraError` for Parquet without pyarrow.
    """
    if path.suffix.lower() == ".parquet":
        yield from _parquet_rows(path)
        return
    reader = _csv_rows if is_csv(path) else _jsonl_rows
    yield from reader(path, _read_text(path), problems, required)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV or JSON Lines. Raises `TaskError` for what the format cannot hold."""
    if path.suffix.lower() == ".parquet":
        raise TaskError(f"{path}: Parquet is only read; write CSV or JSON Lines")
    text = _to_csv(rows) if is_csv(path) else _to_jsonl(rows)
    path.write_text(text, encoding="utf-8", newline="")


def is_csv(path: Path) -> bool:
    """Whether a data file is CSV. Raises `TaskError` for one that is no data file at all."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson", ".parquet"):
        raise TaskError(f"{path}: a data file ends in .csv, .jsonl or .parquet")
    return suffix == ".csv"


def not_utf8(raw: bytes, error: UnicodeDecodeError) -> tuple[int, str]:
    """The line of the first byte that is not UTF-8, and what to say about it."""
    # The error counts from behind a byte-order mark.
    offset = error.start + len(raw) - len(error.object)
    before = raw[:offset].decode("utf-8-sig")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return line, f"column {column}: byte {raw[offset]:#04x} is not UTF-8; save the file as UTF-8"


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        reason = "column 1: this is UTF-16; save the file as UTF-8"
        raise DataError([Problem(reason, str(path), 1)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, reason = not_utf8(raw, error)
        raise DataError([Problem(reason, str(path), line)]) from None
    if not text.strip():
        raise DataError([Problem("the file is empty", str(path))])
    return text


# --- CSV ----------------------------------------------------------------------------------------


def _csv_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[Row]:
    with _long_csv_fields():
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                here, line = line, reader.line_num + 1
                if not cells:  # a blank line
                    continue
                if header is None:
                    header = cells
                    _check_header(path, here, header, required)
                elif len(cells) != len(header):
                    reason = f"{len(cells)} fields, but the header names {len(header)}"
                    problems.append(Problem(reason, str(path), here, value=",".join(cells)))
                else:
                    yield here, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            problems.append(Problem(f"not CSV: {error}", str(path), line))


def _check_header(path: Path, line: int, header: Sequence[str], required: Sequence[str]) -> None:
    problems = []
    for name in sorted(name for name, times in Counter(header).items() if times > 1):
        problems.append(Problem("the header names this column twice", str(path), line, field=name))
    for name in required:
        if name not in header:
            others = [column for column in header if column not in required]
            close = difflib.get_close_matches(name, others, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(header)}"
            reason = f"there is no such column{hint}"
            problems.append(Problem(reason, str(path), line, field=name))
    if problems:
        raise DataError(problems)


@contextmanager
def _long_csv_fields() -> Iterator[None]:
    """The csv module refuses fields over 128 KiB; a document is longer."""
    before = csv.field_size_limit(sys.maxsize if sys.platform != "win32" else 2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for row in rows:
        for column in columns:
            value = row.get(column)
            if not isinstance(value, str | int | float):
                what = "CSV cannot leave a value out" if value is None else "CSV holds text only"
                raise TaskError(
                    f"example {row['id']!r}, column {column!r}: {what}, this is {shorten(value)}; "
                    "write JSON Lines"
                )
    # Before Python 3.13 a lone carriage return is not a reason to quote, but ends a row.
    cells = (str(value) for row in rows for value in (*row, *row.values()))
    quoting: Literal[0, 1] = csv.QUOTE_ALL if any("\r" in c for c in cells) else csv.QUOTE_MINIMAL
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n", quoting=quoting)
    try:
        writer.writeheader()
        writer.writerows(rows)
    except csv.Error as error:  # Python 3.10 cannot write NUL
        raise TaskError(f"CSV cannot hold these rows: {error}; write JSON Lines") from None
    return file.getvalue()


# --- JSON Lines ---------------------------------------------------------------------------------


def _jsonl_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[Row]:
    # Not splitlines(): JSON text may hold U+2028 and others as they are.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))  # without "line 1", which is not the file's
            problems.append(Problem(f"not JSON: {reason}", str(path), line, value=content))
            continue
        if not isinstance(row, dict):
            reason = 'not an object; a row reads {"field": value, …}'
            problems.append(Problem(reason, str(path), line, value=row))
            continue
        yield line, row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {Counter(names).most_common(1)[0][0]!r} stands twice")
    return row


def _to_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        try:
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        except (TypeError, ValueError) as error:
            raise TaskError(f"example {row['id']!r}: JSON cannot hold this row: {error}") from None
    return "".join(lines)


# --- Parquet ------------------------------------------------------------------------------------


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtraError("a Parquet file", "data") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise TaskError(f"{path}: {str(error).splitlines()[0]}") from None
    for index, row in enumerate(rows, start=1):
        yield index, {name: value for name, value in row.items() if value is not None}
