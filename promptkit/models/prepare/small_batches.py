"""The time that flash attention takes for a batch of few tokens behind many.

On a processor, llama.cpp multiplies matrices where a batch has at least `TILE` tokens, and computes
the attention of one token after the other where it has fewer: behind a long prefix that may take
three times as long as a whole tile. It is measured, since other versions may do it in another way.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from promptkit.models.prepare.decision import read_until_settled
from promptkit.models.prepare.isolated import run, serve
from promptkit.models.prepare.speed import decode, read, stopwatch
from promptkit.models.runtime.context import TILE, Context, RuntimeSettings
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.translation import tr

PREFIX, FEW = 512, 16
"""Tokens of the prefix, and of the small batch behind it."""


def cells_per_token(path: Path, settings: RuntimeSettings) -> int:
    """Return `RuntimeSettings.fill` of a file with these settings. Raises `FailedError`."""
    job = json.dumps({"path": str(path), "settings": asdict(settings)})
    return int(run("small_batches", job, seconds=900, doing=tr("measuring small batches")))


def fill_of(few: float, tile: float, prefix: int) -> int:
    """Return the cells whose attention takes as long as another token; 0 where that is no time.

    Args:
        few: The seconds that a batch of `FEW` tokens took behind the prefix.
        tile: The seconds that a batch of `TILE` tokens took.
        prefix: The tokens of the prefix.

    Example:
        >>> fill_of(few=0.183, tile=0.183, prefix=505)
        168
        >>> fill_of(few=0.045, tile=0.183, prefix=505)
        0
    """
    token = tile / TILE
    cells = (few / FEW - token) / prefix
    return round(token / cells) if cells > 0 else 0


def main(job: str) -> str:
    """Return the answer to `cells_per_token`."""
    what = json.loads(job)
    settings = RuntimeSettings(**what["settings"])
    model = LoadedModel(Path(what["path"]), gpu_layers=settings.gpu_layers)
    prefix = min(PREFIX, model.trained_length - TILE)
    if prefix < TILE or settings.batch < TILE:
        return "0"
    context = Context(model, length=prefix + TILE, settings=settings)
    watch = stopwatch([settings])
    decode(context, 0, 0, prefix)
    few, tile = read_until_settled(
        lambda index: read(context, prefix, (FEW, TILE)[index], watch),
        2,
        clock=perf_counter,
        limit=10,
    )
    return str(fill_of(min(few), min(tile), prefix))


if __name__ == "__main__":
    serve(main)
