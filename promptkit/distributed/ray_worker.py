"""What runs on the machines of a Ray cluster: a predictor in each actor, and the desk of the run.

An actor is given tickets by Ray Data. For each it takes a batch of rows from the desk, which is
on the machine of the run, and returns their answers.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import promptkit
from promptkit.bulk.bulk_asking import ChunkAnswers, Queries, RowAnswer, ask
from promptkit.calibration.frozen import load_frozen
from promptkit.errors import ModelError, PromptError, PromptkitError, TaskError
from promptkit.files.json_values import plain
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.frozen_file import SUFFIX, freeze
from promptkit.inference.prediction import Predictor
from promptkit.inference.store import Store
from promptkit.models.base import runs_otherwise
from promptkit.models.prepare.hardware import cores
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import tr

PATIENCE = 10.0
"""Seconds that an actor waits for a new batch, before it repeats one that is not answered."""

Batch = Sequence[dict[str, Any]]
"""Rows as they travel: records of plain values."""


@dataclass(frozen=True)
class SentPredictor:
    """A predictor as it travels to other processes."""

    frozen: bytes | None
    """The frozen predictor, without its model; None for one that travels as it is."""
    pickled: bytes | None
    """The predictor and the task of the rows."""
    identity: dict[str, Any]
    """Everything that decides the numbers of its model."""
    version: str = promptkit.__version__
    folders: tuple[str, ...] = ()
    """Where Python finds modules, in absolute paths."""
    gpu_layers: int = 0
    """Number of layers of its model that run on a GPU."""

    @classmethod
    def of(cls, predictor: AnyPredictor, task: Task[Any, Any]) -> SentPredictor:
        """Return the recipe of a predictor. Raises `TaskError` for one that cannot travel."""
        identity = dict(predictor.identity.key)
        if isinstance(predictor, Predictor) and (
            origin := getattr(predictor.model, "origin", None)
        ):
            layers = getattr(origin, "gpu_layers", 0)
            with TemporaryDirectory() as folder:
                file = freeze(predictor, Path(folder) / f"sent{SUFFIX}")
                return cls(file.read_bytes(), None, identity, gpu_layers=layers)
        from ray import cloudpickle

        try:
            pickled = cloudpickle.dumps((predictor, task))
        except Exception as error:  # whatever its parts raise
            name = predictor.identity.name
            raise TaskError(
                tr(
                    "{name}: this predictor cannot be sent to other processes ({error}); "
                    "predict without Ray",
                    name=name,
                    error=error,
                )
            ) from error
        folders = tuple(map(os.path.abspath, sys.path))
        return cls(None, pickled, identity, folders=folders)

    def made(self, threads: int | None) -> tuple[AnyPredictor, Task[Any, Any]]:
        """Return the predictor and its task. Raises `PromptkitError`, for another model too."""
        if self.version != promptkit.__version__:
            raise ModelError(
                tr(
                    "promptkit {version} is installed here, and the run is of {other}; "
                    "install the same everywhere",
                    version=promptkit.__version__,
                    other=self.version,
                )
            )
        if self.frozen is None:
            sys.path += [folder for folder in self.folders if folder not in sys.path]
            try:
                predictor, task = pickle.loads(self.pickled or b"")
            except (ImportError, AttributeError) as error:
                raise ModelError(
                    tr("{error}; the predictor's module must be here too", error=error)
                ) from error
            return predictor, task
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"sent{SUFFIX}"
            file.write_bytes(self.frozen)
            made = load_frozen(file, threads=threads, any_server=True)  # as the run does
        if changes := made.identity.changes(self.identity):
            raise ModelError(
                tr(
                    "{changes}; name the weights with --weights, and install the same "
                    "llama-cpp-python everywhere",
                    changes=runs_otherwise(changes),
                )
            )
        return made, made.task


def sent(queries: Queries) -> Batch:
    """Return rows as they travel."""
    return [
        {"id": one.id, "metadata": dict(one.metadata), "input": plain(one.input)} for one in queries
    ]


class Desk:
    """Batches that wait for an actor, and those that are not answered yet.

    An actor that waited in vain gets the batch that was given out longest ago once more: whoever
    had it may be dead, and its tasks may be repeated in another order, or never.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._waiting: deque[tuple[int, Batch]] = deque()
        self._given: dict[int, Batch] = {}
        self._changed, self._patience = asyncio.Condition(), patience

    async def put(self, number: int, batch: Batch) -> None:
        """Add a batch."""
        async with self._changed:
            self._waiting.append((number, batch))
            self._changed.notify()

    async def take(self) -> tuple[int, Batch]:
        """Return a batch and its number."""
        while True:
            try:
                return await asyncio.wait_for(self._next(), self._patience)
            except asyncio.TimeoutError:
                for number in self._given:
                    return self._handed(number, self._given.pop(number))

    async def forget(self, number: int) -> None:
        """Forget a batch that is answered."""
        self._given.pop(number, None)

    async def _next(self) -> tuple[int, Batch]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting)
            return self._handed(*self._waiting.popleft())

    def _handed(self, number: int, batch: Batch) -> tuple[int, Batch]:
        self._given[number] = batch  # the last of them
        return number, batch


class Asker:
    """The actor that holds the predictor; Ray Data restarts it where it dies."""

    def __init__(
        self, desk: Any, recipe: SentPredictor, store: Path | None, threads: int | None, each: int
    ) -> None:
        """Load the predictor; without `threads`, with the share of one of `each` actors here."""
        self._desk, self._store = desk, Store(store)
        if threads is None and each > 1:
            threads = max(1, cores() // each)
        self._failed: str | None = None
        try:
            self._predictor, task = recipe.made(threads)
        except PromptkitError as error:
            self._failed = _here(error)
            return
        self._problems: list[Any] = []
        self._parser = ExampleParser(*task.types(), self._problems)

    def __call__(self, tickets: Any) -> Any:
        """Return a table with the answers to a batch, as `answered` reads it."""
        import pyarrow
        import ray

        number, batch = ray.get(self._desk.take.remote())
        made = self._asked(batch) if self._failed is None else self._failed
        # An error as text, since not every exception survives the journey.
        column = pyarrow.array([pickle.dumps(made)], pyarrow.large_binary())
        return pyarrow.table({"number": [number], "made": column})

    def _asked(self, batch: Batch) -> ChunkAnswers | str:
        try:
            queries = [self._parser.parse(one) for one in batch]
            if self._problems:
                raise ModelError(
                    tr("rows are read differently here: {problems}", problems=self._problems[0])
                )
            made = ask(self._predictor, [one for one in queries if one], self._store)
        except PromptkitError as error:
            return _here(error)
        return replace(made, answers=[*map(_plain, made.answers)])


def answered(table: Any) -> tuple[int, ChunkAnswers]:
    """Return the number and the answers of a batch. Raises `ModelError`."""
    (row,) = table.to_pylist()
    made = pickle.loads(row["made"])
    if isinstance(made, str):
        raise ModelError(made)
    return row["number"], made


def _plain(answer: RowAnswer) -> RowAnswer:
    return replace(answer, error=PromptError(str(answer.error))) if answer.error else answer


def _here(error: PromptkitError) -> str:
    return tr(
        "on {host} (process {process}): {error}",
        host=socket.gethostname(),
        process=os.getpid(),
        error=error,
    )
