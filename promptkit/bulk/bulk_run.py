"""Chunks of a bulk prediction, each read, predicted and written as a part."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from promptkit.bulk.bulk_answers import KnownAnswers
from promptkit.bulk.bulk_asking import ChunkAnswers, Queries, Workers, ask
from promptkit.bulk.bulk_assembly import BulkResult
from promptkit.bulk.bulk_inputs import InputStream, NumberedRow
from promptkit.bulk.bulk_parts import PartFolder, PartHeader, Shard
from promptkit.bulk.bulk_rows import (
    BadRow,
    GoodRow,
    RowParser,
    digest_of,
    rejected,
    row_text,
)
from promptkit.errors import DataError, PromptkitError, TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.store import Store
from promptkit.tasks.task import Task
from promptkit.translation import tr

CHUNK_ROWS = 2000
"""Number of rows that are asked together, and written to one part file."""


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a bulk prediction is."""

    rows: int
    """Number of rows that are done, rejected ones too."""
    before: int
    """Number of them that an earlier run had done."""
    rejects: int
    """Number of rejected rows."""
    asked: int
    """Number of rows that the predictor was asked in this run."""
    fraction: float | None
    """Share of the input that is done; None where its size is not known."""
    tokens: int
    """Number of tokens of the prompts of all rows of this run, each read by itself."""
    decoded: int
    """Number of tokens that were decoded."""


@dataclass(frozen=True)
class BulkOptions:
    """Settings of a bulk prediction that do not change what a row is answered."""

    strict: bool = False
    """Stop at the first row that does not fit."""
    limit: int | None = None
    """Number of rows that are read at the most."""
    shard: Shard = field(default_factory=Shard)
    normalise: bool = True
    """Ask rows once that differ in Unicode's composition or in white space only."""
    chunk_rows: int = CHUNK_ROWS
    overwrite: bool = False
    """Replace a file that is there, and an unfinished run of something else."""


def chunks_of(parser: RowParser, options: BulkOptions) -> Iterator[list[NumberedRow]]:
    """Yield the rows of an input in chunks."""
    with closing(parser.rows()) as rows:
        rest = islice(rows, options.limit)
        while chunk := [*islice(rest, options.chunk_rows)]:
            yield chunk


@dataclass
class Chunk:
    """Rows of the input that are asked together and become one part."""

    number: int
    read: Sequence[NumberedRow]
    header: PartHeader | None
    """Header of its part, where an earlier run made it."""
    good: list[GoodRow] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    answers: dict[bytes, str] = field(default_factory=dict)
    """Answers that are known, by the keys of rows."""
    own: int = 0
    """Number of them that were asked in this chunk, by a run that was ended before its part."""
    asked: list[GoodRow] = field(default_factory=list)
    """First rows of keys without an answer, which no chunk before it asks."""
    refused: dict[bytes, PromptkitError] = field(default_factory=dict)
    """Why rows have no prompt, by their keys."""


