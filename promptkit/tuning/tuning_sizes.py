"""Adapters that are trained on growing numbers of examples: the points of a learning curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.tasks.ranked_pool import Sized, ranked_pool, sized
from promptkit.tasks.task import Task
from promptkit.translation import tr
from promptkit.tuning.tune import check_extra, tune
from promptkit.tuning.tuned_adapter import TunedAdapter
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import TuningStep

TellSized = Callable[[int, int, Sized, TuningStep], None]
"""Called with the number of an adapter from 1, the number of all, what it is, and how far."""


def tune_sizes(
    task: Task[Any, Any],
    folder: str | Path,
    counts: Sequence[int],
    *,
    seeds: int = 1,
    options: TuningOptions = TuningOptions(),
    progress: TellSized = lambda *_: None,
    **how: Any,
) -> list[TunedAdapter]:
    """Train an adapter for each number of examples, and return them, the smallest first.

    The examples of one are among those of the next: all are the first ones of one ranking of the
    pool for each seed. Adapters that are in the folder already are kept, and one that was not
    finished goes on.

    Args:
        task: The task.
        folder: The folder of the adapters; the file of one is `FOLDER-COUNT.gguf`.
        counts: Numbers of examples, held-out ones included.
        seeds: Number of rankings, from the seed of the options on.
        options: Rank, epochs and the like.
        progress: A function that is called as it goes on.
        how: Further arguments of `tune`.

    Raises:
        TaskError: The pool has too few examples, or a file is of something else.
    """
    place = Path(folder)
    if place.suffix == ".gguf":
        raise TaskError(
            tr("{place}: several adapters are put into a folder; name one", place=place)
        )
    if reason := saving.unwritable(place):
        raise TaskError(f"{place}: {reason}")
    check_extra()
    ranked_pool(task, options.seed, max(counts))
    every = [*sized(counts, range(options.seed, options.seed + seeds))]
    made = []
    for number, one in enumerate(every, 1):

        def told(step: TuningStep, number: int = number, one: Sized = one) -> None:
            progress(number, len(every), one, step)

        own = replace(options, examples=one.rows, seed=one.seed)
        out = place / f"{one.name(place)}.gguf"
        made.append(tune(task, out, options=own, progress=told, **how))
    return made
