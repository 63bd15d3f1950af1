"""Progress of a training, and the way in which it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from promptkit.tuning.tuning_options import TuningOptions

Phase = Literal["prepare", "train", "hold-out", "teacher"]
"""Layers below the trained ones; training; the held-out prompts; the teacher's answers."""


@dataclass(frozen=True, slots=True)
class TuningStep:
    """Progress of a training.

    Example:
        >>> TuningStep("train", epoch=1, done=16, of=720, loss=0.6).done
        16
    """

    phase: Phase
    epoch: int = 0
    """Number of the epoch, from 1; 0 before the first."""
    done: int = 0
    """Number of prompts that are done in this phase."""
    of: int = 0
    loss: float | None = None
    """Mean loss of the last batches."""
    held_out: float | None = None
    """Least held-out loss so far."""
    seconds_left: float | None = None


Progress = Callable[[TuningStep], None]


@dataclass(frozen=True)
class TuningRun:
    """The way in which a training runs."""

    options: TuningOptions
    threads: int | None
    """Threads that compute; None for one for each core."""
    overwrite: bool
    """Replaces an adapter, or a training, of something else."""
    progress: Progress
