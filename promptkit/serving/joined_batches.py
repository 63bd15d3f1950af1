"""Requests that wait together are answered together, in one thread.

The thread takes of everything that waits, the same number of inputs of each request, so that a long
list delays others by one batch and not by all of its inputs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

from promptkit.errors import PromptkitError

MOST_INPUTS = 256
"""Number of inputs that are answered at once."""
LONGEST_PAUSE = 0.01
"""Seconds for which a batch waits for the clients of the last one."""

Ask = Callable[[Sequence[Any]], Sequence[Any]]


class JoinedBatch(NamedTuple):
    """A batch that was answered."""

    requests: int
    inputs: int
    seconds: float


class CrowdedError(Exception):
    """More inputs wait than may."""


class _Waiting:
    """A request, with the answers so far."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.inputs, self.answers = inputs, list[Any]()
        self.future: Future[list[Any]] = Future()

    def next(self, most: int) -> Sequence[Any]:
        return self.inputs[len(self.answers) : len(self.answers) + most]

    def add(self, answers: Sequence[Any]) -> None:
        self.answers += answers
        if len(self.answers) == len(self.inputs):
            self._end(lambda: self.future.set_result(self.answers))

    def fail(self, error: Exception) -> None:
        self._end(lambda: self.future.set_exception(error))

    def _end(self, how: Callable[[], None]) -> None:
        with suppress(Exception):  # it was cancelled meanwhile
            how()


class JoinedBatches:
    """Answers requests of many threads in one, the waiting ones together.

    Args:
        ask: A function from inputs to their answers, in order; only one thread calls it.
        waiting: The number of inputs that may wait.
        done: A function that is called with each batch.
    """

    def __init__(
        self,
        ask: Ask,
        waiting: int = 10_000,
        done: Callable[[JoinedBatch], None] = lambda batch: None,
    ) -> None:
        self._ask, self._most_waiting, self._done = ask, waiting, done
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._closed = False
        self._last = JoinedBatch(0, 0, 0.0)
        self._thread = threading.Thread(target=self._run, name="predictions", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of inputs without an answer."""
        with self._changed:
            return self._left()

    def submit(self, inputs: Sequence[Any]) -> Future[list[Any]]:
        """Return the answers to come; a future that is cancelled is answered no further.

        Raises:
            CrowdedError: Too many inputs wait.
        """
        one = _Waiting(inputs)
        with self._changed:
            if self._closed or self._left() + len(inputs) > self._most_waiting:
                raise CrowdedError
            self._waiting.append(one)
            self._changed.notify()
        return one.future

    def close(self, seconds: float | None = None) -> None:
        """Answer what waits, for some seconds at most, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _left(self) -> int:
        return sum(len(one.inputs) - len(one.answers) for one in self._waiting)

    def _run(self) -> None:
        while taken := self._take():
            share = max(1, MOST_INPUTS // len(taken))
            parts = [(one, one.next(share)) for one in taken]
            start = perf_counter()
            self._answer(parts)
            inputs = sum(len(part) for _, part in parts)
            self._last = JoinedBatch(len(taken), inputs, perf_counter() - start)
            self._done(self._last)

    def _take(self) -> list[_Waiting]:
        """Return the requests to answer next, of which none was cancelled; empty at the end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._last.requests > 1:  # their clients are about to ask again
                    pause = min(LONGEST_PAUSE, self._last.seconds / 10)
                    self._changed.wait_for(self._as_many_as_before, pause)
                self._waiting = [one for one in self._waiting if not one.future.done()]
                if self._waiting or self._closed:
                    return self._waiting[:MOST_INPUTS]

    def _as_many_as_before(self) -> bool:
        return self._closed or len(self._waiting) >= self._last.requests

    def _answer(self, parts: Sequence[tuple[_Waiting, Sequence[Any]]]) -> None:
        try:
            rest = iter(self._ask([one for _, part in parts for one in part]))
            for one, part in parts:
                one.add([next(rest) for _ in part])
        except Exception as error:
            if isinstance(error, PromptkitError) and len(parts) > 1:
                for each in parts:  # the input of one request is no reason to refuse others
                    self._answer([each])
            else:
                for one, _ in parts:
                    one.fail(error)
