"""Answers to the rows of a chunk, here or wherever else workers ask a predictor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from promptkit.bulk.bulk_rows import answer_text
from promptkit.errors import DataError, PromptError, PromptkitError, TaskError, TemplateError
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor, apart
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.selection.draw import forget
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr

Queries = Sequence[Example[Any, Any]]
"""Rows that are asked together."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What a row is answered."""

    text: str
    """The answer in JSON, as `answer_text` writes it; empty after an error."""
    tokens: int = 0
    """Number of tokens of its prompt."""
    error: PromptkitError | None = None
    """Why its prompt cannot be made."""


@dataclass(frozen=True, slots=True)
class ChunkAnswers:
    """Answers to rows that were asked together, in their order."""

    answers: Sequence[RowAnswer]
    decoded: int
    """Number of tokens that were decoded for them."""


class Workers(Protocol):
    """Processes that ask a predictor, such as `promptkit.RayWorkers`."""

    def asked(
        self,
        predictor: AnyPredictor,
        task: Task[Any, Any],
        batches: Iterator[Queries],
        store: Path | None,
        /,
    ) -> Iterator[ChunkAnswers]:
        """Yield the answers to each batch, in the order of the batches.

        Only some batches are taken ahead of those that are answered.
        """


def ask(
    predictor: AnyPredictor, queries: Queries, store: Store, progress: Progress | None = None
) -> ChunkAnswers:
    """Return the answers of a predictor to queries, some of which may have no prompt.

    Raises `PromptkitError` for what is wrong with the predictor, not with a query.
    """
    before = predictor.usage.decoded_tokens
    answers = [*_each(predictor, queries, store, progress)]
    return ChunkAnswers(answers, predictor.usage.decoded_tokens - before)


def _each(
    predictor: AnyPredictor, queries: Queries, store: Store, progress: Progress | None
) -> Iterable[RowAnswer]:
    """Yield the answer to each query.

    A prompt that cannot be made is found by halves, since it fails before any is asked.
    """
    if not queries:
        return
    try:
        made = _predict(predictor, queries, store, progress)
    except (PromptError, TemplateError, DataError) as error:
        middle = len(queries) // 2
        if not middle:
            yield RowAnswer("", error=error)
            return
        yield from _each(predictor, queries[:middle], store, progress)
        yield from _each(predictor, queries[middle:], store, progress)
        return
    if [one.id for one in made] != [query.id for query in queries]:
        name = predictor.identity.name
        raise TaskError(
            tr("{name}: its predictions are not one for each query, in their order", name=name)
        )
    yield from (RowAnswer(answer_text(one), one.tokens) for one in made)


def _predict(
    predictor: AnyPredictor, queries: Queries, store: Store, progress: Progress | None
) -> Sequence[Prediction]:
    if not isinstance(predictor, Predictor):
        return predictor.predict(queries)
    asked = [apart(predictor.task, query) for query in queries]
    made = predictor.predict(asked, store=store, progress=progress)
    made = [replace(one, id=query.id) for one, query in zip(made, queries, strict=True)]
    for pool in {id(pool): pool for pool in map(predictor.task.pool_of, queries)}.values():
        forget(pool)  # or memory grows with the rows
    return made
