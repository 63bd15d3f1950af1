"""The speed at which llama.cpp decodes with given weights and settings.

The work is that of scoring: full micro-batches behind a prefix that is there already, with a row
of logits now and then. It runs in a process of its own, since a damaged file can end it.

Other work on the machine makes a reading on the clock several times longer, and one candidate's
more than another's. So where the processor does all of the work, a reading counts the time that it
spent on it, divided by the threads: on an idle machine that is the time on the clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from promptkit.models.prepare.decision import is_settled, read_until_settled
from promptkit.models.prepare.isolated import run, serve
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.library import library
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.translation import tr

ROWS = 8
"""Tokens for each row of logits; few-shot grids have one for 2 to 30."""

SECONDS = 0.6
"""Seconds that one reading should take at the most, where the fewest tokens allow."""

SECONDS_FOR_BATCHES = 2.4
"""The same where micro-batches are compared, of which a reading should fill the largest."""

FEWEST, MOST = 64, 256
"""Tokens that one reading decodes; more where a micro-batch holds more."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """The speeds of some candidates."""

    tokens_per_second: tuple[float, ...]
    settled: bool
    """False where the machine was so busy that more readings might still have changed them."""


def speeds(trials: Sequence[tuple[Path, RuntimeSettings]]) -> Speeds:
    """Return the speed of each file and settings, measured in turns. Raises `FailedError`."""
    job = [{"path": str(path), "settings": asdict(settings)} for path, settings in trials]
    answer = json.loads(run("speed", json.dumps(job), seconds=900, doing=tr("measuring it")))
    return Speeds(tuple(answer["tokens_per_second"]), answer["settled"])


def main(job: str) -> str:
    """Return the answer to `speeds`, as JSON."""
    trials = [(one["path"], RuntimeSettings(**one["settings"])) for one in json.loads(job)]
    kinds = dict.fromkeys((path, settings.gpu_layers) for path, settings in trials)
    models = {kind: LoadedModel(Path(kind[0]), gpu_layers=kind[1]) for kind in kinds}
    batches = {settings.batch for _, settings in trials}
    # Some architectures know no places beyond those they were trained for.
    trained = min(model.trained_length for model in models.values())
    prefix = min(128, trained // 2)
    most = min(max(MOST, *batches), trained - prefix)
    contexts = [
        Context(models[path, settings.gpu_layers], length=prefix + most, settings=settings)
        for path, settings in trials
    ]
    watch = stopwatch([settings for _, settings in trials])
    for context in contexts:
        decode(context, 0, 0, prefix)  # which also brings the weights into memory
    count = min(FEWEST, most)
    seconds = max(read(context, prefix, count, watch) for context in contexts)
    longest = SECONDS_FOR_BATCHES if len(batches) > 1 else SECONDS
    while count < most and 2 * seconds <= longest:
        count, seconds = min(2 * count, most), 2 * seconds
    readings = read_until_settled(
        lambda index: read(contexts[index], prefix, count, watch),
        len(contexts),
        clock=perf_counter,
        limit=20,
    )
    found = [count / min(seconds) for seconds in readings]
    return json.dumps({"tokens_per_second": found, "settled": is_settled(readings)})


def stopwatch(settings: Sequence[RuntimeSettings]) -> Callable[[], float]:
    """Return the clock for readings with these settings."""
    threads = {one.threads for one in settings}
    if len(threads) > 1 or library().llama_supports_gpu_offload():
        return perf_counter
    (count,) = threads
    return lambda: process_time() / count


def read(context: Context, prefix: int, tokens: int, watch: Callable[[], float]) -> float:
    """Return the seconds that decoding so many tokens behind the prefix takes."""
    context.fork(0, 1)
    start = watch()
    decode(context, 1, prefix, prefix + tokens)
    seconds = watch() - start
    context.drop(1)
    return seconds


def decode(context: Context, sequence: int, start: int, end: int) -> None:
    limits = context.limits
    for first in range(start, end, limits.batch):
        places = np.arange(first, min(end, first + limits.batch), dtype=np.int32)
        tokens = 7919 * places % context.n_vocab
        rows = np.arange(ROWS - 1, len(places), ROWS, dtype=np.int32)[: limits.outputs]
        context.decode(tokens, places, np.full_like(places, sequence), rows)


if __name__ == "__main__":
    serve(main)
