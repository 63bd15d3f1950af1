"""The machine's limit: what plain `llama_decode` takes for a plan's tokens and rows.

One contiguous sequence in full micro-batches, with the fastest weights, micro-batch and attention
that are found for it. Nothing is scheduled, tokenized, reduced or stored, so no scheduler on this
runtime can be faster. The memory is cleared, and a sequence begins again, wherever tokens have
attended, on average, to as many others as the plan's tokens do.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from promptkit.prompts.prompt import TokenizedPrompt

AS_IS = "as-is"
WIDER = {
    "F16": "LLAMA_FTYPE_MOSTLY_F16",
    "BF16": "LLAMA_FTYPE_MOSTLY_BF16",
    "F32": "LLAMA_FTYPE_ALL_F32",
}
"""Types that lose little or nothing of a quantised file."""

BATCHES = (64, 128, 256, 512)
PROBE = 512
"""Number of tokens that a setting is tried with."""


@dataclass(frozen=True, slots=True)
class Load:
    """Least work of a grid."""

    tokens: int
    """Distinct prefixes of prompts with their candidates, a candidate's last token left out."""
    rows: int
    """Those of them after which logits are needed."""
    depth: float
    """The mean number of tokens in front of one."""
    naive: int
    """Tokens of a loop without prefix sharing: prompt and candidate for every candidate."""
    longest: int
    """Tokens of the longest prompt with its answer."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of the limit."""

    weights: str
    """The file's own as they are, or one of `WIDER`."""
    batch: int = 256
    flash_attention: bool = True
    half_cache: bool = True
    """Keys and values in 16 bits, not 32."""

    def __str__(self) -> str:
        cache = "F16" if self.half_cache else "F32"
        attention = "on" if self.flash_attention else "off"
        return (
            f"{self.weights} weights, micro-batches of {self.batch}, flash attention {attention}, "
            f"{cache} cache"
        )


def load_of(prompts: Iterable[TokenizedPrompt]) -> Load:
    """Count a plan independently of the planner: a trie as a dict, one token at a time."""
    nodes: dict[tuple[int, int], int] = {}
    rows: set[int] = set()
    depths = naive = longest = 0
    for prompt in prompts:
        naive += prompt.naive_tokens
        candidates = prompt.candidates or ((),)
        longest = max(longest, len(prompt.ids) + max(map(len, candidates)))
        for candidate in candidates:
            node = 0
            for depth, token in enumerate((*prompt.ids, *candidate[:-1])):
                new = len(nodes) + 1
                node = nodes.setdefault((node, token), new)
                depths += depth * (node == new)
                if depth >= len(prompt.ids) - 1:
                    rows.add(node)
    return Load(len(nodes), len(rows), depths / len(nodes), naive, longest)


def depths_of(load: Load, batch: int) -> Iterator[int]:
    """The tokens in front of each micro-batch, so that their mean depth is that of the load.

    A sequence goes on where tokens are not as deep on average. One micro-batch may be deeper than
    the load already; then each begins a sequence.
    """
    depth = total = count = 0
    while True:
        yield depth
        total, count = total + depth + batch // 2, count + 1
        depth = depth + batch if total < load.depth * count else 0


def cells_of(load: Load, batch: int) -> int:
    """The length of the longest sequence."""
    return batch * max(1, math.ceil(2 * load.depth / batch))


def seconds(path: str, load: Load, setting: Setting, threads: int) -> float:
    """The time for `load` under a setting, loading and a first batch left out."""
    with context(path, load, setting, threads) as decode:
        decode(min(load.tokens, setting.batch), 1)
        start = perf_counter()
        decode(load.tokens, load.rows)
        return perf_counter() - start


