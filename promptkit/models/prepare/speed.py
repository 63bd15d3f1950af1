"""How fast llama.cpp reads with given weights and settings.

The work is that of scoring: full micro-batches behind a prefix that is there already, with a row
of logits now and then. `python -m promptkit.models.prepare.speed JOB` does it, in a process of its
own, since a damaged file can end it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from promptkit.models.base import Usage
from promptkit.models.prepare.isolated import run, serve
from promptkit.models.runtime.context import Context, Settings
from promptkit.models.runtime.library import library, load

ROWS = 8
"""One row of logits for so many tokens; few-shot grids have one for 2 to 30."""

REPEATS = 3
LIMIT = 900
"""How many seconds it may take in all."""

SECONDS = 1.0
"""What one reading should take at the most, where the fewest tokens allow."""

FEWEST, MOST = 64, 512
"""Tokens that one reading has; a micro-batch as large as the most is full."""


def speeds(trials: Sequence[tuple[Path, Settings]]) -> list[float]:
    """Tokens a second for each model file and settings, measured in turns.

    Each is the fastest of some readings, since what else the machine does only slows them. Raises
    `FailedError`.
    """
    job = [{"path": str(path), "settings": asdict(settings)} for path, settings in trials]
    answer = run("speed", json.dumps(job), seconds=LIMIT, doing="measuring it")
    found: list[float] = json.loads(answer)
    return found


def main(job: str) -> str:
    """The answer to `speeds`, as JSON."""
    readers = _Readers()
    trials = [(one["path"], Settings(**one["settings"])) for one in json.loads(job)]
    tokens = MOST
    for path, settings in trials:
        tokens = min(tokens, readers.tokens_for(path, settings))
    contexts = [readers.open(path, settings, tokens) for path, settings in trials]
    best = [0.0] * len(trials)
    for repeat in range(REPEATS):
        # There and back again, so that none is always the one after the same other.
        turn = range(len(trials))
        for index in turn if repeat % 2 == 0 else reversed(turn):
            best[index] = max(best[index], tokens / _read(contexts[index], tokens))
    return json.dumps(best)


class _Readers:
    """Models that are loaded once, and contexts of theirs."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}

    def open(self, path: str, settings: Settings, tokens: int) -> Context:
        """A context that holds a prefix of so many tokens, with room for as many again."""
        context = self._context(path, settings, 2 * tokens)
        _decode(context, 0, 0, tokens)
        return context

    def tokens_for(self, path: str, settings: Settings) -> int:
        """How many tokens a reading should have."""
        context = self._context(path, settings, 2 * FEWEST)
        # Some architectures know no places beyond those they were trained for.
        trained: int = library().llama_model_n_ctx_train(self._models[path])
        most = min(MOST, trained // 2)
        count = min(FEWEST, most)
        _decode(context, 0, 0, count)  # which also brings the weights into memory
        seconds = _read(context, count)
        context.close()
        while 2 * count <= most and 2 * seconds <= SECONDS:
            count, seconds = 2 * count, 2 * seconds
        return count

    def _context(self, path: str, settings: Settings, length: int) -> Context:
        model = self._models.get(path) or self._models.setdefault(path, load(path))
        return Context(model, length=length, settings=settings, usage=Usage())


def _read(context: Context, tokens: int) -> float:
    """The seconds that reading so many tokens behind the prefix takes."""
    context.fork(0, 1)
    start = perf_counter()
    _decode(context, 1, tokens, 2 * tokens)
    seconds = perf_counter() - start
    context.drop(1)
    return seconds


def _decode(context: Context, sequence: int, start: int, end: int) -> None:
    limits = context.limits
    for first in range(start, end, limits.batch):
        places = np.arange(first, min(end, first + limits.batch), dtype=np.int32)
        tokens = 7919 * places % context.n_vocab
        rows = np.arange(ROWS - 1, len(places), ROWS, dtype=np.int32)[: limits.outputs]
        context.decode(tokens, places, np.full_like(places, sequence), rows)


if __name__ == "__main__":
    serve(main)
