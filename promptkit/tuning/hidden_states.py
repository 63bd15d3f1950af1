"""Hidden states below the trained layers, computed once per prompt and kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from promptkit.tuning.decoder import Decoder
from promptkit.tuning.token_batches import TokenBatch, batches_of, token_batch
from promptkit.tuning.token_trees import PromptGroup

MOST_KEPT = 2 * 2**30
"""Bytes of hidden states that are kept at the most."""


class HiddenStates:
    """The input of the lowest trained layer, for all prompts of some groups."""

    def __init__(
        self,
        decoder: Decoder,
        groups: Sequence[PromptGroup],
        layers: int,
        dtype: Any,
        most_kept: int = MOST_KEPT,
    ) -> None:
        """Make an empty store.

        Args:
            decoder: The decoder.
            groups: The prompts.
            layers: Number of layers below the trained ones.
            dtype: The type that states are kept in.
            most_kept: Bytes that are kept at the most; beyond them, states are computed anew.
        """
        self._decoder, self._layers, self._dtype = decoder, layers, dtype
        tokens = sum(len(group.prefix) + sum(group.tails()) for group in groups)
        self.keeps = layers > 0 and tokens * decoder.shape.width * dtype.itemsize <= most_kept
        self._prefixes: dict[int, torch.Tensor] = {}
        self._tails: dict[tuple[int, int], torch.Tensor] = {}

    def fill(
        self, group: PromptGroup, tokens: int, done: Callable[[int], None] = lambda _: None
    ) -> None:
        """Compute the states of a group that are not kept yet, in batches of so many tokens.

        `done` is called with the number of prompts after each batch.
        """
        if not self.keeps:
            return
        for members in batches_of(group, tokens, 256):
            batch = token_batch(self._decoder, group, members)
            hidden = self._computed(batch).to(self._dtype)
            start = batch.layout.prefix
            self._prefixes[id(group)] = hidden[:start].clone()
            rows = hidden[start:].unflatten(0, (batch.layout.rows, batch.layout.length))
            for row, member in zip(rows, members, strict=True):
                size = len(group.trees[member].tokens) - start
                self._tails[id(group), member] = row[:size].clone()
            done(len(members))

    def of(self, batch: TokenBatch) -> torch.Tensor:
        """Return the input of the lowest trained layer."""
        if not self.keeps:
            return self._computed(batch)
        tails = [self._tails[id(batch.group), member] for member in batch.members]
        padded = torch.nn.utils.rnn.pad_sequence(tails, batch_first=True).flatten(0, 1)
        return torch.cat([self._prefixes[id(batch.group)], padded]).float()

    def _computed(self, batch: TokenBatch) -> torch.Tensor:
        with torch.no_grad():
            hidden = self._decoder.embed(batch.tokens)
            return self._decoder.run(hidden, batch.layout, range(self._layers), {})
