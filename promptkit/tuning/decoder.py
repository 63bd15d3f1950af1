"""A decoder in torch, on batches whose prompts share a prefix that is computed once.

It computes what llama.cpp computes, in the layout of the GGUF file: rows of queries and keys stay
in the order in which llama.cpp has them, so that an adapter needs no permutation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from promptkit.tuning.decoder_shape import DecoderShape
from promptkit.tuning.decoder_weights import DecoderWeights

GROUPS: Mapping[str, tuple[str, ...]] = {
    "attn_qkv": ("attn_q", "attn_k", "attn_v"),
    "attn_output": ("attn_output",),
    "ffn_gate_up": ("ffn_gate", "ffn_up"),
    "ffn_down": ("ffn_down",),
}
"""Matrices of a layer that have the same input, and are multiplied with it at once."""


class LowRank(NamedTuple):
    """Change of the matrices of a group: `up @ down`, the adapter's scale in `up`."""

    down: torch.Tensor
    up: torch.Tensor


Change = Mapping[tuple[int, str], LowRank]
"""Changes by layer and group; without one, a group stays as it is."""


@dataclass(frozen=True)
class BatchLayout:
    """Places of the tokens of a batch: a prefix, and rows of equal length that go on from it.

    Tokens and hidden states are flat: the prefix, then row after row.
    """

    prefix: int
    rows: int
    length: int
    rotations: tuple[Any, Any]
    """Cosines and sines by token, of layers that see everything and of local layers."""
    masks: tuple[Any, Any]
    """Tokens that each token of a row sees, in the prefix and its row: (rows, 1, length, prefix +
    length); of layers that see everything and of local layers. None where those before it."""
    prefix_mask: Any = None
    """The same within the prefix, in local layers; None where those before it."""


class Decoder:
    """A model's layers, one by one."""

    def __init__(self, weights: DecoderWeights) -> None:
        self.shape, self.parameters = weights.shape, weights.parameters
        self._dtype = weights.matrix(0, "attn_output").dtype
        self.device = weights.matrix(0, "attn_output").device
        self.matrices: Mapping[tuple[int, str], tuple[int, int]] = {
            (layer, name): _size(weights.matrix(layer, name))
            for layer in range(self.shape.layers)
            for names in GROUPS.values()
            for name in names
        }
        """Sizes of the matrices of each layer: (outputs, inputs)."""
        self._groups = {
            (layer, group): torch.cat([weights.matrix(layer, name) for name in names])
            if len(names) > 1
            else weights.matrix(layer, names[0])
            for layer in range(self.shape.layers)
            for group, names in GROUPS.items()
        }
        self._biases = {
            (layer, group): _joined_biases(weights, layer, names)
            for layer in range(self.shape.layers)
            for group, names in GROUPS.items()
        }
        in_groups = {f"{name}.weight" for names in GROUPS.values() for name in names}
        self._tensors = {
            name: tensor
            for name, tensor in weights.tensors.items()
            if name.split(".", 2)[-1] not in in_groups
        }
        self._frequencies = _frequencies(self.shape, weights.rope_factors)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the first layer reads."""
        found = functional.embedding(tokens, self._tensors["token_embd.weight"]).float()
        return found * self.shape.embedding_scale if self.shape.embedding_scale != 1 else found

    def rotations(self, positions: torch.Tensor) -> tuple[Any, Any]:
        """Return the rotations of tokens at these positions (`BatchLayout.rotations`)."""
        found = []
        for frequencies in self._frequencies:
            angles = positions[:, None].float() * frequencies.to(positions.device)
            found.append((angles.cos()[:, None], angles.sin()[:, None]))
        return found[0], found[1]

    def run(
        self, hidden: torch.Tensor, layout: BatchLayout, layers: Sequence[int], change: Change
    ) -> torch.Tensor:
        """Return the hidden states after some layers."""
        for layer in layers:
            hidden = self._layer(hidden, layout, layer, change)
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits after hidden states of the last layer, as F32."""
        normed = self._norm(hidden, "output_norm.weight").to(self._dtype)
        head = self._tensors.get("output.weight", self._tensors["token_embd.weight"])
        return functional.linear(normed, head).float()

    def _layer(
        self, hidden: torch.Tensor, layout: BatchLayout, layer: int, change: Change
    ) -> torch.Tensor:
        shape, place = self.shape, f"blk.{layer}"

        def multiply(group: str, given: torch.Tensor) -> torch.Tensor:
            key = layer, group
            made = functional.linear(given, self._groups[key], self._biases[key])
            low = change.get(key)
            if low is None:
                return made
            return torch.addmm(made, functional.linear(given, low.down), low.up.t())

        given = self._norm(hidden, f"{place}.attn_norm.weight").to(self._dtype)
        queries, keys, values = multiply("attn_qkv", given).split(
            [shape.heads * shape.head, *[shape.kv_heads * shape.head] * 2], dim=-1
        )
        local = shape.is_local(layer)
        rotation = layout.rotations[local]
        seen = _attend(
            self._rotated(queries, f"{place}.attn_q_norm.weight", rotation),
            self._rotated(keys, f"{place}.attn_k_norm.weight", rotation),
            values.unflatten(-1, (-1, shape.head)),
            layout,
            local,
            shape.attention_scale,
        )
        made = multiply("attn_output", seen.flatten(1))
        hidden = hidden + self._after(made, f"{place}.post_attention_norm.weight")
        given = self._norm(hidden, f"{place}.ffn_norm.weight").to(self._dtype)
        gate, up = multiply("ffn_gate_up", given).chunk(2, dim=-1)
        gate = functional.gelu(gate, approximate="tanh") if shape.gelu else functional.silu(gate)
        made = multiply("ffn_down", gate * up)
        return hidden + self._after(made, f"{place}.post_ffw_norm.weight")

    def _norm(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._tensors[name]
        return functional.rms_norm(hidden, weight.shape, weight, self.shape.eps)

    def _after(self, made: torch.Tensor, name: str) -> torch.Tensor:
        """Return what a part of a layer adds, normed where the model does that."""
        return self._norm(made.float(), name) if name in self._tensors else made

    def _rotated(self, flat: torch.Tensor, norm: str, rotation: Any) -> torch.Tensor:
        """Return queries or keys of heads, rotated by their positions."""
        shape = self.shape
        heads = flat.unflatten(-1, (-1, shape.head)).float()
        if norm in self._tensors:
            heads = self._norm(heads, norm)
        cosines, sines = rotation
        a, b = heads.unflatten(-1, (-1, 2)).unbind(-1) if shape.adjacent else heads.chunk(2, -1)
        pair = a * cosines - b * sines, a * sines + b * cosines
        made = torch.stack(pair, -1).flatten(-2) if shape.adjacent else torch.cat(pair, -1)
        return made.to(self._dtype)


SHORT = 512
"""Number of tokens up to which attention is computed by plain products, several times as fast on
processors as the kernel that needs no memory for the products."""


def _attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    layout: BatchLayout,
    local: bool,
    scale: float,
) -> torch.Tensor:
    """Return what each token takes from those that it sees: (tokens, heads, head)."""
    groups = queries.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = (one.repeat_interleave(groups, 1) for one in (keys, values))
    start, sizes = layout.prefix, (layout.rows, layout.length)
    of_rows = [one[start:].unflatten(0, sizes).transpose(1, 2) for one in (queries, keys, values)]
    made = []
    if start:
        of_prefix = [one[:start].transpose(0, 1)[None] for one in (queries, keys, values)]
        seen = _taken(of_prefix, layout.prefix_mask if local else None, scale)
        made.append(seen[0].transpose(0, 1))
        for place in (1, 2):
            shared = of_prefix[place].expand(layout.rows, -1, -1, -1)
            of_rows[place] = torch.cat([shared, of_rows[place]], 2)
    seen = _taken(of_rows, layout.masks[local], scale)
    made.append(seen.transpose(1, 2).flatten(0, 1))
    return torch.cat(made) if start else made[0]


