"""Cost of a bulk prediction, estimated from a sample of its rows."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

from promptkit.bulk.bulk_inputs import Inputs, input_stream
from promptkit.bulk.bulk_rows import GoodRow, RowKeys, RowParser, answer_text, row_text
from promptkit.bulk.bulk_run import CHUNK_ROWS
from promptkit.errors import DataError, PromptError, TemplateError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task
from promptkit.text import about, counted, percent
from promptkit.translation import tr

SAMPLE = 256
"""Number of rows that are drawn to be measured."""
_SECONDS = 10.0  # no larger part of the sample is asked after that
_FIRST = 16  # rows of the first part, each of whose successors has twice as many
_SKETCH = 4096  # smallest digests that are kept, from which the number of distinct rows follows


@dataclass(frozen=True, slots=True)
class BulkEstimate:
    """Cost of a bulk prediction; all but the numbers of rows are estimates."""

    rows: int
    """Number of rows that fit."""
    rejects: int
    """Number of rows that do not fit."""
    distinct: int
    """Number of rows that are asked; the others equal one of them."""
    tokens: int
    """Number of tokens to decode."""
    naive_tokens: int
    """Number of tokens of all prompts, each read by itself."""
    seconds: float
    disk: int
    """Bytes of the output, its parts, and the prediction store, before the parts are deleted."""
    measured: int
    """Number of rows that the time was measured on."""

    def __str__(self) -> str:
        lines = [
            tr(
                "Rows: {rows:,}, about {distinct} of them distinct",
                rows=self.rows,
                distinct=about(self.distinct),
            )
        ]
        if self.rejects:
            lines.append(tr("Rejects: {rejects:,}", rejects=self.rejects))
        if self.naive_tokens:
            saved = percent(1 - self.tokens / self.naive_tokens)
            lines.append(
                tr(
                    "Tokens: about {tokens} to decode; {naive} without prefix sharing and "
                    "equal rows ({saved} saved)",
                    tokens=about(self.tokens),
                    naive=about(self.naive_tokens),
                    saved=saved,
                )
            )
        lines += [
            tr(
                "Time: about {duration}, from {rows} measured now; what the prediction "
                "store has already takes none",
                duration=_duration(self.seconds),
                rows=counted(self.measured, "row", "rows"),
            ),
            tr(
                "Disk: about {size} MB while it runs",
                size=about(round(self.disk / 1000000.0) or 1),
            ),
        ]
        return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(round(seconds), 1)} s"
    return (
        tr("{minutes:.0f} min", minutes=seconds / 60)
        if seconds < 7200
        else tr("{hours:.1f} h", hours=seconds / 3600)
    )


def estimate(
    predictor: AnyPredictor,
    inputs: Inputs,
    *,
    task: Task[Any, Any],
    columns: Columns | None = None,
    limit: int | None = None,
    normalise: bool = True,
    shards: int = 1,
) -> BulkEstimate:
    """Return what the prediction of some rows costs; all are read, and a sample is asked.

    Args:
        predictor: The predictor.
        inputs: Rows as `promptkit.predict` takes them.
        task: The task of the rows.
        columns: The columns of input fields and of `id`, where they have other names.
        limit: The number of rows to read at the most.
        normalise: Whether rows are asked once that are equal after normalisation.
        shards: The number of shards, one of which is estimated.

    Raises:
        TaskError: The input cannot be used.
        PromptError: No prompt can be made.
    """
    keys = RowKeys.for_predictor(predictor, task, normalise=normalise)
    parser = RowParser(task, input_stream(inputs), columns, keys)
    good = bad = 0
    sketch, sample, draw = _Sketch(), list[GoodRow](), Random(0)
    with closing(parser.rows()) as rows:
        for line, row in islice(rows, limit):
            parsed = parser.parse(line, row)
            if not isinstance(parsed, GoodRow):
                bad += 1
                continue
            good += 1
            sketch.add(parsed.key)
            place = draw.randrange(good)  # each row is in the sample with the same probability
            if len(sample) < SAMPLE:
                sample.append(parsed)
            elif place < SAMPLE:
                sample[place] = parsed
    Random(1).shuffle(sample)
    cost = _measured(predictor, task, [*{row.key: row for row in sample}.values()])
    share = good / shards
    distinct = min(sketch.count, good) / shards
    chunks = share / CHUNK_ROWS
    tokens = cost.fixed * chunks + cost.decoded * distinct
    return BulkEstimate(
        rows=round(share),
        rejects=round(bad / shards),
        distinct=round(distinct),
        tokens=round(tokens),
        naive_tokens=round(cost.prompt * share),
        seconds=cost.seconds * tokens if tokens else cost.seconds_each * distinct,
        disk=round(2 * cost.row_bytes * share + 3 * cost.answer_bytes * distinct),
        measured=cost.rows,
    )


class _Cost(NamedTuple):
    """Cost of sampled rows, as means of a row."""

    rows: int = 0
    fixed: float = 0.0
    """Tokens that are decoded once for a chunk, such as those of the shots."""
    decoded: float = 0.0
    prompt: float = 0.0
    seconds: float = 0.0
    """Time of a decoded token."""
    seconds_each: float = 0.0
    row_bytes: float = 0.0
    answer_bytes: float = 0.0


def _measured(predictor: AnyPredictor, task: Task[Any, Any], sample: Sequence[GoodRow]) -> _Cost:
    """Return the cost of rows, asked in growing parts until that took long enough."""
    begun, start, size = perf_counter(), 0, _FIRST
    parts: list[tuple[int, int]] = []
    cost = _Cost()
    while start < len(sample) and perf_counter() - begun < _SECONDS:
        rows = _askable(predictor, sample[start : start + size])
        tokens, since = predictor.usage.decoded_tokens, perf_counter()
        made = predictor.predict([row.example for row in rows])
        seconds = perf_counter() - since
        decoded = predictor.usage.decoded_tokens - tokens
        start, size = start + size, size * 2
        if not rows:
            continue
        parts.append((len(rows), decoded))
        answers = [answer_text(one) for one in made]
        lines = [row_text(task, row, one) for row, one in zip(rows, answers, strict=True)]
        cost = _Cost(
            cost.rows + len(rows),
            *_fit(parts),
            sum(one.tokens for one in made) / len(rows),
            seconds / decoded if decoded else 0.0,
            seconds / len(rows),
            sum(len(line.encode("utf-8", "backslashreplace")) for line in lines) / len(rows),
            sum(map(len, answers)) / len(rows),
        )
    return cost


def _fit(parts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the tokens of a part and those of a row, by the first and the largest part."""
    (few, one), (many, other) = parts[0], max(parts)
    each = (other - one) / (many - few) if many > few else 0.0
    if not 0 < each * many <= other:
        return 0.0, other / many
    return other - each * many, each


