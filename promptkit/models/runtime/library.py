"""llama.cpp itself: loaded on first use, its output sent to the log.

Everything that llama.cpp prints goes to the logger `promptkit.llama`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar

from promptkit.errors import escaped
from promptkit.models.runtime.access import lock_of_process

log = logging.getLogger("promptkit.llama")
log.addHandler(logging.NullHandler())

SPINS = "500"
"""The number of times that a waiting thread of llama.cpp looks again before it sleeps."""

_WARNING, _ERROR = 3, 4  # as ggml.h numbers them
# Its INFO lines are of interest to nobody but its developers, and so are most of its warnings.
_LEVELS = {_WARNING: logging.INFO, _ERROR: logging.WARNING}


class _Errors(threading.local):
    """The last error lines of each thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []


_last_errors = _Errors()

T = TypeVar("T")


_process = lock_of_process()


def library() -> Any:
    """Return the `llama_cpp` module, its backend initialised and its log taken over."""
    with _process:
        return _initialised()


@cache
def _initialised() -> Any:
    # Waiting threads of GNU's OpenMP spin for milliseconds. Where something else uses the cores,
    # they then hold the very core that the thread they wait for should have: all is far slower.
    unset = not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    if unset:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        import llama_cpp
    finally:
        if unset:
            del os.environ["GOMP_SPINCOUNT"]
    llama_cpp.llama_log_set(_callback(llama_cpp), ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    _initialised_in.append(os.getpid())
    return llama_cpp


_initialised_in: list[int] = []


@cache
def features() -> str:
    """Return llama.cpp's description of this processor, which it writes into memory it shares."""
    with _process:
        return str(library().llama_print_system_info().decode().strip(" |"))


def compute(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function of llama.cpp that computes; in a forked process, on a thread of its own.

    GNU's OpenMP keeps a team of threads for each thread that computes. A fork copies what it knows
    of the forking thread's team without the team, for which it would then wait for ever.
    """
    process = os.getpid()
    if process in _initialised_in:
        return function(*arguments)
    future = _computing(process).submit(_with_errors, function, arguments)
    try:
        result, _last_errors.lines = future.result()
        return result
    except BaseException:
        wait([future])  # what it computes with must stay
        raise


def _with_errors(function: Callable[..., T], arguments: Sequence[Any]) -> tuple[T, list[str]]:
    forget_errors()
    return function(*arguments), _last_errors.lines[:]


@cache
def _computing(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "promptkit-compute")


@cache
def _callback(llama_cpp: Any) -> Any:  # cached: the library keeps only a pointer to it
    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").rstrip()
        if level == _ERROR and line:
            _last_errors.lines.append(line)
            del _last_errors.lines[:-10]
        if line.strip("."):
            log.log(_LEVELS.get(level, logging.DEBUG), escaped(line))

    return write


def forget_errors() -> None:
    """Forget the error lines of this thread."""
    _last_errors.lines.clear()


def errors() -> str:
    """Return the error lines of llama.cpp in this thread since `forget_errors()`, shortened."""
    return "; ".join(line.split(": ", 1)[-1] for line in _last_errors.lines)


@contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Keep Ctrl-C, and a handler of SIGTERM, until llama.cpp returns; tell whether there was one.

    Raised while llama.cpp calls back, say to log a line, it would be lost.
    """
    noted: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        held = {}
    for number in held:
        signal.signal(number, lambda number, _frame: noted.append(number))
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if noted:
            signal.raise_signal(noted[0])


def runtime() -> str:
    """Return the library's name and version, as identities record it."""
    return f"llama-cpp-python {version('llama-cpp-python')}"


@cache
def merges_newlines() -> bool:
    """Return whether BPE may merge newlines; older versions of llama.cpp abort on that."""
    numbers = [int(part) for part in version("llama-cpp-python").split(".")[:3] if part.isdigit()]
    return numbers >= [0, 3, 36]
