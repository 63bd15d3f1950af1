"""The weights of a GGUF file in F32 as tensors of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from promptkit.errors import ModelFileError
from promptkit.models.gguf.header import Header
from promptkit.models.gguf.header_cursor import TensorInfo
from promptkit.translation import tr
from promptkit.tuning.decoder_shape import DecoderShape, decoder_shape

MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
"""Matrices of a layer, which an adapter changes."""

_NEEDED = (*MATRICES, "attn_norm", "ffn_norm")
_BIASES = {f"{name}.bias": False for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
_HEAD_NORMS = {"attn_q_norm.weight": True, "attn_k_norm.weight": True}
_OF_LAYERS: Mapping[str, Mapping[str, bool]] = {
    "llama": _BIASES,
    "qwen2": _BIASES,
    "qwen3": _HEAD_NORMS,
    "gemma3": {**_HEAD_NORMS, "post_attention_norm.weight": True, "post_ffw_norm.weight": True},
}
"""Further tensors of a layer by architecture, and whether they must be there."""

_ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class DecoderWeights:
    """A model's weights, and its shape."""

    shape: DecoderShape
    tensors: Mapping[str, torch.Tensor]
    """Weights and biases by their names in the file: matrices in the type of the training, all
    others in F32. Where the output has no matrix of its own, it is that of the embeddings."""
    rope_factors: torch.Tensor | None
    """Divisors of the frequencies of positions, such as those of llama 3."""

    def matrix(self, layer: int, name: str) -> torch.Tensor:
        """Return a matrix of a layer: (outputs, inputs)."""
        return self.tensors[f"blk.{layer}.{name}.weight"]

    def optional(self, layer: int, name: str) -> torch.Tensor | None:
        """Return a tensor of a layer that not every model has."""
        return self.tensors.get(f"blk.{layer}.{name}")

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(one.numel() for one in self.tensors.values())


def read_weights(header: Header, dtype: Any, device: str = "cpu") -> DecoderWeights:
    """Return the weights of a model.

    Args:
        header: The header of its file, in F32.
        dtype: The type that matrices are computed in.
        device: The device that computes.

    Raises:
        ModelFileError: The architecture is not supported, a tensor is missing or quantized, or
            there is one that would be left out.
    """
    shape = decoder_shape(header)
    infos = {info.name: info for info in header.tensors}
    known = _names(shape)
    if other := sorted(infos.keys() - known.keys()):
        raise ModelFileError(
            header.path,
            tr(
                "an adapter cannot be trained: tensor {other} is not one that "
                "{architecture} models are known to have",
                other=other[0],
                architecture=shape.architecture,
            ),
        )
    if missing := [name for name, needed in known.items() if needed and name not in infos]:
        raise ModelFileError(header.path, tr("tensor {missing} is missing", missing=missing[0]))
    tensors = {}
    for name, info in infos.items():
        kind = dtype if len(info.shape) > 1 else torch.float32
        tensors[name] = _read(header, info).to(device, kind)
    factors = tensors.pop(_ROPE_FACTORS, None)
    return DecoderWeights(shape, tensors, factors)


def _names(shape: DecoderShape) -> dict[str, bool]:
    """Return the names of all tensors that a model may have, and whether it must."""
    names = {"token_embd.weight": True, "output_norm.weight": True, "output.weight": False}
    if shape.architecture == "llama":
        names[_ROPE_FACTORS] = False
    for layer in range(shape.layers):
        of_layer = dict.fromkeys([f"{name}.weight" for name in _NEEDED], True)
        of_layer |= _OF_LAYERS[shape.architecture]
        names |= {f"blk.{layer}.{name}": needed for name, needed in of_layer.items()}
    return names


def _read(header: Header, info: TensorInfo) -> torch.Tensor:
    """Return a tensor of F32."""
    if info.type != "F32":
        raise ModelFileError(
            header.path,
            tr(
                "tensor {name} is of type {type}, and not dequantised",
                name=info.name,
                type=info.type,
            ),
        )
    raw = np.memmap(header.path, np.float32, "r", info.offset, (info.elements,))
    return torch.from_numpy(np.array(raw).reshape(*reversed(info.shape)))


def fastest_type(device: str) -> Any:
    """Return the type in which a device computes fastest: BF16 where it has instructions for it.

    Args:
        device: `cpu` or `cuda`.
    """
    if device != "cpu":
        return torch.bfloat16
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has = any(bool(getattr(torch.cpu, name, bool)()) for name in names)
    return torch.bfloat16 if has and torch.backends.mkldnn.is_available() else torch.float32
