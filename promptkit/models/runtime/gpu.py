"""Layers of a model on a GPU, where llama.cpp was built for one."""

from __future__ import annotations

from promptkit.errors import ModelError
from promptkit.models.base import GpuLayers
from promptkit.models.runtime.library import library
from promptkit.translation import tr


def has_gpu() -> bool:
    """Return whether llama.cpp was built for a GPU, and finds one."""
    return bool(library().llama_supports_gpu_offload())


def layers(asked: GpuLayers, measured: int, most: int) -> int:
    """Return the number of layers that run on the GPU.

    Args:
        asked: A number, or `auto`.
        measured: The number that was measured to be fastest.
        most: All layers of the model, its output included.

    Raises:
        ModelError: The number is negative, or there is no GPU for them.
    """
    if asked == "auto":
        return measured if has_gpu() else 0
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise ModelError(
            tr(
                "gpu_layers is {asked!r}; it is a number of layers, 0 or more, or 'auto'",
                asked=asked,
            )
        )
    if asked and not has_gpu():
        raise ModelError(
            tr(
                "{asked} layers on a GPU: llama.cpp was built without a GPU here, or finds "
                "none; docs/install.md says how to build it for CUDA, Metal or Vulkan; "
                "--gpu-layers 0 runs without one",
                asked=asked,
            )
        )
    return min(asked, most)
