"""One llama.cpp context: batches of tokens in, logits out.

llama.cpp ends the process for batches that break its rules, so every batch is checked here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np

from promptkit.errors import ModelError
from promptkit.models.base import Memory, Usage
from promptkit.models.planning.batches import Ints
from promptkit.models.planning.executor import Logits
from promptkit.models.planning.prefix_trie import Limits
from promptkit.models.runtime.adapter import Adapter, set_adapters
from promptkit.models.runtime.library import (
    compute,
    errors,
    forget_errors,
    held_interrupts,
    library,
)
from promptkit.models.tokens.encoder import common_prefix

Precision = Literal["f32", "f16"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How llama.cpp runs a model on this machine."""

    threads: int
    batch: int = 256
    """Tokens read at once."""
    flash_attention: bool = False
    cache: Precision = "f32"
    """The precision of keys and values; half precision moves scores by 0.01 nats and more."""

    def __str__(self) -> str:
        """What of it decides the numbers, as identities record it."""
        return f"cache {self.cache}, flash attention {'on' if self.flash_attention else 'off'}"


_LOGITS = 2**24
"""How many numbers the rows of one batch may come to, 64 MB; a large vocabulary makes many."""

_STATES = 8
"""Sequences of recurrent models, each of which has a state of its own in memory."""


