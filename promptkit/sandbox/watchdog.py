"""Limits of time and memory for any work on untrusted input.

A daemon thread checks the running work ten times a second and raises an exception in the thread
of work that is over its limits. It ends after two idle seconds. No signal handler is changed, so
it works in any thread of a server or a notebook. An exception cannot interrupt a single call of C
code, which is why callers also bound the sizes that such calls see (`promptkit.sandbox.limits`).
Nor is it raised while the garbage collector works in that thread (a callback notes that) or runs
a finalizer: Python would only print it there, and stop the cleaning up, which is not the work's
own, half-way.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from jinja2.exceptions import SecurityError

from promptkit.translation import tr

MAX_SECONDS = 60.0
"""Processor time of the thread; wall-clock time where a thread's cannot be read (macOS)."""

MAX_BYTES = 4 * 2**30
"""Growth of the process's memory, without mapped files."""

_TICK = 0.1  # seconds
_WEAK = {of.__init__.__code__.co_filename for of in (weakref.finalize, weakref.WeakSet)}
"""Files of the code that runs finalizers and removes dead objects from weak collections."""
_IDLE_TICKS = 20

_Result = TypeVar("_Result")


class _Overrun(BaseException):
    """Exception raised in the watched thread; a `BaseException`, so that no handler catches it."""

    @property
    def reason(self) -> str:
        """The reason, in the language in use."""
        raise NotImplementedError


class _OverTime(_Overrun):
    @property
    def reason(self) -> str:
        return tr("the template takes more than {seconds:.0f} seconds", seconds=MAX_SECONDS)


class _OverMemory(_Overrun):
    @property
    def reason(self) -> str:
        return tr("the template takes more than {size} GB of memory", size=MAX_BYTES >> 30)


class _Work:
    """Running work, with the time and memory used when the watchdog first saw it."""

    __slots__ = ("bytes", "overran", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.bytes: int | None = None
        self.overran = False


_running: dict[int, _Work] = {}  # by thread
_collecting: set[int] = set()  # threads in which the garbage collector runs
_lock = threading.Lock()
_thread: threading.Thread | None = None


def watched(work: Callable[[], _Result]) -> _Result:
    """Return the result of `work`, within `MAX_SECONDS` and `MAX_BYTES`.

    Work inside of watched work is part of it.

    Raises:
        SecurityError: The work was over a limit; its traceback ends where it was interrupted.
    """
    thread = threading.get_ident()
    if thread in _running:
        return work()
    _running[thread] = _Work()
    if _thread is None:
        _start()
    try:
        try:
            return work()
        finally:
            _leave(thread)
    except _Overrun as error:
        first: BaseException = error
        while isinstance(first.__context__, _Overrun):  # it is raised until the work has ended
            first = first.__context__
        raise SecurityError(error.reason).with_traceback(first.__traceback__) from None


def _leave(thread: int) -> None:
    """Stop watching a thread, and cancel an exception that has not reached it yet."""
    while True:
        try:
            with _lock:
                work = _running.pop(thread, None)
                if work is not None and work.overran:
                    _raise_in(thread, None)
            return
        except _Overrun:  # which reached it here: the work itself has ended
            continue


def _start() -> None:
    global _thread
    with _lock:
        if _note_collection not in gc.callbacks:
            gc.callbacks.append(_note_collection)
        if _thread is None:
            _thread = threading.Thread(target=_watch, name="promptkit-watchdog", daemon=True)
            _thread.start()


def _note_collection(phase: str, _: object) -> None:
    """Note where the collector runs, which no frame tells while it runs code in C."""
    (_collecting.add if phase == "start" else _collecting.discard)(threading.get_ident())


def _watch() -> None:
    global _thread
    idle = 0
    while True:
        time.sleep(_TICK)
        idle = 0 if _running else idle + 1
        for thread, work in list(_running.items()):
            with _lock:
                if _running.get(thread) is work:  # so the thread is alive, until it has the lock
                    _look_at(thread, work)
        if idle >= _IDLE_TICKS:
            with _lock:
                _thread = None
            if not _running:  # work that begins from here on starts a new watchdog
                return
            with _lock:
                if _thread is not None:
                    return
                _thread = threading.current_thread()


def _look_at(thread: int, work: _Work) -> None:
    seconds = _seconds(thread)
    if work.seconds is None:  # most work is never seen twice, and costs no more than this
        work.seconds = seconds
        return
    used = _bytes()
    if work.bytes is None:
        work.bytes = used
    over_time, over_memory = seconds - work.seconds > MAX_SECONDS, used - work.bytes > MAX_BYTES
    if (over_time or over_memory) and not _collects_garbage(thread):
        work.overran = True
        _raise_in(thread, _OverTime if over_time else _OverMemory)


def _collects_garbage(thread: int) -> bool:
    """Return whether the thread runs the collector, a finalizer or a callback of it just now."""
    if thread in _collecting:
        return True
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename in _WEAK or code in callbacks:
            return True
        frame = frame.f_back
    return False


def _seconds(thread: int) -> float:
    if hasattr(time, "pthread_getcpuclockid"):
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    return time.monotonic()


def _bytes() -> int:
    import psutil  # only where work takes long

    memory: Any = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _raise_in(thread: int, error: type[_Overrun] | None) -> None:
    raised = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


def _forget() -> None:
    """Reset the state in a forked child, where the parent's watchdog does not run."""
    global _thread, _lock
    _thread, _lock = None, threading.Lock()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
