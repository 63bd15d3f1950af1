"""LoRA adapters: a low-rank change to a model's weights (Hu et al. 2021).

llama.cpp applies an adapter while it decodes, so one loaded model serves with and without it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptkit.errors import ModelFileError
from promptkit.models.runtime.library import errors, forget_errors, library
from promptkit.models.runtime.loaded_model import LoadedModel


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that is loaded beside its model."""

    pointer: Any
    """llama.cpp's pointer to it; it lives as long as the model."""
    sha256: str
    scale: float

    @property
    def identity(self) -> str:
        """The digest of its bytes, and the scale where it is not 1."""
        return self.sha256 if self.scale == 1 else f"{self.sha256} x {self.scale:g}"


def new_adapter(model: LoadedModel, path: Path) -> Any:
    """Return llama.cpp's pointer to an adapter; a damaged file can end the process.

    Raises:
        ModelFileError: llama.cpp cannot load it.
    """
    forget_errors()
    pointer = library().llama_adapter_lora_init(model.pointer, os.fsencode(path))
    if not pointer:
        reason = errors() or "no reason given"
        raise ModelFileError(path, f"llama.cpp cannot load the adapter: {reason}")
    return pointer
