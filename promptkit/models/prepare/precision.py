"""Distances between a model's log-probabilities under different weights and settings.

They are measured in a process of its own, since a damaged file can end it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from promptkit.errors import ModelError
from promptkit.models.gguf.header import read_header
from promptkit.models.planning.branches import Ints
from promptkit.models.planning.executor import Logits, log_totals
from promptkit.models.prepare.isolated import run, serve
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.translation import tr

TEXTS = (
    "Name the family of each fruit.\n\npeach: drupe\napple: pome\nlemon: citrus\nplum: drupe\n",
    "Review: A warm, funny and beautifully acted film.\n"
    "Sentiment: positive\n"
    "\n"
    "Review: Two hours of my life that I will not get back.\n"
    "Sentiment: negative\n",
    "The capital of France is Paris, and 12 + 30 = 42. In 1969, people first walked on the Moon.",
)

LIKELIEST = 10
"""Next tokens that are compared at each place, the likeliest by the first file."""


def distances(trials: Sequence[tuple[Path, RuntimeSettings]]) -> list[float | None]:
    """Return, for each file and settings, the distance from the first, in nats.

    It is the mean absolute difference of the log-probabilities of the likeliest next tokens at
    every place of some short texts; None where numbers are not finite, or llama.cpp cannot run the
    file so. Raises `FailedError` where the process fails.
    """
    job = [{"path": str(path), "settings": asdict(settings)} for path, settings in trials]
    answer = run("precision", json.dumps(job), seconds=900, doing=tr("checking its precision"))
    found: list[float | None] = json.loads(answer)
    return found


def main(job: str) -> str:
    """Return the answer to `distances`, as JSON."""
    trials = [(one["path"], RuntimeSettings(**one["settings"])) for one in json.loads(job)]
    first = _logprobs(*trials[0])
    likeliest = np.argpartition(first, -LIKELIEST, axis=1)[:, -LIKELIEST:]
    known = np.take_along_axis(first, likeliest, axis=1)
    found: list[float | None] = [0.0]
    for path, settings in trials[1:]:
        try:
            others = np.take_along_axis(_logprobs(path, settings), likeliest, axis=1)
        except ModelError:
            found.append(None)
        else:
            found.append(float(np.abs(others - known).mean()))
    return json.dumps(found)


def _logprobs(file: str, settings: RuntimeSettings) -> Logits:
    """Return the log-probabilities after every token of the texts, (tokens, vocabulary)."""
    model = LoadedModel(Path(file))
    vocabulary = Vocabulary(model, read_header(file))
    most = model.context_length(None, 128)
    context = Context(model, length=most, settings=settings)
    found: list[Logits] = []
    for text in TEXTS:
        begin = [] if vocabulary.bos is None else [vocabulary.bos]
        tokens = np.array([*begin, *vocabulary.plain(text)][:most], np.int32)
        found += _read(context, tokens)
        context.drop(0)
    model.access.close()
    return np.concatenate(found)


def _read(context: Context, tokens: Ints) -> Iterator[Logits]:
    """Yield the log-probabilities after each of the tokens, some rows at a time."""
    step = context.limits.outputs
    for start in range(0, len(tokens), step):
        part = tokens[start : start + step]
        places = np.arange(len(part), dtype=np.int32)
        rows = context.decode(part, start + places, 0 * places, places)
        yield rows - log_totals(rows)[:, None].astype(np.float32)


if __name__ == "__main__":
    serve(main)
