"""Files of LoRA adapters: checked, tried once in a process of their own, and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.gguf.checks import TENSOR_ALIGNMENT
from promptkit.models.gguf.file_size import adapter_size
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.prepare.model_files import digest, try_once
from promptkit.models.runtime.loaded_model import Adapter, LoadedModel, new_adapter
from promptkit.translation import tr

_EXPONENTS: Mapping[str, tuple[type[np.unsignedinteger], int]] = {
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}
"""The bits of a number's exponent, which are all set in NaN and infinity."""


def load_adapter(model: LoadedModel, path: Path, scale: float) -> Adapter:
    """Load an adapter beside its model, once a process of its own has survived it.

    Raises `ModelFileError` where the file is missing, damaged, no LoRA adapter or made for another
    model, and `ModelError` for a scale that is not a number other than 0.
    """
    if not 0 < abs(scale) < float("inf"):
        raise ModelError(
            tr("an adapter scale of {scale}; it is a number other than 0", scale=scale)
        )
    header = read_header(path)
    check_adapter(header, read_header(model.path).architecture)
    sha256 = digest(path)
    try_once(f"{digest(model.path)} {sha256}", model.path, path)
    return Adapter(new_adapter(model, path), sha256, scale, adapter_size(header))


def check_adapter(header: Header, architecture: str) -> None:
    """Raise `ModelFileError` for an adapter that llama.cpp would abort on."""
    if fault := _fault(header, architecture):
        raise ModelFileError(header.path, fault)


def _fault(header: Header, architecture: str) -> str | None:
    for key, want in (
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", architecture),
    ):
        value = header.metadata.get(key)
        if value != want:
            return tr(
                "no LoRA adapter for this model: {key} is {value!r}; it must be {want!r}",
                key=key,
                value=value,
                want=want,
            )
    alpha = header.types.get("adapter.lora.alpha", "f32")
    if alpha != "f32":
        return tr("adapter.lora.alpha is of type {alpha}; it must be f32", alpha=alpha)
    if "adapter.alora.invocation_tokens" in header.metadata:
        return tr("an activated adapter (aLoRA), which works from some token on only")
    pairs = [tensor for tensor in header.tensors if not tensor.name.endswith("_norm.weight")]
    if not pairs:
        return tr("the adapter has no tensors")
    for tensor in pairs:
        if tensor.type not in _EXPONENTS or len(tensor.shape) != 2:
            return tr(
                "tensor {name} is of type {type} with {count} dimensions; an adapter has "
                "matrices in {EXPONENTS}",
                name=tensor.name,
                type=tensor.type,
                count=len(tensor.shape),
                EXPONENTS=", ".join(_EXPONENTS),
            )
        if tensor.offset % TENSOR_ALIGNMENT:
            return tr(
                "the data of tensor {name} is not {TENSOR_ALIGNMENT}-byte aligned",
                name=tensor.name,
                TENSOR_ALIGNMENT=TENSOR_ALIGNMENT,
            )
    return None


def check_weights(header: Header) -> None:
    """Raise `ModelFileError` for weights that are not finite."""
    for tensor in header.tensors:
        if tensor.type in _EXPONENTS and tensor.elements:
            kind, exponent = _EXPONENTS[tensor.type]
            bits = np.memmap(header.path, kind, "r", tensor.offset, (tensor.elements,))
            if ((bits & exponent) == exponent).any():
                raise ModelFileError(
                    header.path,
                    tr(
                        "tensor {name} holds numbers that are not finite; copy, download or "
                        "convert the adapter again",
                        name=tensor.name,
                    ),
                )
