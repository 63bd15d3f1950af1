"""Costs of a process: every call of `llama_decode` counted and timed, and the peak memory.

The same meter is laid on all contestants, so that none reports on itself.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from dataclasses import dataclass
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    """Costs of a piece of work."""

    seconds: float
    decode_seconds: float
    """The part of it inside `llama_decode`."""
    calls: int
    """Calls of `llama_decode`."""
    tokens: int
    """Tokens that it read."""
    rows: int
    """Tokens whose logits were asked for."""


class Meter:
    """Watches `llama_decode` from its making to the end of the process.

    The CPU backend has done its work when `llama_decode` returns, so its time is all there is.
    """

    def __init__(self) -> None:
        import llama_cpp
        from llama_cpp import llama_cpp as bindings

        plain = bindings.llama_decode

        def llama_decode(context: Any, batch: Any) -> int:
            start = perf_counter()
            code: int = plain(context, batch)
            self._decode_seconds += perf_counter() - start
            self._calls += 1
            self._tokens += batch.n_tokens
            wanted = ctypes.string_at(batch.logits, batch.n_tokens) if batch.logits else b"\1"
            self._rows += len(wanted) - wanted.count(0)
            return code

        llama_cpp.llama_decode = bindings.llama_decode = llama_decode
        self.start()

    def start(self) -> None:
        """Sets everything to nothing."""
        self._calls = self._tokens = self._rows = 0
        self._decode_seconds = 0.0
        self._started = perf_counter()

    def stop(self) -> Taken:
        """Return the costs since the start."""
        seconds = perf_counter() - self._started
        return Taken(seconds, self._decode_seconds, self._calls, self._tokens, self._rows)


def peak_mb() -> float:
    """The largest resident memory of this process so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
