"""Batches of prompts of one group as tensors: tokens, places, masks, and what is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from promptkit.tuning.decoder import BatchLayout, Decoder
from promptkit.tuning.token_trees import Ints, PromptGroup, TokenTree

BATCH_TOKENS = 2048
"""Tokens of the rows of a batch, at the most, where a row has fewer."""


@dataclass(frozen=True)
class TokenBatch:
    """Some prompts of a group, as the decoder computes them."""

    group: PromptGroup
    members: tuple[int, ...]
    """Places of the prompts in their group."""
    tokens: torch.Tensor
    layout: BatchLayout
    places: torch.Tensor
    """Flat places whose logits are wanted."""
    rows: torch.Tensor
    """For each scored token, its place among `places`."""
    scored: torch.Tensor
    """Scored tokens."""
    slots: torch.Tensor
    """For each scored token, the candidate that it belongs to: prompt x `candidates` + number."""
    candidates: int
    """Number of candidates of a prompt, at the most."""
    counts: torch.Tensor
    """Number of candidates of each prompt."""
    lengths: torch.Tensor
    """Number of tokens of each candidate, 1 where there is none: (prompts, candidates)."""
    target: torch.Tensor
    """(prompts, candidates)"""


def token_batch(
    decoder: Decoder, group: PromptGroup, members: Sequence[int], device: str = "cpu"
) -> TokenBatch:
    """Return some prompts of a group as a batch.

    Args:
        decoder: The decoder that computes it.
        group: The group.
        members: Places of the prompts in the group.
        device: The device that computes.
    """
    trees, start = [group.trees[member] for member in members], len(group.prefix)
    length = max(len(tree.tokens) for tree in trees) - start
    tokens = np.zeros((len(trees), length), np.int64)
    positions = np.zeros((len(trees), length), np.int64)
    visible = np.zeros((len(trees), length, start + length), bool)
    for row, tree in enumerate(trees):
        tail = len(tree.tokens) - start
        tokens[row, :tail] = tree.tokens[start:]
        positions[row, :tail], visible[row] = _seen(tree, start, length)
    flat = np.concatenate([np.arange(start), positions.ravel()])
    layout = BatchLayout(
        start,
        len(trees),
        length,
        decoder.rotations(torch.from_numpy(flat).to(device)),
        *_masks(trees, positions, visible, decoder.shape.window, device),
    )
    return TokenBatch(
        group,
        tuple(members),
        torch.from_numpy(np.concatenate([group.prefix, tokens.ravel()])).to(device),
        layout,
        **_scoring(trees, start, length, device),
    )


def _seen(tree: TokenTree, start: int, length: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the positions of a prompt's tokens after the prefix, and what each of them sees."""
    chain = tree.length - start
    seen = np.zeros((length, start + length), bool)
    seen[:, :start] = True
    seen[:chain, start : start + chain] = np.tri(chain, dtype=bool)
    positions = np.zeros(len(tree.tokens) - start, np.int64)
    positions[:chain] = np.arange(start, tree.length)
    for place in range(tree.length, len(tree.tokens)):
        parent, own = int(tree.parents[place]) - start, place - start
        seen[own] = seen[parent]
        seen[own, start + own] = True
        positions[own] = positions[parent] + 1
    for padded in range(len(positions), length):
        seen[padded, start + padded] = True
    return positions, seen


def _masks(
    trees: Sequence[TokenTree],
    positions: Ints,
    visible: NDArray[np.bool_],
    window: int,
    device: str,
) -> tuple[tuple[Any, Any], Any]:
    """Return the masks of a layout, of rows and of the prefix."""
    rows, length, keys = visible.shape
    start = keys - length
    # What padding sees changes nothing, so rows of mere prompts need no mask.
    plain = not start and all(len(tree.tokens) == tree.length for tree in trees)
    everywhere = None if plain else torch.from_numpy(visible[:, None]).to(device)
    if not window:
        return (everywhere, None), None
    within = np.arange(start)
    places = np.concatenate([np.broadcast_to(within, (rows, start)), positions], axis=1)
    near = visible & (positions[:, :, None] - places[:, None, :] < window)
    of_prefix = np.tri(start, dtype=bool) & (within[:, None] - within < window)
    local = torch.from_numpy(near[:, None]).to(device)
    return (everywhere, local), torch.from_numpy(of_prefix).to(device)


def _scoring(trees: Sequence[TokenTree], start: int, length: int, device: str) -> dict[str, Any]:
    """Return the scored tokens of a batch, as its fields."""
    most = max(len(tree.scored) for tree in trees)
    places: dict[int, int] = {}
    rows, scored, slots = [], [], []
    target, lengths = np.zeros((len(trees), most)), np.ones((len(trees), most))
    for row, tree in enumerate(trees):
        target[row, : len(tree.target)] = tree.target
        for number, pairs in enumerate(tree.scored):
            lengths[row, number] = len(pairs)
            for place, token in pairs:
                flat = start + row * length + place - start
                rows.append(places.setdefault(flat, len(places)))
                scored.append(token)
                slots.append(row * most + number)

    def tensor(values: Any, kind: Any = torch.int64) -> torch.Tensor:
        return torch.tensor(values, dtype=kind, device=device)

    return {
        "places": tensor([*places]),
        "rows": tensor(rows),
        "scored": tensor(scored),
        "slots": tensor(slots),
        "candidates": most,
        "counts": tensor([len(tree.scored) for tree in trees]),
        "lengths": tensor(lengths, torch.float32),
        "target": tensor(target, torch.float32),
    }


def batches_of(
    group: PromptGroup, tokens: int, most: int, random: np.random.Generator | None = None
) -> Iterator[list[int]]:
    """Yield the members of batches of a group, of nearly equal lengths.

    Args:
        group: The group.
        tokens: Tokens of a batch, padding included, at the most, unless one prompt has more.
        most: Number of prompts of a batch, at the most.
        random: The generator that shuffles prompts of nearly equal lengths; None for none.
    """
    tails = np.array(group.tails())
    noise = np.zeros(len(tails)) if random is None else random.uniform(0, 0.3, len(tails))
    order = np.argsort(tails * (1 + noise), kind="stable")
    batch: list[int] = []
    longest = 0
    for member in order.tolist():
        longer = max(longest, int(tails[member]))
        full = len(batch) == most or (len(batch) + 1) * longer > tokens
        if batch and full:
            yield batch
            batch, longer = [], int(tails[member])
        batch.append(member)
        longest = longer
    if batch:
        yield batch