@dataclass
class BulkRun:
    """A run over the chunks of an input."""

    predictor: AnyPredictor
    task: Task[Any, Any]
    stream: InputStream
    parser: RowParser
    folder: PartFolder
    options: BulkOptions
    known: KnownAnswers
    store: Store
    progress: Callable[[BulkProgress], None] | None
    workers: Workers | None = None
    """Other processes, which ask the predictor for this one."""
    rows: int = 0
    """Number of rows that are done."""
    before: int = 0
    rejects: int = 0
    asked: int = 0
    tokens: int = 0
    """Number of tokens of the prompts that were asked."""
    decoded: int = 0
    """Number of tokens that were decoded for them."""
    answered: int = 0
    """Number of rows that were predicted in this run."""
    read: int = 0
    """Number of rows that are read, those of the chunk in flight and of other shards too."""
    count: int = 0
    """Number of chunks that are read."""
    fraction: float | None = 0.0
    """Share of the input that is done."""
    ahead: deque[Chunk] = field(default_factory=deque)
    """Chunks that are read and not done, in their order."""
    in_flight: set[bytes] = field(default_factory=set)
    """Keys of the rows that are being asked."""

    def all_chunks(self) -> list[PartHeader]:
        """Predict the chunks that are the shard's and not done; return the headers of its parts."""
        headers = []
        batches = ([row.example for row in chunk.asked] for chunk in self._chunks())
        with closing(self._asked(batches)) as asked:
            for made in asked:
                chunk = self.ahead.popleft()
                header = chunk.header or self.part(chunk, made)
                headers.append(header)
                self.rows += len(chunk.read)
                self.rejects += header.rejects
                self.fraction = self._fraction()
                self._tell(0, 0.0)
        self.folder.finish(self.count, self.read)
        return headers

    def _asked(self, batches: Iterator[Queries]) -> Generator[ChunkAnswers, None, None]:
        """Yield the answers to each batch, in order; without workers, each before the next."""
        if self.workers is not None:
            path = self.store.path
            yield from self.workers.asked(self.predictor, self.task, batches, path)
            return
        decoded = self.predictor.usage.decoded_tokens
        for batch in batches:
            size = len(self.ahead[-1].read)

            def tell(done: int, total: int, size: int = size) -> None:
                self.decoded = self.predictor.usage.decoded_tokens - decoded
                self._tell(size * done // total, done / total)

            yield ask(self.predictor, batch, self.store, tell)

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of the shard, each once it is read."""
        for number, rows in enumerate(chunks_of(self.parser, self.options)):
            self.count, self.read = number + 1, self.read + len(rows)
            if self.options.shard.has(number):
                header = self.part_before(number, rows)
                chunk = Chunk(number, rows, header) if header else self._parsed(number, rows)
                self.ahead.append(chunk)
                yield chunk
                if self.options.strict and chunk.bad:
                    return  # the run stops there

    def part_before(self, number: int, rows: Sequence[NumberedRow]) -> PartHeader | None:
        """Return the header of a part that an earlier run made.

        Raises `TaskError` where it is made of other rows, and `DataError` in a strict run for one
        with rejected rows.
        """
        header = self.folder.header(number)
        if header is None:
            return None
        if header.read != digest_of(rows):
            if self.options.overwrite:
                return None
            raise TaskError(
                tr(
                    "{name}: rows {first:,} to {last:,} are not those of the unfinished run "
                    "in {path}; give that one's input, or begin anew with --overwrite",
                    name=self.stream.name,
                    first=rows[0][0],
                    last=rows[-1][0],
                    path=self.folder.path,
                )
            )
        if self.options.strict and header.rejects:
            lines = self.folder.lines(header)
            first = json.loads(next(line for is_row, line in lines if not is_row))
            raise DataError([BadRow(**first).problem(self.stream.name)])
        self.before += len(rows)
        return header

    def _parsed(self, number: int, rows: Sequence[NumberedRow]) -> Chunk:
        """Return a chunk with the rows of it that are to be asked."""
        chunk = Chunk(number, rows, None)
        for line, row in rows:
            parsed = self.parser.parse(line, row)
            if isinstance(parsed, GoodRow):
                chunk.good.append(parsed)
            else:
                chunk.bad.append(parsed)
        if self.options.strict and chunk.bad:
            return chunk
        known = self.known.get([good.key for good in chunk.good])
        chunk.answers = {key: answer for key, (answer, _) in known.items()}
        # A run that was killed behind that, and before the part was written, had asked them here.
        chunk.own = sum(place == number for _, place in known.values())
        for good in chunk.good:
            if good.key not in chunk.answers and good.key not in self.in_flight:
                self.in_flight.add(good.key)
                chunk.asked.append(good)
        return chunk

    def part(self, chunk: Chunk, made: ChunkAnswers) -> PartHeader:
        """Write the part of a chunk, given the answers to those of its rows that were asked."""
        if self.options.strict and chunk.bad:
            raise DataError([chunk.bad[0].problem(self.stream.name)])
        self._take(chunk, made)
        refused, answers = chunk.refused, chunk.answers
        bad = chunk.bad + [
            rejected(row, refused[row.key]) for row in chunk.good if row.key in refused
        ]
        bad.sort(key=lambda one: one.line)
        if self.options.strict and bad:
            raise DataError([bad[0].problem(self.stream.name)])
        good = [row for row in chunk.good if row.key in answers]
        lines = [row_text(self.task, row, answers[row.key]) for row in good]
        self.answered += len(lines)
        header = {
            "chunk": chunk.number,
            "read": digest_of(chunk.read),
            "rows": len(lines),
            "rejects": len(bad),
            "asked": chunk.own,
        }
        return self.folder.write(header, [*lines, *(one.text for one in bad)])

    def _take(self, chunk: Chunk, made: ChunkAnswers) -> None:
        """Add the answers to the rows that were asked, and those that chunks before it asked."""
        new: dict[bytes, str] = {}
        refused: dict[bytes, PromptkitError] = {}
        for row, answer in zip(chunk.asked, made.answers, strict=True):
            self.in_flight.remove(row.key)
            if answer.error is not None:
                refused[row.key] = answer.error
            else:
                new[row.key] = answer.text
                self.tokens += answer.tokens
        if refused and not new and not chunk.answers and not self.rows:
            raise next(iter(refused.values()))  # not of a row, but of all
        self.asked += len(new)
        self.decoded += made.decoded if self.workers else 0
        self.known.put(new, chunk.number)
        for later in self.ahead:
            later.refused |= refused
        chunk.own += len(new)
        chunk.answers |= new
        chunk.refused |= refused
        rest = [row.key for row in chunk.good if row.key not in chunk.answers]
        found = self.known.get(key for key in rest if key not in chunk.refused)
        chunk.answers |= {key: answer for key, (answer, _) in found.items()}

    def _tell(self, more: int, share: float) -> None:
        """Report progress, with a share of the chunk in flight, or so many of its rows, done."""
        if self.progress is None:
            return
        now = self._fraction() if share else None
        fraction = self.fraction
        if now is not None and fraction is not None:
            fraction += (now - fraction) * share
        each = self.tokens / self.asked if self.asked else 0.0
        self.progress(
            BulkProgress(
                rows=self.rows + more,
                before=self.before,
                rejects=self.rejects,
                asked=self.asked,
                fraction=fraction,
                tokens=round(each * self.answered),
                decoded=self.decoded,
            )
        )

    def _fraction(self) -> float | None:
        """Return the share of the input that is read."""
        found = self.stream.fraction(self.read)
        if self.options.limit is None:
            return found
        return max(found or 0.0, min(self.read / self.options.limit, 1.0))

    def result(self, headers: Sequence[PartHeader]) -> BulkResult:
        """Return the outcome of a shard."""
        return BulkResult(
            self.folder.out,
            rows=sum(one.rows for one in headers),
            rejects=sum(one.rejects for one in headers),
            asked=sum(one.asked for one in headers),
            complete=False,
            before=self.before,
        )