def _askable(predictor: AnyPredictor, rows: Sequence[GoodRow]) -> Sequence[GoodRow]:
    """Return the rows whose prompts can be made; raises where that is none of them."""
    tokenize = getattr(predictor, "tokenize", None)
    if tokenize is None:
        return rows
    kept, refused = [], None
    for row in rows:
        try:
            tokenize([row.example])
            kept.append(row)
        except (PromptError, TemplateError, DataError) as error:
            refused = error
    if refused is not None and not kept:
        raise refused
    return kept


class _Sketch:
    """Number of distinct digests, from the smallest of them, to about 2 %."""

    def __init__(self) -> None:
        self._largest_first: list[int] = []
        self._kept: set[int] = set()

    def add(self, digest: bytes) -> None:
        """Count a digest."""
        value = int.from_bytes(digest[:8], "big")
        if value in self._kept:
            return
        if len(self._kept) < _SKETCH:
            heapq.heappush(self._largest_first, -value)
            self._kept.add(value)
        elif value < -self._largest_first[0]:
            self._kept.remove(-heapq.heappushpop(self._largest_first, -value))
            self._kept.add(value)

    @property
    def count(self) -> int:
        """Return the number of distinct digests, which is exact while it is small."""
        if len(self._kept) < _SKETCH:
            return len(self._kept)
        return round((_SKETCH - 1) * 2**64 / -self._largest_first[0])
