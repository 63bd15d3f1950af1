"""Rows of any length as a stream: files, Arrow streams and records, each with its number."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

from promptkit.errors import DataError, MissingExtraError, Problem, TaskError, shorten
from promptkit.files.delimited import csv_stream
from promptkit.files.json_values import plain
from promptkit.files.paths import check_file, is_compressed
from promptkit.tasks.examples import Example
from promptkit.tasks.tables import check_start, is_csv, is_parquet, jsonl_stream
from promptkit.translation import tr

Inputs = Any
"""A file's path, an object with `__arrow_c_stream__`, or an iterable of records."""

NumberedRow = tuple[int, Mapping[str, Any] | Problem]
"""The line on which a row begins, or its number from 1, and its columns or why it has none."""

Rows = Generator[NumberedRow, None, None]
"""Rows as they are read; closing them closes their file."""

_SLICE = 1024  # rows of a record batch that are Python's at a time
_LONGEST = 1 << 26  # characters of a line
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as they are read


@dataclass
class InputStream:
    """Rows that are read once, in their order."""

    name: str
    """Name in messages."""
    rows: Callable[[Sequence[str]], Rows]
    """Function that yields the rows; a CSV file must have the columns that it is given."""
    textual: bool = False
    """Whether all values are texts, as in CSV."""
    sparse: bool = False
    """Whether rows have every column, with None for what is not there."""
    size: int | None = None
    """Bytes of the file; None for what is no file."""
    total: int | None = None
    """Number of rows, where it is known before they are read."""
    place: Callable[[], int] | None = None
    """Function that returns the bytes of the file that were read so far."""

    def fraction(self, rows: int) -> float | None:
        """Return the share of the input that was read, given the number of rows, if it is known."""
        if self.total:
            return min(rows / self.total, 1.0)
        return min(self.place() / self.size, 1.0) if self.place and self.size else None


def input_stream(inputs: Inputs) -> InputStream:
    """Return the rows of a file, an Arrow stream or an iterable of records.

    Raises:
        TaskError: The file is not there or of an unknown kind, or `inputs` holds no rows.
        MissingExtraError: Parquet or an Arrow stream, without pyarrow.
    """
    if isinstance(inputs, str | Path):
        path = Path(inputs)
        size = _size(path)
        return _parquet(path, size) if is_parquet(path) else _text(path, size)
    if hasattr(inputs, "__arrow_c_stream__"):
        return _arrow(inputs)
    if isinstance(inputs, Mapping | bytes) or not isinstance(inputs, Iterable):
        raise TaskError(
            tr(
                "no rows to predict: {inputs}; give a .csv, .jsonl or .parquet file, an "
                "Arrow stream such as a data frame (a lazy one collected), or an iterable "
                "of records",
                inputs=shorten(inputs),
            )
        )
    total = len(inputs) if isinstance(inputs, Sequence) else None
    return InputStream("rows", lambda _: _records(inputs), sparse=True, total=total)


def _records(items: Iterable[Any]) -> Rows:
    for number, item in enumerate(items, 1):
        yield number, _record(item)


def _size(path: Path) -> int:
    try:
        check_file(path, most=1 << 62)
        with path.open("rb"):  # says plainly what is wrong with a file that cannot be read
            return path.stat().st_size
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None


def _record(item: Any) -> Mapping[str, Any] | Problem:
    if isinstance(item, Example):
        return {"id": item.id, **item.metadata, **plain(item.input)}
    if isinstance(item, BaseModel):
        return plain(item)
    if isinstance(item, Mapping):
        return {str(key): value for key, value in item.items()}
    return Problem(
        tr("not a record; a row is a mapping, this is a {name}", name=type(item).__name__),
        value=item,
    )


def _text(path: Path, size: int) -> InputStream:
    stream = InputStream(str(path), lambda _: _records(()), textual=is_csv(path), size=size)

    def rows(required: Sequence[str]) -> Rows:
        problems: list[Problem] = []
        with path.open("rb") as file, closing(_lines(path, file)) as lines:
            stream.place = lambda: size if file.closed else file.tell()
            read = (
                csv_stream(path, lines, problems, required)
                if stream.textual
                else jsonl_stream(path, lines, problems)
            )
            yield from _drained(_readable(path, read), problems)

    stream.rows = rows
    return stream


