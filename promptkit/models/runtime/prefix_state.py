"""The state of a model after some tokens, kept outside of its context: keys and values as bytes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from promptkit.errors import ModelError
from promptkit.models.runtime.library import library
from promptkit.translation import tr


@dataclass(frozen=True)
class PrefixState:
    """Tokens that prompts begin with, and what a model keeps of them."""

    tokens: tuple[int, ...]
    data: bytes
    """As llama.cpp writes it; for this model, its settings and this version of llama.cpp."""


def read_state(context: Any, sequence: int) -> bytes:
    """Return the state of a sequence of a llama.cpp context."""
    lib = library()
    size = lib.llama_state_seq_get_size(context, sequence)
    buffer = (ctypes.c_uint8 * size)()
    written = lib.llama_state_seq_get_data(context, buffer, size, sequence)
    return bytes(memoryview(buffer)[:written])


def write_state(context: Any, sequence: int, state: PrefixState) -> None:
    """Give a sequence of a llama.cpp context a state.

    Raises `ModelError` where llama.cpp does not take it as a state of so many tokens.
    """
    lib, size = library(), len(state.data)
    buffer = (ctypes.c_uint8 * size).from_buffer_copy(state.data)
    taken = lib.llama_state_seq_set_data(context, buffer, size, sequence)
    last = lib.llama_memory_seq_pos_max(lib.llama_get_memory(context), sequence)
    if taken != size or last != len(state.tokens) - 1:
        raise ModelError(
            tr(
                "a state of {count} tokens is not of this model or version of llama.cpp",
                count=len(state.tokens),
            )
        )