def _taken(parts: Sequence[torch.Tensor], mask: Any, scale: float) -> torch.Tensor:
    """Return the attention of queries to keys, and the sum of values by it."""
    queries, keys, values = parts
    if keys.shape[2] > SHORT or queries.device.type != "cpu":
        causal = mask is None
        return functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, scale=scale
        )
    products = (queries * scale) @ keys.transpose(2, 3)
    if mask is None:
        mask = torch.ones(products.shape[2:], dtype=torch.bool).tril_()
    weights = products.float().masked_fill_(~mask, -torch.inf).softmax(-1)
    return weights.to(values.dtype) @ values


def _size(matrix: torch.Tensor) -> tuple[int, int]:
    outputs, inputs = matrix.shape
    return outputs, inputs


def _joined_biases(
    weights: DecoderWeights, layer: int, names: Sequence[str]
) -> torch.Tensor | None:
    """Return the biases of a group, zeros where a matrix has none; None where none has one."""
    biases = [weights.optional(layer, f"{name}.bias") for name in names]
    if all(bias is None for bias in biases):
        return None
    matrices = [weights.matrix(layer, name) for name in names]
    return torch.cat(
        [
            matrix.new_zeros(len(matrix)) if bias is None else bias.to(matrix.dtype)
            for bias, matrix in zip(biases, matrices, strict=True)
        ]
    )


def _frequencies(shape: DecoderShape, factors: torch.Tensor | None) -> tuple[Any, Any]:
    """Return the frequencies of positions of layers that see everything, and of local layers."""
    powers = torch.arange(0, shape.head, 2, dtype=torch.float64) / shape.head
    everywhere = shape.rope_scale * shape.rope_base**-powers
    local = shape.local_rope_base**-powers
    if factors is not None:
        everywhere = everywhere / factors.double().cpu()
    return everywhere.float(), local.float()