def _readable(path: Path, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Any]:
    """Yield rows; raise `DataError` with the file where its bytes cannot be read."""
    try:
        yield from rows
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = tr("damaged gzip: {error}; what is in front of it was read", error=error)
        raise DataError([Problem(reason, str(path))]) from None


def _drained(rows: Iterator[tuple[int, dict[str, Any]]], problems: list[Problem]) -> Iterator[Any]:
    """Yield rows with the problems of others between them, in the order of the file."""
    for line, row in rows:
        yield from _taken(problems)
        flaw = next(filter(None, map(_not_utf8, row.values())), None)
        yield line, row if flaw is None else Problem(flaw, line=line, value=row)
    yield from _taken(problems)


def _taken(problems: list[Problem]) -> Iterator[tuple[int, Problem]]:
    found = [(problem.line or 0, problem) for problem in problems]
    problems.clear()
    yield from found


def _not_utf8(value: Any) -> str | None:
    if not isinstance(value, str) or value.isascii() or not (found := _ESCAPED.search(value)):
        return None
    return tr("byte {byte:#04x} is not UTF-8; save the file as UTF-8", byte=ord(found[0]) - 56320)


def _lines(path: Path, file: BinaryIO) -> Generator[str, None, None]:
    """The lines of a file, perhaps in gzip; raises `DataError` for one without any."""
    raw: Any = gzip.GzipFile(fileobj=file) if is_compressed(path) else file
    check_start(path, raw.read(4))
    raw.seek(0)
    newline = "" if is_csv(path) else "\n"
    text = io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline=newline)
    try:
        first = _line(text, path)
        if not first:
            raise DataError([Problem(tr("the file is empty"), str(path))])
        yield first
        while line := _line(text, path):  # `yield from text` would close the file itself
            yield line
    finally:
        text.detach()  # `rows` closes the file


def _line(text: io.TextIOWrapper, path: Path) -> str:
    """Return the next line, within bounds: gigabytes without an end take a megabyte of gzip."""
    line = text.readline(_LONGEST)
    if len(line) == _LONGEST:
        reason = tr("a line of {LONGEST:,} characters or more, which is no row", LONGEST=_LONGEST)
        raise DataError([Problem(reason, str(path))])
    return line


def _parquet(path: Path, size: int) -> InputStream:
    pyarrow = _pyarrow(tr("a Parquet file"))
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, memory_map=True)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        text = " ".join(str(error).replace(str(path), "").split()).strip(" :'\"")
        raise TaskError(
            tr("{path}: not Parquet: {error}", path=path, error=text or type(error).__name__)
        ) from None
    total = file.metadata.num_rows
    batches = _guarded(str(path), file.iter_batches(batch_size=_SLICE), pyarrow)
    return InputStream(
        str(path), lambda _: _arrow_rows(batches), sparse=True, size=size, total=total
    )


def _arrow(inputs: Any) -> InputStream:
    pyarrow = _pyarrow(tr("an Arrow stream"))
    name, total = type(inputs).__name__, getattr(inputs, "num_rows", None)
    if total is None and hasattr(inputs, "shape"):
        total = inputs.shape[0]
    try:
        reader = pyarrow.RecordBatchReader.from_stream(inputs)
    except (pyarrow.ArrowException, TypeError) as error:  # of one column, such as a Series
        text = " ".join(str(error).split())
        raise TaskError(
            tr("{name}: no table of rows: {reason}; give a data frame", name=name, reason=text)
        ) from None
    rows = _arrow_rows(_guarded(name, reader, pyarrow))
    known = total if isinstance(total, int) else None
    return InputStream(name, lambda _: rows, sparse=True, total=known)


def _guarded(name: str, batches: Iterable[Any], pyarrow: Any) -> Iterator[Any]:
    try:
        yield from batches
    except (pyarrow.ArrowException, OSError) as error:
        text = " ".join(str(error).split())
        raise TaskError(
            tr("{name}: its rows cannot be read: {reason}", name=name, reason=text)
        ) from None


def _arrow_rows(batches: Iterable[Any]) -> Rows:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _SLICE):
            for row in batch.slice(start, _SLICE).to_pylist():
                number += 1
                yield number, row


def _pyarrow(what: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError(what, "data") from None
    return pyarrow
