"""The weights and settings with which a model file runs fastest on this machine.

Scoring reads prompts, and many processors read the same weights two to three times as fast in 16
or 32 bits as in 4, and more precisely, since the kernels for integers round what they multiply
with. So other weights are written, verified, measured, and kept in the user's cache if they win.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time as now
from typing import get_args

from promptkit.errors import ModelError
from promptkit.models.base import Weights
from promptkit.models.prepare.decision import fastest_settings, fastest_weights
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.isolated import FailedError
from promptkit.models.prepare.model_files import ModelFile, digest
from promptkit.models.prepare.precision import distances
from promptkit.models.prepare.record import (
    ATTEMPTS,
    Choice,
    Measured,
    machine,
    place,
    recall,
    remember,
    sweep,
)
from promptkit.models.prepare.small_batches import cells_per_token
from promptkit.models.prepare.speed import speeds
from promptkit.models.prepare.weight_candidates import AS_PRECISE, Candidates, gather
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.models.runtime.gpu import has_gpu
from promptkit.translation import tr

log = logging.getLogger("promptkit.models")

SMALL = 32 * 2**20
"""Files below this many bytes are not worth a measurement."""

LARGE = 2**30
"""Models of more weights than this are prepared when somebody asks for it: it takes minutes."""

BATCHES = (128, 256, 512)

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model file with the settings to run it."""

    path: Path
    weights: str
    """Such as `Q4_1`, or `F16 from Q4_1`."""
    settings: RuntimeSettings


def prepared(file: ModelFile, weights: Weights = "auto", notify: Notify = log.info) -> Prepared:
    """Return the file to run for a model file; at first use, finding out takes some seconds.

    `auto` takes the file as it is where no other can be had. A choice that had not settled, since
    the machine was busy, is measured again now and then, and stays where that fails. Raises
    `ModelError` where a type that was named cannot be had.
    """
    if weights not in get_args(Weights):
        raise ModelError(
            tr(
                "unknown weights {weights!r}; choose one of: {Weights}",
                weights=weights,
                Weights=", ".join(get_args(Weights)),
            )
        )
    sweep()
    header = file.header
    as_is = Prepared(header.path, header.weight_type, RuntimeSettings(cores()))
    if weights == "as-is" or (weights == "auto" and header.file_size < SMALL):
        return as_is
    choice = recall(file.sha256, weights)
    is_large = header.elements > LARGE
    if choice is None and weights == "auto" and is_large:
        notify(
            tr(
                "{name} may run faster with other weights; to find out, once, in some "
                "minutes: promptkit models prepare {path}",
                name=header.path.name,
                path=header.path,
            )
        )
        return as_is
    if choice is None or (choice.is_due(now()) and not is_large):
        try:
            choice = prepare(file, weights, notify)
        except ModelError as error:
            if choice is None and weights != "auto":
                raise
            if choice is None:
                notify(tr("{error}; it runs as it is", error=error))
                return as_is
            notify(tr("{error}; it runs as before", error=error))
            # The next attempt to measure waits.
            later = {"attempts": choice.attempts + 1, "measured_at": now()}
            with suppress(OSError):
                remember(choice.model_copy(update=later))
    return Prepared(choice.made or header.path, choice.label, choice.settings)


def prepare(file: ModelFile, weights: Weights = "auto", notify: Notify = log.info) -> Choice:
    """Measure which weights and settings run a file fastest on this machine, and keep them.

    Raises `ModelError` where that cannot be done.
    """
    from filelock import FileLock, Timeout

    name, folder = file.header.path.name, place(file.sha256)
    sweep()
    before = recall(file.sha256, weights)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            notify(tr("waiting for another process, which prepares {name}", name=name))
            held = lock.acquire()
        with held:
            meanwhile = recall(file.sha256, weights)
            if meanwhile is not None and meanwhile != before:
                return meanwhile
            notify(
                tr(
                    "measuring how {name} runs fastest on this machine: once, some seconds",
                    name=name,
                )
            )
            with TemporaryDirectory(prefix="partial-", dir=folder) as partial:
                choice = _chosen(file, weights, Path(partial), before.attempts if before else 0)
            notify(_outcome(choice))
            return choice
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
    except FailedError as error:
        reason = str(error)
    raise ModelError(tr("{name} cannot be prepared: {reason}", name=name, reason=reason))


