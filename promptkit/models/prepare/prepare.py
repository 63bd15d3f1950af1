"""The weights and settings with which a model file runs fastest on this machine.

Scoring reads prompts, and many processors read the same weights two to three times as fast in 16
bits as in 4, and more precisely, since the kernels for integers round what they multiply with. So
other weights are written, verified, measured, and kept in the user's cache if they win.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from promptkit.errors import ModelError
from promptkit.models.base import Weights
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.isolated import FailedError
from promptkit.models.prepare.model_files import ModelFile, digest
from promptkit.models.prepare.precision import distances
from promptkit.models.prepare.record import (
    Choice,
    Measured,
    lock_file,
    machine,
    place,
    recall,
    remember,
    sweep,
)
from promptkit.models.prepare.speed import speeds
from promptkit.models.prepare.weight_candidates import AS_PRECISE, Candidates, gather
from promptkit.models.runtime.context import Settings

log = logging.getLogger("promptkit.models")

SMALL = 32 * 2**20
"""Files below this many bytes are not worth a measurement."""

LARGE = 2**30
"""Models of more weights than this are prepared when somebody asks for it: it takes minutes."""

WORTH_A_FILE = 1.2
"""How many times as fast weights must be to get a file of their own."""

WORTH_A_CHANGE = 1.05
"""How many times as fast settings must be to replace the usual ones: less may be noise."""

BATCHES = (128, 256, 512)

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a model is run from, and how."""

    path: Path
    weights: str
    """Such as `Q4_1`, or `F16 from Q4_1`."""
    settings: Settings


def prepared(file: ModelFile, weights: Weights = "auto", notify: Notify = log.info) -> Prepared:
    """What to run for a model file; at first use, finding out takes some seconds.

    `auto` takes the file as it is where nothing else can be had. Raises `ModelError` where a type
    that was named cannot be had.
    """
    if weights not in get_args(Weights):
        raise ModelError(f"weights {weights!r}: choose {', '.join(get_args(Weights))}")
    sweep()
    header = file.header
    as_is = Prepared(header.path, header.weight_type, Settings(cores()))
    if weights == "as-is" or (weights == "auto" and header.file_size < SMALL):
        return as_is
    choice = recall(file.sha256, weights)
    if choice is None and weights == "auto" and header.elements > LARGE:
        notify(
            f"{header.path.name} may run faster with other weights; to find out, once, in some "
            f"minutes: promptkit models prepare {header.path}"
        )
        return as_is
    try:
        choice = choice or prepare(file, weights, notify)
    except ModelError as error:
        if weights != "auto":
            raise
        notify(f"{error}; it runs as it is")
        return as_is
    return Prepared(choice.made or header.path, choice.label, choice.settings)


def prepare(file: ModelFile, weights: Weights = "auto", notify: Notify = log.info) -> Choice:
    """Measures what runs a file fastest on this machine, and keeps it in the user's cache.

    Raises `ModelError` where that cannot be done.
    """
    from filelock import FileLock, Timeout

    name, folder = file.header.path.name, place(file.sha256)
    sweep()
    before = recall(file.sha256, weights)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_file(folder))
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            notify(f"waiting for another process, which prepares {name}")
            held = lock.acquire()
        with held:
            meanwhile = recall(file.sha256, weights)
            if meanwhile is not None and meanwhile != before:
                return meanwhile
            notify(f"measuring how {name} runs fastest on this machine: once, some seconds")
            with TemporaryDirectory(prefix="partial-", dir=folder) as partial:
                choice = _chosen(file, weights, Path(partial))
            notify(_outcome(choice))
            return choice
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
    except FailedError as error:
        reason = str(error)
    raise ModelError(f"{name} cannot be prepared: {reason}")


def _chosen(file: ModelFile, weights: Weights, folder: Path) -> Choice:
    """Makes the candidates in `folder`, keeps the winner. Raises `OSError` or `FailedError`."""
    own, settings = file.header.weight_type, Settings(cores())
    forced = None if weights == "auto" else weights.upper()
    candidates = gather(file, forced, folder)
    paths = candidates.paths
    measured = _measure(paths, [(kind, settings) for kind in paths])
    best = forced or _winner(measured, WORTH_A_FILE).weights
    gain = next(one.speed for one in measured if one.weights == best) / measured[0].speed
    flash = _flash(candidates, own, best, settings)
    for change in (lambda _: flash, _other_batches, _other_threads):
        tried = dict.fromkeys([settings, *change(settings)])
        if len(tried) > 1:
            found = _measure(paths, [(best, one) for one in tried])
            winner = _winner(found, WORTH_A_CHANGE)
            settings, gain = winner.settings, gain * winner.speed / found[0].speed
            measured += found
    made = None if best == own else paths[best]
    choice = Choice(
        name=file.header.path.name,
        sha256=file.sha256,
        own=own,
        asked=weights,
        machine=machine(),
        weights=best,
        settings=settings,
        made_sha256=None if made is None else digest(made),
        made_bytes=0 if made is None else made.stat().st_size,
        gain=gain,
        measured=tuple(measured),
        distances=candidates.distances,
        left_out=candidates.left_out,
    )
    if made is not None and choice.made is not None:
        made.replace(choice.made)
    remember(choice)
    return choice


def _flash(candidates: Candidates, own: str, best: str, settings: Settings) -> list[Settings]:
    """Flash attention, where the best weights with it are as precise as the file's without.

    llama.cpp computes it with keys and values in F16, whatever the cache holds.
    """
    flash = replace(settings, flash_attention=True, cache="f16")
    whole, known = candidates.whole, candidates.distances.get(own)
    if whole is None or known is None:
        return []
    _, found = distances([(whole, settings), (candidates.paths[best], flash)])
    return [flash] if found is not None and found <= max(known, AS_PRECISE) else []


def _other_batches(settings: Settings) -> list[Settings]:
    return [replace(settings, batch=batch) for batch in BATCHES]


def _other_threads(settings: Settings) -> list[Settings]:
    return [replace(settings, threads=cores(physical=True))]


def _measure(paths: Mapping[str, Path], trials: Sequence[tuple[str, Settings]]) -> list[Measured]:
    found = speeds([(paths[kind], settings) for kind, settings in trials])
    return [
        Measured(weights=kind, settings=settings, speed=speed)
        for (kind, settings), speed in zip(trials, found, strict=True)
    ]


def _winner(measured: Sequence[Measured], worth: float) -> Measured:
    """The first, unless another is `worth` times as fast as the best of those before it."""
    best = measured[0]
    for other in measured[1:]:
        if other.speed > worth * best.speed:
            best = other
    return best


def _outcome(choice: Choice) -> str:
    if choice.made is None:
        return f"{choice.name} runs as it is ({choice.label})"
    told = f"{choice.name} runs as {choice.label}, {choice.gain:.1f} times as fast"
    if (distance := choice.distances.get(choice.weights)) is not None:
        own = choice.distances.get(choice.own, 0.0)
        told += f", {distance:.4f} nats from whole precision instead of {own:.4f}"
    return f"{told}; it takes {choice.made_bytes / 1e6:.0f} MB in {choice.made.parent}"
