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
from promptkit.models.planning.batches import Schedule
from promptkit.models.planning.branches import Ints
from promptkit.models.planning.executor import Logits
from promptkit.models.planning.prefix_trie import Limits, Plan
from promptkit.models.runtime.library import compute, errors, forget_errors, library
from promptkit.models.runtime.loaded_model import Adapter, LoadedModel
from promptkit.models.runtime.prefix_state import PrefixState, read_state, write_state
from promptkit.models.runtime.token_batch import Batch
from promptkit.models.tokens.encoder import common_prefix
from promptkit.translation import tr

Precision = Literal["f32", "f16"]

TOLERANCES = {"F32": 1e-3, "F16": 0.05, "BF16": 0.3}
"""How much margins vary with what is decoded beside a prompt, by the type of the weights that run:
two to three times the most that was measured; 1 for all other types. A difference in the last bit
grows where activations are rounded, and most where kernels for integers round them to 8 bits."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """The way in which llama.cpp runs a model on this machine."""

    threads: int
    batch: int = 256
    """Tokens decoded at once."""
    flash_attention: bool = False
    cache: Precision = "f32"
    """The precision of keys and values; half precision moves scores by 0.01 nats and more."""
    gpu_layers: int = 0
    """Layers that run on a GPU."""
    fill: int = 0
    """The cells whose attention takes as long as another token, where flash attention computes one
    token of a small batch after the other; 0 where it does not. `Context` fills such batches up."""

    def tolerance(self, weights: str) -> float:
        """Return `ModelIdentity.tolerance` of weights such as `Q4_1`, or `F16 from Q4_1`.

        In front of flash attention llama.cpp casts keys and values to F16, whatever they are.
        """
        halves = self.flash_attention or self.cache != "f32"
        least = TOLERANCES["F16"] if halves else 0.0
        return max(TOLERANCES.get(weights.split()[0], 1.0), least)

    def __str__(self) -> str:
        """Return the settings that decide the numbers, as identities record them."""
        on_gpu = f", {self.gpu_layers} layers on a GPU" if self.gpu_layers else ""
        attention = "on" if self.flash_attention else "off"
        return f"cache {self.cache}, flash attention {attention}{on_gpu}"


TILE = 64
"""The fewest tokens for which llama.cpp's flash attention on a processor multiplies matrices."""

_LOGITS = 2**24
"""The numbers that the rows of one batch may come to, 64 MB; a large vocabulary makes many."""