def best(
    path: str, load: Load, threads: int, folder: Path, rounds: int = 2
) -> tuple[Setting, dict[str, float]]:
    """The fastest setting, and tokens a second of all that were tried.

    `folder` is for weights in other types. One thing is varied at a time: first the weights, then
    the micro-batch, then attention.
    """
    probe = replace(
        load, tokens=PROBE, rows=max(1, min(PROBE, round(PROBE * load.rows / load.tokens)))
    )
    files = {weights: converted(path, weights, folder, threads) for weights in (AS_IS, *WIDER)}
    speeds: dict[Setting, float] = {}

    def fastest(candidates: Iterable[Setting]) -> Setting:
        candidates = list(candidates)
        for _ in range(rounds):
            for setting in candidates:
                taken = seconds(files[setting.weights], probe, setting, threads)
                speeds[setting] = max(speeds.get(setting, 0.0), PROBE / taken)
        return max(candidates, key=speeds.__getitem__)

    found = fastest(Setting(weights) for weights in files)
    found = fastest(replace(found, batch=batch) for batch in BATCHES)
    found = fastest(
        replace(found, flash_attention=flash, half_cache=half)
        for flash in (True, False)
        for half in (True, False)
    )
    return found, {str(setting): round(speed, 1) for setting, speed in speeds.items()}


def converted(path: str, weights: str, folder: Path, threads: int) -> str:
    """The same weights in a wider type, made by llama.cpp in `folder`; not made twice."""
    import llama_cpp

    if weights == AS_IS:
        return path
    target = folder / f"{Path(path).stem}-{weights}.gguf"
    if not target.exists():
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype = getattr(llama_cpp, WIDER[weights])
        params.allow_requantize = True
        params.nthread = threads
        made = target.with_suffix(".partial")
        if llama_cpp.llama_model_quantize(
            os.fsencode(path), os.fsencode(made), ctypes.byref(params)
        ):
            raise RuntimeError(f"llama.cpp cannot write {path} as {weights}")
        made.rename(target)
    return str(target)


@contextmanager
def context(
    path: str, load: Load, setting: Setting, threads: int
) -> Iterator[Callable[[int, int], None]]:
    """A function that reads so many tokens, with so many rows of logits."""
    import llama_cpp as lib

    cells = cells_of(load, setting.batch)
    model = lib.llama_model_load_from_file(os.fsencode(path), lib.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    params = lib.llama_context_default_params()
    params.n_ctx = cells
    params.n_batch = params.n_ubatch = setting.batch
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = lib.GGML_TYPE_F16 if setting.half_cache else lib.GGML_TYPE_F32
    params.flash_attn_type = (
        lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if setting.flash_attention
        else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.no_perf = True
    made = lib.llama_init_from_model(model, params)
    if not made:
        raise RuntimeError(f"llama.cpp cannot make a context of {cells} tokens")
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    batch = _Batch(lib, setting.batch)

    def decode(tokens: int, rows: int) -> None:
        ids = np.arange(tokens) * 7919 % vocabulary
        outputs = np.diff(np.arange(tokens + 1) * rows // tokens)  # spread evenly
        depths = depths_of(load, setting.batch)
        for start in range(0, tokens, setting.batch):
            depth = next(depths)
            if depth == 0:
                lib.llama_memory_clear(lib.llama_get_memory(made), False)
            part = slice(start, start + setting.batch)
            if code := lib.llama_decode(made, batch.fill(ids[part], depth, outputs[part])):
                raise RuntimeError(f"llama_decode returned {code}")
            lib.llama_synchronize(made)

    try:
        yield decode
    finally:
        lib.llama_free(made)
        lib.llama_model_free(model)


class _Batch:
    """A `llama_batch` of one sequence over numpy arrays."""

    def __init__(self, lib: Any, size: int) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "token": np.zeros(size, np.int32),
            "pos": np.zeros(size, np.int32),
            "n_seq_id": np.ones(size, np.int32),
            "seq_id": np.zeros(size, np.uintp),
            "logits": np.zeros(size, np.int8),
        }
        self._sequence = np.zeros(1, np.int32)
        self._arrays["seq_id"][:] = self._sequence.ctypes.data
        self._struct = lib.llama_batch()
        kinds = dict(lib.llama_batch._fields_)
        for name, array in self._arrays.items():
            setattr(self._struct, name, ctypes.cast(array.ctypes.data, kinds[name]))

    def fill(self, ids: npt.NDArray[Any], depth: int, outputs: npt.NDArray[Any]) -> Any:
        count = len(ids)
        self._arrays["token"][:count] = ids
        self._arrays["pos"][:count] = np.arange(depth, depth + count)
        self._arrays["logits"][:count] = outputs
        self._struct.n_tokens = count
        return self._struct