class _Trials:
    """The speeds that were measured so far, of weights with settings."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self.measured: list[Measured] = []
        self.settled = True

    def speeds(
        self, trials: Iterable[tuple[str, RuntimeSettings]]
    ) -> dict[tuple[str, RuntimeSettings], float]:
        """Measure these side by side; return tokens a second."""
        trials = list(dict.fromkeys(trials))
        found = speeds([(self._paths[kind], settings) for kind, settings in trials])
        self.settled &= found.settled
        by_trial = dict(zip(trials, found.tokens_per_second, strict=True))
        self.measured += [
            Measured(weights=kind, settings=settings, speed=speed)
            for (kind, settings), speed in by_trial.items()
        ]
        return by_trial


def _chosen(file: ModelFile, weights: Weights, folder: Path, attempts: int) -> Choice:
    """Make the candidates in `folder`, and keep the fastest. Raises `OSError` or `FailedError`."""
    own = file.header.weight_type
    forced = None if weights == "auto" else weights.upper()
    candidates = gather(file, forced, folder)
    trials = _Trials(candidates.paths)
    best, settings, gain = _fastest(trials, candidates, own, forced, file.header.layers)
    made = None if best == own else candidates.paths[best]
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
        measured=tuple(trials.measured),
        distances=candidates.distances,
        left_out=candidates.left_out,
        settled=trials.settled,
        attempts=0 if trials.settled else attempts + 1,
        measured_at=now(),
    )
    if made is not None and choice.made is not None:
        made.replace(choice.made)
    remember(choice)
    return choice


def _fastest(
    trials: _Trials, candidates: Candidates, own: str, forced: str | None, most: int
) -> tuple[str, RuntimeSettings, float]:
    """Return the fastest weights, their settings, and the gain over the file as it usually runs.

    One thing is varied at a time: the weights, then attention and cache, then all layers on a GPU,
    then the micro-batch, then the threads. How to fill small batches depends on all of them.
    """
    settings = RuntimeSettings(cores())
    found = trials.speeds((kind, settings) for kind in candidates.paths)
    by_weights = {kind: speed for (kind, _), speed in found.items()}
    sizes = {kind: path.stat().st_size for kind, path in candidates.paths.items()}
    best = forced or fastest_weights(by_weights, sizes)
    gain = by_weights[best] / by_weights[own]
    changes: tuple[Callable[[RuntimeSettings], list[RuntimeSettings]], ...] = (
        partial(_attentions, candidates, own, best),
        lambda known: [replace(known, gpu_layers=most)] if has_gpu() else [],
        lambda known: [replace(known, batch=batch) for batch in BATCHES],
        lambda known: [replace(known, threads=cores(physical=True))],
    )
    for change in changes:
        tried = dict.fromkeys([settings, *change(settings)])
        if len(tried) > 1:
            found = trials.speeds((best, one) for one in tried)
            before = found[best, settings]
            _, settings = fastest_settings(found)
            gain *= found[best, settings] / before
    if settings.flash_attention and not settings.gpu_layers:
        settings = replace(settings, fill=cells_per_token(candidates.paths[best], settings))
    return best, settings, gain


def _attentions(
    candidates: Candidates, own: str, best: str, settings: RuntimeSettings
) -> list[RuntimeSettings]:
    """Return kinds of attention that make the best weights no less precise than the file.

    Flash attention computes with keys and values in F16, whatever the cache holds; a cache in F32
    is still faster on some processors, and slower on others.
    """
    whole, known = candidates.whole, candidates.distances.get(own)
    if whole is None or known is None:
        return []
    kinds = [
        replace(settings, flash_attention=flash, cache=cache)
        for flash in (True, False)
        for cache in ("f16", "f32")
        if flash or cache == "f16"
    ]
    _, *found = distances([(whole, settings), *((candidates.paths[best], kind) for kind in kinds)])
    least = max(known, AS_PRECISE)
    return [kind for kind, d in zip(kinds, found, strict=True) if d is not None and d <= least]


def _outcome(choice: Choice) -> str:
    """Return a sentence about a choice that was just made."""
    if choice.made is None:
        told = tr("{name} runs as it is ({label})", name=choice.name, label=choice.label)
    else:
        told = tr(
            "{name} runs as {label}, {gain:.1f} times as fast",
            name=choice.name,
            label=choice.label,
            gain=choice.gain,
        )
        if (distance := choice.distances.get(choice.weights)) is not None:
            own = choice.distances.get(choice.own, 0.0)
            told += tr(
                ", {distance:.4f} nats from whole precision instead of {own:.4f}",
                distance=distance,
                own=own,
            )
        told += tr(
            "; it takes {made_bytes:.0f} MB in {parent}",
            made_bytes=choice.made_bytes / 1000000.0,
            parent=choice.made.parent,
        )
    if not choice.settled and choice.attempts < ATTEMPTS:
        told += tr("; the machine was busy, so it will be measured again")
    return told
