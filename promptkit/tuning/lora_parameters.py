"""The numbers of an adapter while it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from promptkit.tuning.decoder import GROUPS, Change, Decoder, LowRank


@dataclass(frozen=True)
class LoraParameters:
    """Low-rank changes of the matrices of some layers: `b @ a * alpha / rank` each."""

    rank: int
    alpha: float
    pairs: Mapping[tuple[int, str], tuple[torch.Tensor, torch.Tensor]]
    """The matrices a, (rank, inputs), and b, (outputs, rank), by layer and matrix."""

    @property
    def count(self) -> int:
        """Number of trained parameters."""
        return sum(a.numel() + b.numel() for a, b in self.pairs.values())

    def tensors(self) -> list[torch.Tensor]:
        """Return all of them, always in the same order."""
        return [one for pair in self.pairs.values() for one in pair]

    def named(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield them by their names in an adapter's file."""
        for (layer, name), (a, b) in self.pairs.items():
            yield f"blk.{layer}.{name}.weight.lora_a", a
            yield f"blk.{layer}.{name}.weight.lora_b", b

    def load(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over numbers by their names in an adapter's file."""
        for name, one in self.named():
            one.data.copy_(torch.from_numpy(arrays[name]))

    def change(self, dtype: Any, device: Any = None) -> Change:
        """Return the change of each group of matrices, in the type that a decoder computes in.

        Args:
            dtype: The type.
            device: Where it computes; None for where the parameters are.
        """
        made: dict[tuple[int, str], LowRank] = {}
        scale = self.alpha / self.rank
        for layer in dict.fromkeys(layer for layer, _ in self.pairs):
            for group, names in GROUPS.items():
                pairs = [self.pairs[layer, name] for name in names]
                down = torch.cat([a for a, _ in pairs])
                up = torch.block_diag(*[b for _, b in pairs]) * scale
                made[layer, group] = LowRank(down.to(device, dtype), up.to(device, dtype))
        return made


def new_parameters(
    decoder: Decoder, layers: int, rank: int, alpha: float, seed: int
) -> LoraParameters:
    """Return parameters that change nothing yet.

    Args:
        decoder: The decoder.
        layers: Number of upper layers that are trained.
        rank: Rank of each change.
        alpha: Scale of a change, times its rank.
        seed: Seed of the first numbers.
    """
    random, first = np.random.default_rng(seed), decoder.shape.layers - layers
    pairs = {}
    for (layer, name), (outputs, inputs) in decoder.matrices.items():
        if layer >= first:
            bound = 1 / sqrt(inputs)
            a = random.uniform(-bound, bound, (rank, inputs)).astype(np.float32)
            pairs[layer, name] = (
                torch.from_numpy(a).to(decoder.device).requires_grad_(),
                torch.zeros(outputs, rank, device=decoder.device, requires_grad=True),
            )
    return LoraParameters(rank, alpha, pairs)