class Context:
    """A llama.cpp context whose sequences share its cells (a `planning.executor.Runtime`).

    Sequence 0 and its forks run a plan. One more sequence keeps the prefix that the prompts of a
    run had in common, so that the next run need not decode it again.
    `promptkit.models.runtime.access` keeps threads apart.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        length: int,
        settings: RuntimeSettings,
        usage: Usage | None = None,
        cache_width: int = 0,
    ) -> None:
        """Open a context, which is freed with its model.

        Args:
            model: The model to run.
            length: The longest sequence, in tokens.
            settings: The way to run it.
            usage: The counter of the tokens and seconds of decoding.
            cache_width: The numbers kept for each token (`Header.cache_width`).

        Raises:
            ModelError: There is not the memory.
        """
        self._lib = lib = library()
        self._model = model  # it frees this context when it goes away
        self.length = length
        self.n_vocab: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model.pointer))
        recurrent = lib.llama_model_is_recurrent(model.pointer)
        recurrent = recurrent or lib.llama_model_is_hybrid(model.pointer)
        self._joins = not recurrent
        """Tokens may stand in several sequences: these share their keys and values, not a state."""
        self._rewinds = not recurrent and not lib.llama_model_n_swa(model.pointer)
        rows = max(_LOGITS // self.n_vocab, 16)
        fills = self._rewinds and settings.batch >= TILE and settings.flash_attention
        self._fill = settings.fill if fills and not settings.gpu_layers else 0
        beside, spare = (2, TILE) if self._fill else (1, 0)
        most = lib.llama_max_parallel_sequences() - beside
        # Each sequence of a recurrent model has a state of its own in memory.
        sequences = min(8 if recurrent else rows, most)
        params = _params(settings, length + spare, sequences + beside)
        self.limits = Limits(
            cells=params.n_ctx - spare,
            sequences=sequences,
            batch=settings.batch,
            outputs=min(rows, settings.batch),
        )
        size = 4 if settings.cache == "f32" else 2
        self.memory = Memory(
            weights=lib.llama_model_size(model.pointer),
            cache=params.n_ctx * cache_width * size,
            logits=4 * self.n_vocab * max(self.limits.outputs, params.n_seq_max),
        )
        self._context = model.open_context(
            params, length, note=tr("; it takes {memory}", memory=self.memory)
        )
        self._memory = lib.llama_get_memory(self._context)
        self._usage = Usage() if usage is None else usage
        self._batch = Batch(lib, settings.batch)
        self._adapters: tuple[Adapter, ...] = ()
        self._prefix = sequences
        """The sequence that keeps the prefix of a run."""
        self._kept: tuple[int, ...] = ()
        """The tokens that it holds."""
        self._alone = 0
        """The number of them that no other tokens were decoded with."""
        self._to_keep: tuple[int, ...] = ()
        self._used: set[int] = set()
        """Sequences that may hold tokens."""
        self._any_place = False
        """Begins a run after any tokens that are kept: quicker, and other last digits."""

    @property
    def has_memory(self) -> bool:
        """True where the model continues text; an embedding model keeps no keys and values."""
        return bool(self._memory)

    def schedule(self, plan: Plan) -> Schedule:
        """Begin a run; return the batches of its plan, without the prefix that is still held."""
        prefix, scores = plan.prefix, any(item.candidates for item in plan.items)
        tokens = prefix.tokens.tolist() if prefix is not None else []
        wants = prefix is not None and prefix.wants
        read = self.begin(tokens, wants=wants, writes=not scores)
        return Schedule(plan, read=read, joins=self._joins, same_bits=not self._any_place)

    def begin(self, prefix: Sequence[int], *, wants: bool, writes: bool = False) -> int:
        """Forget every earlier run; return the tokens of `prefix` that sequence 0 still holds.

        `prefix` is what the prompts of the new run have in common; `wants` is true where the logits
        after it are wanted. What is left of it must then be decoded in the same batches as ever, so
        that the numbers come to the same bits: hence whole batches. Only a run that `writes`
        answers, and scores nothing, may begin after tokens that were decoded with others. A context
        that got a state begins after any tokens.
        """
        shared = common_prefix([self._kept, tuple(prefix)]) if prefix else 0
        if self._any_place:
            shared = min(shared, len(prefix) - wants)
        elif not writes or wants or shared < len(prefix):
            shared = min(shared, self._alone)
        if not self._any_place and (wants or shared < len(prefix)):
            shared = min(shared, len(prefix) - 1) // self.limits.batch * self.limits.batch
        self._to_keep = tuple(prefix)
        if shared <= 0 or not self._cut(shared):
            self.clear()
            return 0
        for sequence in self._used - {self._prefix}:
            self.drop(sequence)
        self.fork(self._prefix, 0)
        return shared

    def adapt(self, adapters: tuple[Adapter, ...]) -> None:
        """Apply these adapters from now on, and no others."""
        if adapters != self._adapters:
            self.clear()
            lib, count = self._lib, len(adapters)
            kind = lib.llama_adapter_lora_p_ctypes
            pointers = (kind * count)(*(ctypes.cast(one.pointer, kind) for one in adapters))
            scales = (ctypes.c_float * count)(*(one.scale for one in adapters))
            if lib.llama_set_adapters_lora(self._context, pointers, count, scales) != 0:
                raise ModelError(
                    tr(
                        "llama.cpp cannot apply the adapter: {errors}",
                        errors=errors() or tr("no reason"),
                    )
                )
            self._adapters = adapters

    def keep(self, sequence: int, alone: int) -> None:
        """Keep the prefix of this run, which `sequence` begins with, for the next one.

        The first `alone` of its tokens were decoded without others.
        """
        self._kept, length = (), len(self._to_keep)
        self.drop(self._prefix)
        self.fork(sequence, self._prefix)
        if alone < length:  # the sequence may go on already
            self._lib.llama_memory_seq_rm(self._memory, self._prefix, length, -1)
        self._kept, self._alone = self._to_keep, alone

    def keep_path(self, sequence: int, tokens: Ints) -> None:
        """Keep the tokens that `sequence` begins with, where they go on from the kept prefix."""
        path = tuple(tokens.tolist())
        if self._rewinds and path[: len(self._kept)] == self._kept:
            self.drop(self._prefix)
            self.fork(sequence, self._prefix)
            self._lib.llama_memory_seq_rm(self._memory, self._prefix, len(path), -1)
            self._kept = path

    def state(self, tokens: Sequence[int]) -> PrefixState:
        """Return the state after some tokens, which are decoded alone, and kept."""
        start = self.begin(tokens, wants=False)
        for first in range(start, len(tokens), self.limits.batch):
            part = np.array(tokens[first : first + self.limits.batch], np.int32)
            places = np.arange(first, first + len(part), dtype=np.int32)
            self.decode(part, places, np.zeros_like(part), np.array([], np.int32))
        if start < len(tokens):
            self.keep(0, len(tokens))
        return PrefixState(tuple(tokens), read_state(self._context, self._prefix))

    def restore(self, state: PrefixState) -> None:
        """Keep tokens by their state; from now on, runs begin after any tokens that are kept.

        Raises `ModelError` for a state that is not of this model and these settings.
        """
        self.clear()
        try:
            write_state(self._context, self._prefix, state)
        except ModelError:
            self.clear()
            raise
        self._kept, self._alone, self._any_place = state.tokens, len(state.tokens), True

    def clear(self) -> None:
        """Forget everything."""
        self._kept, self._alone = (), 0
        self._used.clear()
        self._lib.llama_memory_clear(self._memory, False)

    def _cut(self, length: int) -> bool:
        """Cut the kept prefix to its first tokens; return False where the model cannot go back.

        A recurrent state cannot be rewound, and a sliding window may have dropped what the shorter
        sequence needs.
        """
        if length == len(self._kept):
            return True
        lib, memory, prefix = self._lib, self._memory, self._prefix
        if not lib.llama_memory_seq_rm(memory, prefix, length, -1):
            return False
        self._kept, self._alone = self._kept[:length], min(self._alone, length)
        first: int = lib.llama_memory_seq_pos_min(memory, prefix)
        last: int = lib.llama_memory_seq_pos_max(memory, prefix)
        return first <= 0 and last == length - 1

    def decode(
        self,
        tokens: Ints,
        positions: Ints,
        sequences: Ints,
        outputs: Ints,
        counts: Ints | None = None,
    ) -> Logits:
        """Decode a batch, and return the logits after the tokens at the indices `outputs`.

        `counts` has the number of sequences of each token, where any has more than one; these must
        have the same past. The array, (outputs, vocabulary), is valid until the next call, and may
        be written to. Raises `ModelError` where the batch breaks the rules of llama.cpp, or
        llama.cpp fails.
        """
        count, limits = len(tokens), self.limits
        if not 0 < count <= limits.batch or len(outputs) > limits.outputs:
            raise ModelError(
                tr(
                    "a batch of {count} tokens with {outputs} outputs",
                    count=count,
                    outputs=len(outputs),
                )
            )
        for name, values, end in (
            ("sequences", sequences, limits.sequences),
            ("positions", positions, self.length),
            ("tokens", tokens, self.n_vocab),
        ):
            if values.min() < 0 or values.max() >= end:
                raise ModelError(
                    tr("a batch with {name} beyond 0 to {last}", name=name, last=end - 1)
                )
        if counts is not None and not (self._joins and _counts(counts, tokens, sequences)):
            raise ModelError(tr("a batch with tokens in several sequences, which it cannot have"))
        batch = self._batch.fill(tokens, positions, sequences, outputs, counts)
        self._used.update(sequences.tolist())
        forget_errors()
        start = perf_counter()
        fills = count < TILE and int(positions.sum()) > self._fill * (TILE - count) > 0
        if fills:
            self._batch.add(TILE - count, self._prefix + 1)
        code = compute(self._lib.llama_decode, self._context, batch)
        if fills:
            self._lib.llama_memory_seq_rm(self._memory, self._prefix + 1, -1, -1)
        self._usage.decode_seconds += perf_counter() - start
        self._usage.decoded_tokens += count
        if code != 0:
            reason = {1: tr("no room in the context"), 2: tr("interrupted")}.get(code, errors())
            raise ModelError(
                tr(
                    "llama.cpp could not read a batch (code {code}): {reason}",
                    code=code,
                    reason=reason,
                )
            )
        if not len(outputs):
            return np.empty((0, self.n_vocab), np.float32)
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (len(outputs), self.n_vocab))

    def fork(self, source: int, target: int) -> None:
        """Make sequence `target` a copy of `source`."""
        self._used.add(target)
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._used.discard(sequence)


def _params(settings: RuntimeSettings, length: int, sequences: int) -> Any:
    lib = library()
    params = lib.llama_context_default_params()
    # llama.cpp aborts where the sequences outnumber the tokens of a batch, and makes batches
    # smaller where they outnumber the cells.
    params.n_batch = max(settings.batch, sequences)
    params.n_ubatch = settings.batch
    # The longest prompt should leave room to work on others beside it; llama.cpp rounds to 256.
    params.n_ctx = -(-max(length + 2 * settings.batch, params.n_batch) // 256) * 256
    params.n_seq_max = sequences
    params.n_threads = params.n_threads_batch = settings.threads
    whole = settings.cache == "f32"
    params.type_k = params.type_v = lib.GGML_TYPE_F32 if whole else lib.GGML_TYPE_F16
    params.flash_attn_type = (
        lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if settings.flash_attention
        else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    return params


def _counts(counts: Ints, tokens: Ints, sequences: Ints) -> bool:
    """Return whether there are as many sequences as the tokens' counts come to."""
    fits = len(counts) == len(tokens) and counts.sum() == len(sequences)
    return bool(fits and counts.min() > 0)
