"""Rows of data files with their line numbers: CSV and JSON Lines, perhaps in gzip, and Parquet."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from promptkit.errors import DataError, MissingExtraError, Problem, TaskError
from promptkit.files import saving
from promptkit.files.delimited import csv_rows, is_tabbed, to_csv
from promptkit.files.paths import (
    MOST_BYTES,
    check_file,
    is_compressed,
    plain_path,
    read_bytes,
    read_compressed,
)
from promptkit.translation import tr

NumberedRow = tuple[int, dict[str, Any]]
"""The line on which a row begins, and its columns."""

_BATCH, _ROW_BYTES = 4096, 64  # rows of Parquet that are read at once, and what one weighs at least


@dataclass(frozen=True)
class DataFile:
    """A data file with its text, which is read once; Parquet is read by its own library."""

    path: Path
    text: str | None = field(repr=False)
    """The content of a CSV or JSON Lines file; None for Parquet."""

    def __str__(self) -> str:
        return str(self.path)

    def rows(self, problems: list[Problem], required: Sequence[str] = ()) -> Iterator[NumberedRow]:
        """Yield the rows with the lines on which they begin; of Parquet, their numbers from 1.

        Rows that cannot be read go to `problems`; a CSV file's header must name the `required`
        columns. Raises `DataError` for a file that cannot be read as a whole, and
        `MissingExtraError` for Parquet without pyarrow.
        """
        if self.text is None:
            return _parquet_rows(self.path)
        reader = csv_rows if is_csv(self.path) else _jsonl_rows
        return reader(self.path, self.text, problems, required)

    def column(self, line: int, value: str) -> int:
        """Return the column at which a value begins in a line; 1 where it is written otherwise."""
        if self.text is None or line > len(self._lines):
            return 1
        return self._lines[line - 1].find(value.split("\n")[0]) + 1 or 1

    def line(self, number: int) -> str:
        """Return a line as it stands in the file; empty for Parquet, and beyond the end."""
        if self.text is None or number > len(self._lines):
            return ""
        return self._lines[number - 1]

    @cached_property
    def _lines(self) -> list[str]:
        return io.StringIO(self.text, newline="").readlines()


def read_data_file(path: Path) -> DataFile:
    """Read a CSV, JSON Lines or Parquet file.

    Raises `TaskError` for a file that is not there, and `DataError` for one that is not text.
    """
    return DataFile(path, None if is_parquet(path) else _read_text(path))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV or JSON Lines. Raises `TaskError` for values the format cannot hold."""
    if is_parquet(path) or is_compressed(path):
        what = "Parquet" if is_parquet(path) else tr("a .gz file")
        raise TaskError(
            tr("{path}: {what} is only read; write CSV or JSON Lines", path=path, what=what)
        )
    text = to_csv(rows, "\t" if is_tabbed(path) else ",") if is_csv(path) else _to_jsonl(rows)
    saving.write(path, text)


def is_csv(path: Path) -> bool:
    """Return whether a data file is CSV, with any separator.

    Raises `TaskError` for one that is no data file at all.
    """
    suffix = plain_path(path).suffix.lower()
    textual = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson")
    if suffix not in textual and path.suffix.lower() != ".parquet":
        book = tr("; save the sheet as CSV UTF-8") if suffix in (".xlsx", ".xls", ".ods") else ""
        raise TaskError(
            tr(
                "{path}: a data file ends in .csv, .tsv, .jsonl or .parquet, or in .gz "
                "behind one of the first three{book}",
                path=path,
                book=book,
            )
        )
    return suffix in (".csv", ".tsv", ".tab")


def is_parquet(path: Path) -> bool:
    """Return whether a data file is Parquet. Raises `TaskError` like `is_csv`."""
    return not is_csv(path) and path.suffix.lower() == ".parquet"


def not_utf8(raw: bytes, error: UnicodeDecodeError) -> tuple[int, str]:
    """Return the line of the first byte that is not UTF-8, and a message about it."""
    # The error counts from behind a byte-order mark.
    offset = error.start + len(raw) - len(error.object)
    before = raw[:offset].decode("utf-8-sig")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return line, tr(
        "column {column}: byte {raw:#04x} is not UTF-8; save the file as UTF-8",
        column=column,
        raw=raw[offset],
    )


def _read_text(path: Path) -> str:
    try:
        raw = (read_compressed if is_compressed(path) else read_bytes)(path)
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    check_start(path, raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, reason = not_utf8(raw, error)
        reason += tr(' (in Excel, as "CSV UTF-8")') if is_csv(path) else ""
        raise DataError([Problem(reason, str(path), line)]) from None
    if not text.strip():
        raise DataError([Problem(tr("the file is empty"), str(path))])
    return text


def check_start(path: Path, start: bytes) -> None:
    """Raise `DataError` for a file whose first bytes, 4 at the least, say that it is no UTF-8."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        reason = tr("column 1: this is UTF-16; save the file as UTF-8")
        reason += tr(' (in Excel, as "CSV UTF-8")') if is_csv(path) else ""
        raise DataError([Problem(reason, str(path), 1)])
    if start.startswith(b"PK\3\4"):
        reason = tr("not text, but a ZIP archive, as workbooks are; save the sheet as CSV UTF-8")
        raise DataError([Problem(reason, str(path))])


def _jsonl_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[NumberedRow]:
    # Not splitlines(): JSON text may hold U+2028 and others as they are.
    return jsonl_stream(path, text.split("\n"), problems)


def jsonl_stream(
    path: Path, lines: Iterable[str], problems: list[Problem]
) -> Iterator[NumberedRow]:
    """Yield the rows of lines of JSON with their numbers; others go to `problems`."""
    for line, content in enumerate(lines, start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))  # without "line 1", which is not the file's
            problems.append(
                Problem(tr("not JSON: {reason}", reason=reason), str(path), line, value=content)
            )
            continue
        if not isinstance(row, dict):
            reason = tr('not an object; a row reads {"field": value, …}')
            problems.append(Problem(reason, str(path), line, value=row))
            continue
        yield line, row


def _no_constant(name: str) -> None:
    raise ValueError(tr("{name} is not a JSON value", name=name))


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(tr("key {key!r} is repeated", key=Counter(names).most_common(1)[0][0]))
    return row


def _to_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        try:
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        except (TypeError, ValueError) as error:
            raise TaskError(
                tr(
                    "example {row!r}: JSON cannot hold this row: {error}",
                    row=row["id"],
                    error=error,
                )
            ) from None
    return "".join(lines)


def _parquet_rows(path: Path) -> Iterator[NumberedRow]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtraError(tr("a Parquet file"), "data") from None
    try:
        check_file(path)
        path.open("rb").close()  # says plainly what is wrong with a file that cannot be read
        with parquet.ParquetFile(path) as file:
            rows = [row for batch in _bounded(file) for row in batch.to_pylist()]
    except (ArrowException, OSError, ValueError) as error:
        # The text of an error of pyarrow may be only the file's name.
        text = " ".join(str(error).replace(str(path), "").split()).strip(" :'\"")
        plainly = getattr(error, "strerror", None)
        reason = plainly or tr("not Parquet: {text}", text=text or type(error).__name__)
        raise TaskError(f"{path}: {reason}") from None
    yield from enumerate(rows, start=1)


def _bounded(file: Any) -> Iterator[Any]:
    """Yield the batches of a Parquet file: a few bytes of it may stand for any number of rows."""
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        size += batch.nbytes + batch.num_rows * _ROW_BYTES
        if size > MOST_BYTES:
            raise ValueError(tr("more than 1 GB of rows; promptkit predict reads them one by one"))
        yield batch
