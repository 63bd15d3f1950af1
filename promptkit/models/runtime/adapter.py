"""LoRA adapters: GGUF files with a low-rank change to a model's weights (Hu et al. 2021).

llama.cpp applies an adapter while it reads, so one loaded model serves with and without it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.gguf.checks import TENSOR_ALIGNMENT
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.prepare.model_files import digest, try_once
from promptkit.models.runtime.library import errors, forget_errors, library

_TYPES = ("F32", "F16", "BF16")

_EXPONENTS: Mapping[str, tuple[type[np.unsignedinteger], int]] = {
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}
"""The bits of a number's exponent, which are all set in NaN and infinity."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that is loaded beside its model."""

    pointer: Any
    """llama.cpp's; it lives as long as the model."""
    sha256: str
    scale: float

    @property
    def identity(self) -> str:
        """The digest of its bytes, and the scale where it is not 1."""
        return self.sha256 if self.scale == 1 else f"{self.sha256} x {self.scale:g}"


def load_adapter(model: Any, base: Path, path: Path, scale: float) -> Adapter:
    """Loads an adapter for the model at `base`; `model` is llama.cpp's pointer to that.

    Raises `ModelFileError` for a file that is missing, damaged, no LoRA adapter or made for another
    model, and `ModelError` for a scale that is no number.
    """
    if not 0 < abs(scale) < float("inf"):
        raise ModelError(f"an adapter scale of {scale}; it is a number other than 0")
    header = read_header(path)
    check_adapter(header, read_header(base).architecture)
    sha256 = digest(path)
    try_once(f"{digest(base)} {sha256}", base, path)
    forget_errors()
    pointer = library().llama_adapter_lora_init(model, os.fsencode(path))
    if not pointer:
        raise ModelFileError(path, f"llama.cpp cannot load the adapter: {errors() or 'no reason'}")
    return Adapter(pointer, sha256, scale)


def check_adapter(header: Header, architecture: str) -> None:
    """Refuses an adapter that llama.cpp would abort on. Raises `ModelFileError`."""
    for key, want in (
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", architecture),
    ):
        value = header.metadata.get(key)
        if value != want:
            raise ModelFileError(
                header.path,
                f"no LoRA adapter for this model: {key} is {value!r}; it must be {want!r}",
            )
    alpha = header.types.get("adapter.lora.alpha", "f32")
    if alpha != "f32":
        raise ModelFileError(header.path, f"adapter.lora.alpha is of type {alpha}; it must be f32")
    if "adapter.alora.invocation_tokens" in header.metadata:
        raise ModelFileError(
            header.path, "an activated adapter (aLoRA), which works from some token on only"
        )
    pairs = [tensor for tensor in header.tensors if not tensor.name.endswith("_norm.weight")]
    if not pairs:
        raise ModelFileError(header.path, "the adapter has no tensors")
    for tensor in pairs:
        if tensor.type not in _TYPES or len(tensor.shape) != 2:
            raise ModelFileError(
                header.path,
                f"tensor {tensor.name} is of type {tensor.type} with {len(tensor.shape)} "
                f"dimensions; an adapter has matrices in {', '.join(_TYPES)}",
            )
        if tensor.offset % TENSOR_ALIGNMENT:
            raise ModelFileError(
                header.path,
                f"the data of tensor {tensor.name} is not {TENSOR_ALIGNMENT}-byte aligned",
            )


def check_weights(header: Header) -> None:
    """Refuse weights that are not finite. Raises `ModelFileError`."""
    for tensor in header.tensors:
        if tensor.type in _EXPONENTS and tensor.elements:
            kind, exponent = _EXPONENTS[tensor.type]
            bits = np.memmap(header.path, kind, "r", tensor.offset, (tensor.elements,))
            if ((bits & exponent) == exponent).any():
                raise ModelFileError(
                    header.path,
                    f"tensor {tensor.name} holds numbers that are not finite; "
                    "copy, download or convert the adapter again",
                )


def set_adapters(context: Any, adapters: tuple[Adapter, ...]) -> None:
    """What llama.cpp's context applies from now on; what it holds in memory must be forgotten."""
    lib = library()
    count = len(adapters)
    pointers = (lib.llama_adapter_lora_p_ctypes * count)(
        *(ctypes.cast(adapter.pointer, lib.llama_adapter_lora_p_ctypes) for adapter in adapters)
    )
    scales = (ctypes.c_float * count)(*(adapter.scale for adapter in adapters))
    if lib.llama_set_adapters_lora(context, pointers, count, scales) != 0:
        raise ModelError(f"llama.cpp cannot apply the adapter: {errors() or 'no reason'}")
