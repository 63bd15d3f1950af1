"""Runs of a model that take turns with those of other threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TypeVar

from promptkit.models.runtime.access import Access

T = TypeVar("T")

Batches = Iterator[list[tuple[int, T]]]
"""After each batch, the places of what it completed, with their results."""


def in_turns(
    access: Access,
    count: int,
    begin: Callable[[Sequence[int]], Batches[T]],
    after: Callable[[Batches[T]], list[tuple[int, T]] | None],
    *,
    alone: bool,
) -> Iterator[tuple[int, T, float]]:
    """Yield (index, result, seconds) as results are made, with their share of the time.

    Where another run on this model comes between, what is left begins anew.

    Args:
        access: The right to use the model.
        count: The number of prompts.
        begin: Called with the indices of prompts; returns their batches.
        after: Called with batches; returns what the next one completed, None after the last.
        alone: Begin with one prompt at a time.
    """
    left = dict.fromkeys(range(count))
    run, seconds = object(), 0.0
    batches: Batches[T] | None = None
    try:
        while left:
            with access.turn(run) as continues:
                start = perf_counter()
                if batches is None or not continues:
                    indices = list(left)[: 1 if alone else None]
                    batches = begin(indices)
                done = after(batches)
                seconds += perf_counter() - start
            if done is None:
                batches = None
            elif done:
                share, seconds = seconds / len(done), 0.0
                for item, result in done:
                    del left[indices[item]]
                    yield indices[item], result, share
                    access.check()
    finally:
        access.end(run)
