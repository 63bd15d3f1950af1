"""The state of a training, and the folder that keeps it beside the adapter's file."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.translation import tr
from promptkit.tuning.adam import Adam
from promptkit.tuning.lora_parameters import LoraParameters

Arrays = dict[str, NDArray[np.float32]]


@dataclass
class TuningState:
    """Everything that a training goes on from."""

    epoch: int = 0
    """Epochs that are done."""
    batch: int = 0
    """Batches of the next one that are done."""
    steps: int = 0
    """Steps of the optimizer."""
    seconds: float = 0.0
    """Seconds so far."""
    losses: list[float] = field(default_factory=list)
    """Held-out loss after each epoch."""
    best: Arrays = field(default_factory=dict)
    """Parameters with the least held-out loss, by their names in the adapter's file."""
    arrays: Arrays = field(default_factory=dict)
    """Parameters and moments of the optimizer."""

    @property
    def best_loss(self) -> float | None:
        """Least held-out loss."""
        return min(self.losses, default=None)

    @property
    def since_best(self) -> int:
        """Epochs after the best one."""
        return len(self.losses) - 1 - int(np.argmin(self.losses)) if self.losses else 0

    def add_epoch(self, loss: float, parameters: LoraParameters) -> None:
        """Add the held-out loss after an epoch, and its parameters if they are the best."""
        self.losses.append(loss)
        self.epoch, self.batch = self.epoch + 1, 0
        if self.since_best == 0:
            self.best = {name: _array(one) for name, one in parameters.named()}

    def take(self, parameters: LoraParameters, optimizer: Adam) -> None:
        """Take over the parameters and the optimizer."""
        self.steps = optimizer.steps
        self.arrays = {}
        moments = zip(optimizer.means, optimizer.squares, strict=True)
        for (name, one), (mean, square) in zip(parameters.named(), moments, strict=True):
            parts = (("value", one), ("mean", mean), ("square", square))
            self.arrays |= {f"{part} {name}": _array(kept) for part, kept in parts}

    def restore(self, parameters: LoraParameters, optimizer: Adam) -> None:
        """Give parameters and optimizer what they were; a new state leaves them as they are."""
        if not self.arrays:
            return
        optimizer.steps = self.steps
        moments = zip(optimizer.means, optimizer.squares, strict=True)
        for (name, one), (mean, square) in zip(parameters.named(), moments, strict=True):
            for part, kept in (("value", one.data), ("mean", mean), ("square", square)):
                kept.copy_(torch.from_numpy(self.arrays[f"{part} {name}"]))


class TuningFolder:
    """The folder of a training that is not complete: its state, and what it is of."""

    def __init__(self, out: Path) -> None:
        """Name the folder beside an adapter's file."""
        self.path = out.with_name(f"{out.name}.tuning")

    def check(self, made_of: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Raise `TaskError` for a training of something else, or delete it.

        Args:
            made_of: Everything that decides the training.
            overwrite: Whether to delete it.
        """
        if not (self.path / _STATE).is_file():
            return
        wanted, found = json.loads(json.dumps(made_of)), self._read()[0]["made_of"]
        if wanted == found:
            return
        if not overwrite:
            other = sorted(k for k in {*wanted, *found} if wanted.get(k) != found.get(k))
            raise TaskError(
                tr(
                    "{path}: a training with another {other} was not finished; name another "
                    "--out, or give --overwrite",
                    path=self.path,
                    other=", ".join(other),
                )
            )
        self.remove()

    def load(self) -> TuningState:
        """Return the state of the training, a new one where there is none. Raises `TaskError`."""
        if not (self.path / _STATE).is_file():
            return TuningState()
        said, arrays = self._read()
        best = {key[5:]: one for key, one in arrays.items() if key.startswith("best ")}
        others = {key: one for key, one in arrays.items() if not key.startswith("best ")}
        return TuningState(**said["state"], best=best, arrays=others)

    def _read(self) -> tuple[Any, Arrays]:
        try:
            with np.load(self.path / _STATE, allow_pickle=False) as file:
                arrays = dict(file)
                return json.loads(bytes(arrays.pop("state")).decode()), arrays
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise TaskError(
                tr(
                    "{path}: damaged ({error}); delete the folder, and train again",
                    path=self.path,
                    error=error,
                )
            ) from None

    def save(self, state: TuningState, made_of: Mapping[str, Any]) -> None:
        """Write a state; the one before is replaced as a whole."""
        numbers = {
            key: getattr(state, key) for key in ("epoch", "batch", "steps", "seconds", "losses")
        }
        said = json.dumps({"made_of": made_of, "state": numbers}).encode()
        arrays = {f"best {name}": one for name, one in state.best.items()} | state.arrays
        buffer = io.BytesIO()
        np.savez(buffer, state=np.frombuffer(said, np.uint8), **arrays)  # type: ignore[arg-type]
        self.path.mkdir(parents=True, exist_ok=True)
        saving.write(self.path / _STATE, buffer.getvalue())

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


_STATE = "state.npz"


def _array(one: torch.Tensor) -> NDArray[np.float32]:
    return np.array(one.detach().cpu().numpy(), np.float32)
