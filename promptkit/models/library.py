"""llama.cpp itself: loaded where it is first needed, its output sent to the log.

Everything that llama.cpp prints goes to the logger `promptkit.llama`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from promptkit.errors import ModelError

log = logging.getLogger("promptkit.llama")
log.addHandler(logging.NullHandler())

SPINS = "500"
"""How often a waiting thread of llama.cpp looks again before it sleeps."""

_WARNING, _ERROR = 3, 4  # as ggml.h numbers them
# Its INFO lines are of interest to nobody but its developers, and so are most of its warnings.
_LEVELS = {_WARNING: logging.INFO, _ERROR: logging.WARNING}
_last_errors: list[str] = []


@cache
def library() -> Any:
    """The `llama_cpp` module, its backend initialised and its log taken over."""
    with _short_waits():
        import llama_cpp

    llama_cpp.llama_log_set(_callback(llama_cpp), ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    return llama_cpp


@contextmanager
def _short_waits() -> Iterator[None]:
    """Has threads of the OpenMP library that is loaded meanwhile sleep soon when they wait.

    GNU's lets them spin for milliseconds. Where something else uses the cores, they then hold the
    very core that the thread they wait for should have, and all is many times slower.
    """
    if os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        yield  # as the user wants it
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


@cache
def _callback(llama_cpp: Any) -> Any:  # cached: the library keeps only a pointer to it
    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").rstrip()
        if level == _ERROR and line:
            _last_errors.append(line)
            del _last_errors[:-10]
        if line.strip("."):
            log.log(_LEVELS.get(level, logging.DEBUG), line)

    return write


def load(path: str) -> Any:
    """llama.cpp's pointer to the model in a file. Raises `ModelError`.

    For processes of our own, since a damaged file can end the one that loads it.
    """
    lib = library()
    model = lib.llama_model_load_from_file(os.fsencode(path), lib.llama_model_default_params())
    if not model:
        raise ModelError(f"llama.cpp cannot load it: {errors() or 'no reason given'}")
    return model


def forget_errors() -> None:
    """Begins anew with `errors()`."""
    _last_errors.clear()


def errors() -> str:
    """The error lines llama.cpp wrote since `forget_errors()`, shortest way to a reason."""
    return "; ".join(line.split(": ", 1)[-1] for line in _last_errors)


@contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Keeps Ctrl-C until llama.cpp returns; tells whether there was one.

    Raised while llama.cpp calls back, say to log a line, it would be lost.
    """
    noted: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda number, _frame: noted.append(number))
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
        if noted:
            signal.raise_signal(signal.SIGINT)


def runtime() -> str:
    """The library's name and version, as identities record it."""
    return f"llama-cpp-python {version('llama-cpp-python')}"


@cache
def merges_newlines() -> bool:
    """Whether BPE may merge newlines; llama.cpp asserted once that it never does."""
    numbers = [int(part) for part in version("llama-cpp-python").split(".")[:3] if part.isdigit()]
    return numbers >= [0, 3, 36]