class Context:
    """A llama.cpp context whose sequences share its cells (a `planning.executor.Runtime`).

    Sequence 0 and its forks run a plan; one more, the stem, keeps what the prompts of a run had in
    common, so that the next run need not read it again. `promptkit.models.runtime.access` keeps
    threads apart.
    """

    def __init__(
        self, model: Any, *, length: int, settings: Settings, usage: Usage, cache_width: int = 0
    ) -> None:
        """`model` is llama.cpp's pointer, `length` the longest sequence, in tokens, `cache_width`
        what is kept for each of them (`Header.cache_width`).

        Raises `ModelError` where there is not the memory.
        """
        self._lib = lib = library()
        self.length = length
        self.n_vocab: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        recurrent = lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model)
        rows = max(_LOGITS // self.n_vocab, 16)
        self._stem = min(_STATES if recurrent else rows, lib.llama_max_parallel_sequences() - 1)
        params = lib.llama_context_default_params()
        # llama.cpp aborts where the sequences outnumber the tokens of a batch, and makes batches
        # smaller where they outnumber the cells.
        params.n_batch = max(settings.batch, self._stem + 1)
        params.n_ubatch = settings.batch
        # The longest prompt should leave room to work on others beside it.
        params.n_ctx = _padded(max(length + 2 * settings.batch, params.n_batch))
        params.n_seq_max = self._stem + 1
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
        self.limits = Limits(
            cells=params.n_ctx,
            sequences=self._stem,
            batch=settings.batch,
            outputs=min(rows, settings.batch),
        )
        size = 4 if settings.cache == "f32" else 2
        self.memory = Memory(
            weights=lib.llama_model_size(model),
            cache=params.n_ctx * cache_width * size,
            logits=4 * self.n_vocab * max(self.limits.outputs, params.n_seq_max),
        )
        forget_errors()
        with held_interrupts():
            self._context = lib.llama_init_from_model(model, params)
        if not self._context:
            raise ModelError(
                f"llama.cpp cannot make a context of {length} tokens: "
                f"{errors() or 'no reason given'}; it takes {self.memory}"
            )
        self._memory = lib.llama_get_memory(self._context)
        self._usage = usage
        self._batch = Batch(lib, settings.batch)
        self._adapters: tuple[Adapter, ...] = ()
        self._kept: tuple[int, ...] = ()
        """What the stem holds."""
        self._to_keep: tuple[int, ...] = ()

    @property
    def has_memory(self) -> bool:
        """Whether the model reads token after token; an embedding model does not."""
        return bool(self._memory)

    def begin(self, stem: Sequence[int], *, wants: bool) -> int:
        """Forgets every run before; returns how many tokens of `stem` sequence 0 still holds.

        `stem` is what the prompts of the run that begins have in common; `wants` says whether the
        logits after it are wanted.
        """
        shared = common_prefix([self._kept, tuple(stem)]) if stem else 0
        if wants or shared < len(stem):
            shared = min(shared, len(stem) - 1) // self.limits.batch * self.limits.batch
        self._to_keep = tuple(stem)
        if shared <= 0 or not self._cut(shared):
            self.clear()
            return 0
        for sequence in range(self._stem):
            self.drop(sequence)
        self.fork(self._stem, 0)
        return shared

    def adapt(self, adapters: tuple[Adapter, ...]) -> None:
        """Applies these adapters from now on, and no others."""
        if adapters != self._adapters:
            self.clear()
            set_adapters(self._context, adapters)
            self._adapters = adapters

    def keep(self, sequence: int) -> None:
        """Keeps the stem of this run, which `sequence` holds, for the next one."""
        self._kept = ()
        self.drop(self._stem)
        self.fork(sequence, self._stem)
        self._kept = self._to_keep

    def clear(self) -> None:
        """Forgets everything."""
        self._kept = ()
        self._lib.llama_memory_clear(self._memory, False)

    def _cut(self, length: int) -> bool:
        """Cuts the stem to its first tokens; False where the model cannot go back.

        A recurrent state cannot be rewound, and a sliding window may have let go of what the
        shorter sequence needs.
        """
        if length == len(self._kept):
            return True
        lib, memory, stem = self._lib, self._memory, self._stem
        if not lib.llama_memory_seq_rm(memory, stem, length, -1):
            return False
        self._kept = self._kept[:length]
        first: int = lib.llama_memory_seq_pos_min(memory, stem)
        last: int = lib.llama_memory_seq_pos_max(memory, stem)
        return first <= 0 and last == length - 1

    def decode(self, tokens: Ints, positions: Ints, sequences: Ints, outputs: Ints) -> Logits:
        """Reads a batch; the logits after the tokens at the indices `outputs`.

        Returns an array (outputs, vocabulary) that is valid until the next call, to use as one
        likes. Raises `ModelError` where llama.cpp fails.
        """
        count, limits = len(tokens), self.limits
        if not 0 < count <= limits.batch or len(outputs) > limits.outputs:
            raise ModelError(f"a batch of {count} tokens with {len(outputs)} outputs")
        for name, values, end in (
            ("sequences", sequences, limits.sequences),
            ("positions", positions, self.length),
            ("tokens", tokens, self.n_vocab),
        ):
            if values.min() < 0 or values.max() >= end:
                raise ModelError(f"a batch with {name} beyond 0 to {end - 1}")
        batch = self._batch.fill(tokens, positions, sequences, outputs)
        forget_errors()
        start = perf_counter()
        code = compute(self._lib.llama_decode, self._context, batch)
        self._usage.decode_seconds += perf_counter() - start
        self._usage.decoded_tokens += count
        if code != 0:
            reason = {1: "no room in the context", 2: "interrupted"}.get(code, errors())
            raise ModelError(f"llama.cpp could not read a batch (code {code}): {reason}")
        if not len(outputs):
            return np.empty((0, self.n_vocab), np.float32)
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (len(outputs), self.n_vocab))

    def fork(self, source: int, target: int) -> None:
        """Makes sequence `target` a copy of `source`."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def drop(self, sequence: int) -> None:
        """Forgets a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def close(self) -> None:
        """Frees the memory; the context is of no use afterwards."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None


def _padded(cells: int) -> int:
    """So many cells as llama.cpp makes of them."""
    return -(-cells // 256) * 256


class Batch:
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

    def fill(self, tokens: Ints, positions: Ints, sequences: Ints, outputs: Ints) -> Any:
        count = len(tokens)
        self._token[:count] = tokens
        self._position[:count] = positions
        self._sequence[:count] = sequences
        self._output[:count] = 0
        self._output[outputs] = 1
        self._struct.n_tokens = count
        return self._struct
