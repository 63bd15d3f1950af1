"""Sizes of model files and of adapters, from their headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptkit.models.gguf.header import Header

CARD = "promptkit.card"
"""Metadata of an adapter that says, as JSON, what it took to make."""


@dataclass(frozen=True, slots=True)
class AdapterSize:
    """Size of an adapter, and what it says of itself."""

    parameters: int
    """Number of parameters."""
    bytes: int
    """Size of the file."""
    card: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What it took to make, as `promptkit tune` writes it; empty in other adapters."""

    def number(self, name: str) -> float:
        """Return a number of the card or of its figures; 0 where it has none."""
        figures = self.card.get("figures")
        value = self.card.get(name, figures.get(name) if isinstance(figures, dict) else None)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return 0
        return value if 0 <= value < float("inf") else 0


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Size of a model, and of the adapters on it."""

    parameters: int
    """Number of parameters, without those of adapters."""
    bytes: int
    """Size of the file."""
    adapters: tuple[AdapterSize, ...] = ()

    def adapted(self, adapter: AdapterSize) -> ModelSize:
        """Return the size with one more adapter."""
        return replace(self, adapters=(*self.adapters, adapter))


def model_size(header: Header) -> ModelSize:
    """Return the size of a model file."""
    return ModelSize(header.elements, header.file_size)


def adapter_size(header: Header) -> AdapterSize:
    """Return the size of an adapter."""
    return AdapterSize(header.elements, header.file_size, card_in(header) or {})


def card_in(header: Header) -> Mapping[str, Any] | None:
    """Return the card of an adapter; None for one that was made elsewhere."""
    try:
        card = json.loads(str(header.metadata.get(CARD)))
    except (ValueError, RecursionError):  # another program's
        return None
    return card if isinstance(card, dict) else None
