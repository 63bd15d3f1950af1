"""One llama.cpp context: tokens in, log-probabilities out.

llama.cpp ends the process for batches that break its rules, so every batch is checked here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from promptkit.errors import ModelError
from promptkit.models.base import Usage
from promptkit.models.library import errors, forget_errors, held_interrupts, library

Logits = npt.NDArray[np.float32]

Precision = Literal["f32", "f16"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How llama.cpp runs a model on this machine."""

    threads: int
    batch: int = 512
    """Tokens read at once."""
    flash_attention: bool = False
    cache: Precision = "f32"
    """The precision of keys and values; half precision moves scores by 0.01 nats and more."""

    def __str__(self) -> str:
        """What of it decides the numbers, as identities record it."""
        return f"cache {self.cache}, flash attention {'on' if self.flash_attention else 'off'}"


SEQUENCES = 64
"""Sequences side by side: one for the prompt, the others for its candidates."""

STATES = 8
"""The same for recurrent models, where each sequence has a state of its own in memory."""


class Context:
    """A context of `cells` tokens that all its sequences share.

    Sequence 0 holds a prompt; the others are forks of it. Not safe for threads.
    """

    def __init__(self, model: Any, *, cells: int, settings: Settings, usage: Usage) -> None:
        """`model` is llama.cpp's pointer. Raises `ModelError` where there is not the memory."""
        self._lib = lib = library()
        self.cells = cells
        recurrent = lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model)
        self.sequences: int = min(
            STATES if recurrent else SEQUENCES, lib.llama_max_parallel_sequences()
        )
        self.batch = max(settings.batch, self.sequences)
        params = lib.llama_context_default_params()
        # In fewer cells llama.cpp makes its batches smaller, and aborts once the sequences
        # outnumber the tokens of a batch.
        params.n_ctx = max(cells, self.batch)
        params.n_batch = params.n_ubatch = self.batch
        params.n_seq_max = self.sequences
        params.n_threads = params.n_threads_batch = settings.threads
        params.type_k = params.type_v = (
            lib.GGML_TYPE_F32 if settings.cache == "f32" else lib.GGML_TYPE_F16
        )
        params.flash_attn_type = (
            lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if settings.flash_attention
            else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        forget_errors()
        with held_interrupts():
            self._context = lib.llama_init_from_model(model, params)
        if not self._context:
            raise ModelError(
                f"llama.cpp cannot make a context of {cells} tokens: "
                f"{errors() or 'no reason given'}"
            )
        self._memory = lib.llama_get_memory(self._context)
        self.n_vocab: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self._usage = usage
        self._batch = _Batch(lib, self.batch)

    @property
    def has_memory(self) -> bool:
        """Whether the model reads token after token; an embedding model does not."""
        return bool(self._memory)

    def decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        outputs: Sequence[int],
    ) -> Logits:
        """Reads up to `batch` tokens; the logits after those at the indices `outputs`.

        Returns an array (outputs, vocabulary) that is valid until the next call. Raises
        `ModelError` where llama.cpp fails or the numbers are not finite.
        """
        count = len(tokens)
        if not 0 < count <= self.batch or not 0 <= max(sequences) < self.sequences:
            raise ModelError(f"a batch of {count} tokens in {max(sequences) + 1} sequences")
        if max(positions) >= self.cells or not 0 <= min(tokens) <= max(tokens) < self.n_vocab:
            raise ModelError("a batch beyond the context or the vocabulary")
        batch = self._batch.fill(tokens, positions, sequences, outputs)
        forget_errors()
        start = perf_counter()
        code = self._lib.llama_decode(self._context, batch)
        if code == 0:
            rows = self._rows(len(outputs))
        self._usage.decode_seconds += perf_counter() - start
        self._usage.decoded_tokens += count
        if code != 0:
            reason = {1: "no room in the context", 2: "interrupted"}.get(code, errors())
            raise ModelError(f"llama.cpp could not read a batch (code {code}): {reason}")
        if rows.size and not np.isfinite(rows.max(axis=1)).all():
            raise ModelError("the model gives numbers that are not finite; its weights are damaged")
        return rows

    def _rows(self, count: int) -> Logits:
        if not count:
            return np.empty((0, self.n_vocab), np.float32)
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (count, self.n_vocab))

    def fork(self, target: int) -> None:
        """Makes sequence `target` a copy of sequence 0."""
        self._lib.llama_memory_seq_cp(self._memory, 0, target, -1, -1)

    def drop(self, sequence: int) -> None:
        """Forgets a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def rewind(self, length: int) -> bool:
        """Cuts sequence 0 to its first `length` tokens; False where the model cannot go back.

        A recurrent state cannot be rewound, and a sliding window may have let go of what the
        shorter sequence needs.
        """
        lib, memory = self._lib, self._memory
        if length == 0:
            lib.llama_memory_clear(memory, False)
            return True
        if not lib.llama_memory_seq_rm(memory, 0, length, -1):
            return False
        first: int = lib.llama_memory_seq_pos_min(memory, 0)
        last: int = lib.llama_memory_seq_pos_max(memory, 0)
        return first <= 0 and last == length - 1

    def close(self) -> None:
        """Frees the memory; the context is of no use afterwards."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None


class _Batch:
    """A `llama_batch` over numpy arrays that are filled anew for every call."""

    def __init__(self, lib: Any, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._sequence = np.zeros(size, np.int32)
        self._counts = np.ones(size, np.int32)
        self._output = np.zeros(size, np.int8)
        base, step = self._sequence.ctypes.data, self._sequence.itemsize
        self._pointers = (base + step * np.arange(size)).astype(np.uintp)
        self._struct = lib.llama_batch()
        for name, array in (
            ("token", self._token),
            ("pos", self._position),
            ("n_seq_id", self._counts),
            ("seq_id", self._pointers),
            ("logits", self._output),
        ):
            kind = dict(lib.llama_batch._fields_)[name]
            setattr(self._struct, name, ctypes.cast(array.ctypes.data, kind))

    def fill(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        outputs: Sequence[int],
    ) -> Any:
        count = len(tokens)
        self._token[:count] = tokens
        self._position[:count] = positions
        self._sequence[:count] = sequences
        self._output[:count] = 0
        self._output[list(outputs)] = 1
        self._struct.n_tokens = count
        return self._struct


def log_total(row: Logits) -> float:
    """What to subtract from a row of logits, (vocabulary,), to make them log-probabilities."""
    peak = row.max()
    return float(peak + np.log(np.exp(row - peak).sum(dtype=np.float64)))
