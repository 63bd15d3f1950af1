"""The GGUF file of a trained adapter, with its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.models.gguf.file_size import CARD, card_in
from promptkit.models.gguf.header import read_header


def write_adapter(
    path: Path,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    architecture: str,
    alpha: float,
    card: Mapping[str, Any],
) -> None:
    """Write an adapter.

    Args:
        path: The file.
        tensors: The matrices by name, such as `blk.0.attn_q.weight.lora_a`.
        architecture: The architecture of its model.
        alpha: Scale of its changes, times their rank.
        card: What it is and how it was made.
    """
    from gguf.gguf_writer import GGUFWriter

    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_name(str(card.get("name", path.stem)))
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_string(CARD, json.dumps(card, ensure_ascii=False))
    for name, data in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(data, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def adapter_card(path: Path) -> Mapping[str, Any] | None:
    """Return the card of an adapter; None for one that was made elsewhere.

    Args:
        path: The file.

    Raises:
        ModelFileError: The file is missing or damaged.
    """
    return card_in(read_header(path))
