"""Access to a loaded model: from one thread at a time, in the process that loaded it.

A llama.cpp context has one state. Batches of two threads that interleave in it end the process, and
a forked child of a process that has used it waits for ever for threads that were not forked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, RLock, get_ident
from time import monotonic
from typing import NoReturn

from promptkit.errors import ModelError
from promptkit.translation import tr

IDLE_SECONDS = 1.0
"""Seconds for which an idle run, whose next result nobody asks for, keeps other threads waiting."""


def lock_of_process() -> RLock:
    """Return a lock for state of the whole process; a forked child never finds it held."""
    lock = RLock()
    if hasattr(os, "register_at_fork"):
        release = lock.release
        os.register_at_fork(before=lock.acquire, after_in_parent=release, after_in_child=release)
    return lock


class Access:
    """The right to use a model: one thread at a time, and its memory freed after the last use."""

    def __init__(self, name: str, free: Callable[[], None], *, forks: bool = True) -> None:
        """`name` is for messages; `free` releases the model's memory and is called once at most.

        `forks` says whether a model that is loaded and not yet used survives a fork.
        """
        self._name, self._free = name, free
        self._closed, self._used = False, not forks
        self._begin_in_process()

    def _begin_in_process(self) -> None:
        self._process = os.getpid()
        self._changed = Condition(RLock())
        self._users: dict[object, int] = {}  # threads that are inside llama.cpp, or about to be
        self._step: object = None  # the one of these that has the context
        self._run: object = None  # whose turn it is
        self._run_thread, self._run_since = 0, 0.0
        self._latest: object = None  # whose state the context holds
        self.lock = RLock()
        """A lock for work that changes the model's caches in Python, such as tokenizing."""

    def check(self) -> None:
        """Raise `ModelError` for a closed model, or one used in the process that forked this."""
        if self._closed:
            raise ModelError(tr("the model {name} is closed", name=self._name))
        if self._process != os.getpid():
            if self._used:
                raise ModelError(
                    tr(
                        "the model {name} was loaded in another process ({process}) and cannot be "
                        "used in a fork of it; load it in this process, or start processes with "
                        "the method 'spawn'",
                        name=self._name,
                        process=self._process,
                    )
                )
            self._begin_in_process()  # nothing of it ran before the fork
        self._used = True

    def refuse_pickling(self) -> NoReturn:
        """Raise `ModelError` where a model is about to be sent to another process."""
        raise ModelError(
            tr(
                "the model {name} cannot be pickled; load it in the process that uses it",
                name=self._name,
            )
        )

    @contextmanager
    def use(self) -> Iterator[None]:
        """Keep the model from being freed meanwhile. Raises `ModelError` like `check`."""
        self.check()
        user = object()
        try:
            with self._changed:
                self.check()
                self._users[user] = get_ident()
            yield
        finally:
            self._leave(user)

    @contextmanager
    def turn(self, run: object) -> Iterator[bool]:
        """Have the context to oneself for a step of `run`, once other threads' runs are over.

        Yields whether the context still holds the state of this run. Another run of the same thread
        may come between two steps, and so may one of another thread where this one stands idle.
        Raises `ModelError` like `check`.
        """
        self.check()
        user = object()
        try:
            with self._changed:
                while not self._is_free_for(run):
                    self._changed.wait(IDLE_SECONDS)
                self.check()
                self._users[user] = self._run_thread = get_ident()
                self._run, self._step = run, user
                continues, self._latest = self._latest is run, run
            yield continues
        finally:
            self._leave(user)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the context to oneself for a run of one step. Raises `ModelError` like `check`."""
        run = object()
        try:
            with self.turn(run):
                yield
        finally:
            self.end(run)

    def end(self, run: object) -> None:
        """Let others have the context; harmless where `run` has not got it."""
        if self._process == os.getpid():
            with self._changed:
                if self._run is run:
                    self._run = None
                    self._changed.notify_all()

    def close(self) -> None:
        """Free the model, as soon as no thread is inside llama.cpp; in a forked child, not at all.

        Runs of other threads end with a `ModelError` after the batch that they are reading.
        """
        if self._process != os.getpid():
            if self._used:
                self._closed = True
                return
            self._begin_in_process()
        with self._changed:
            self._closed = True
            while any(thread != get_ident() for thread in self._users.values()):
                self._changed.wait()
            self._free_unused()

    def _is_free_for(self, run: object) -> bool:
        mine = self._run_thread == get_ident()
        if self._step is not None and mine:  # a signal's handler, or a callback of llama.cpp
            raise ModelError(tr("the model {name} is in use by this very thread", name=self._name))
        if self._step is not None or self._closed:
            return self._closed  # which `check` reports
        if self._run is None or self._run is run or mine:
            return True
        return monotonic() - self._run_since > IDLE_SECONDS

    def _leave(self, user: object) -> None:
        with self._changed:
            if self._step is user:
                self._step, self._run_since = None, monotonic()
            self._users.pop(user, None)
            if self._closed:
                self._free_unused()
            self._changed.notify_all()

    def _free_unused(self) -> None:
        if not self._users:
            free, self._free = self._free, lambda: None
            free()
