"""Chunks of a bulk prediction, each read, predicted and written as a part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from promptkit.errors import DataError, PromptError, PromptkitError, TaskError, TemplateError
from promptkit.inference.any_predictor import AnyPredictor, apart
from promptkit.inference.bulk_answers import KnownAnswers
from promptkit.inference.bulk_assembly import BulkResult
from promptkit.inference.bulk_inputs import InputStream, NumberedRow
from promptkit.inference.bulk_parts import PartFolder, PartHeader, Shard
from promptkit.inference.bulk_rows import (
    BadRow,
    GoodRow,
    RowParser,
    answer_text,
    digest_of,
    rejected,
    row_text,
)
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.selection.draw import forget
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

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
    rows: int = 0
    """Number of rows that are done."""
    before: int = 0
    rejects: int = 0
    asked: int = 0
    tokens: int = 0
    """Number of tokens of the prompts that were asked."""
    answered: int = 0
    """Number of rows that were predicted in this run."""
    read: int = 0
    """Number of rows that are read, those of the chunk in flight and of other shards too."""
    fraction: float | None = 0.0
    """Share of the input that is done."""
    decoded_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.decoded_before = self.predictor.usage.decoded_tokens

    def all_chunks(self) -> list[PartHeader]:
        """Predict the chunks that are the shard's and not done; return the headers of its parts."""
        headers, count = [], 0
        for number, rows in enumerate(chunks_of(self.parser, self.options)):
            count, self.read = number + 1, self.read + len(rows)
            if self.options.shard.has(number):
                header = self.part_before(number, rows) or self.part(number, rows)
                headers.append(header)
                self.rows += len(rows)
                self.rejects += header.rejects
                self.fraction = self._fraction()
                self._tell(0, 0.0)
        self.folder.finish(count, self.read)
        return headers

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
                f"{self.stream.name}: rows {rows[0][0]:,} to {rows[-1][0]:,} are not those of the "
                f"unfinished run in {self.folder.path}; give that one's input, or begin "
                "anew with --overwrite"
            )
        if self.options.strict and header.rejects:
            lines = self.folder.lines(header)
            first = json.loads(next(line for is_row, line in lines if not is_row))
            raise DataError([BadRow(**first).problem(self.stream.name)])
        self.before += len(rows)
        return header

    def part(self, number: int, rows: Sequence[NumberedRow]) -> PartHeader:
        """Predict a chunk and write its part."""
        good, bad = [], []
        for line, row in rows:
            parsed = self.parser.parse(line, row)
            if isinstance(parsed, GoodRow):
                good.append(parsed)
            elif self.options.strict:
                raise DataError([parsed.problem(self.stream.name)])
            else:
                bad.append(parsed)
        answers, refused, asked = self._answers(good, number, len(rows))
        bad += [rejected(row, refused[row.key]) for row in good if row.key in refused]
        bad.sort(key=lambda one: one.line)
        if self.options.strict and bad:
            raise DataError([bad[0].problem(self.stream.name)])
        lines = [row_text(self.task, row, answers[row.key]) for row in good if row.key in answers]
        self.answered += len(lines)
        header = {
            "chunk": number,
            "read": digest_of(rows),
            "rows": len(lines),
            "rejects": len(bad),
            "asked": asked,
        }
        return self.folder.write(header, [*lines, *(one.text for one in bad)])

    def _answers(
        self, rows: Sequence[GoodRow], chunk: int, size: int
    ) -> tuple[dict[bytes, str], dict[bytes, PromptkitError], int]:
        """Return answers by key, why others have none, and how many are the chunk's own."""
        known = self.known.get([row.key for row in rows])
        answers = {key: answer for key, (answer, _) in known.items()}
        first: dict[bytes, GoodRow] = {}
        for row in rows:
            if row.key not in answers:
                first.setdefault(row.key, row)
        new, refused = dict[bytes, str](), dict[bytes, PromptkitError]()
        for row, made in self._each([*first.values()], size):
            if isinstance(made, PromptkitError):
                refused[row.key] = made
            else:
                new[row.key] = answer_text(made)
                self.tokens += made.tokens
        if refused and not new and not answers and not self.rows:
            raise next(iter(refused.values()))  # not of a row, but of all
        self.asked += len(new)
        self.known.put(new, chunk)
        # A run that was killed behind that, and before the part was written, had asked them here.
        own = sum(place == chunk for _, place in known.values()) + len(new)
        return answers | new, refused, own

    def _each(
        self, rows: Sequence[GoodRow], size: int
    ) -> Iterable[tuple[GoodRow, Prediction | PromptkitError]]:
        """Yield the prediction of each row, or why its prompt cannot be made.

        A prompt that cannot be made is found by halves, since it fails before any is asked.
        """
        if not rows:
            return
        try:
            made = self._predict([row.example for row in rows], size)
        except (PromptError, TemplateError, DataError) as error:
            middle = len(rows) // 2
            if not middle:
                yield rows[0], error
                return
            yield from self._each(rows[:middle], size)
            yield from self._each(rows[middle:], size)
            return
        if [one.id for one in made] != [row.example.id for row in rows]:
            name = self.predictor.identity.name
            raise TaskError(f"{name}: its predictions are not one for each query, in their order")
        yield from zip(rows, made, strict=True)

    def _predict(self, queries: Sequence[Example[Any, Any]], size: int) -> Sequence[Prediction]:
        if not isinstance(self.predictor, Predictor):
            return self.predictor.predict(queries)

        def tell(done: int, total: int) -> None:
            self._tell(size * done // total, done / total)

        asked = [apart(self.task, query) for query in queries]
        made = self.predictor.predict(asked, store=self.store, progress=tell)
        made = [replace(one, id=query.id) for one, query in zip(made, queries, strict=True)]
        for pool in {id(pool): pool for pool in map(self.task.pool_of, queries)}.values():
            forget(pool)  # or memory grows with the rows
        return made

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
                decoded=self.predictor.usage.decoded_tokens - self.decoded_before,
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
