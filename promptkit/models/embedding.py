"""Texts as vectors by a GGUF model: an embedding model, or any that continues text.

llama.cpp ends the process for batches longer than it was told to expect and for texts longer than
the model was trained for, so both are checked here.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import ModelError, ModelFileError, PromptError, shorten
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.planning.executor import check_finite
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.model_files import find, verify
from promptkit.models.runtime.access import Access
from promptkit.models.runtime.context import Batch
from promptkit.models.runtime.library import (
    compute,
    errors,
    forget_errors,
    held_interrupts,
    library,
)
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.models.runtime.watched_file import WatchedFile

DEFAULT_CONTEXT = 512
"""The longest text, in tokens, where nobody asks for another and the model was trained for as many;
memory grows with it."""

_SEQUENCES = 64
"""Texts that are read at once, at most."""

_RANK = 4
"""llama.cpp's number for models that judge pairs of texts, and have no vectors."""

Floats = NDArray[np.float32]


def load_embedder(
    name: str | Path = "smollm2", *, context: int | None = None, threads: int | None = None
) -> Embedder:
    """Loads a GGUF model that makes vectors of texts, by path, `smollm2`, or `hf:owner/repo/file`.

    An embedding model is best; any other serves as well as its hidden states do, averaged.
    `context` is the longest text in tokens, by default `DEFAULT_CONTEXT`. Raises what `load_model`
    raises.
    """
    path = find(name)
    verify(path, trial="embedding_trial")
    return Embedder(path, name=Path(str(name)).stem, context=context, threads=threads)


class Embedder:
    """Makes vectors of length one of texts; a text without a token becomes zeros.

    Tokens are pooled as the file says, else averaged. Threads may share it, in the process that
    loaded it.
    """

    def __init__(
        self, path: Path, *, name: str, context: int | None = None, threads: int | None = None
    ) -> None:
        """Raises `ModelError`; a damaged file ends the process: `load_embedder` tries it first."""
        header, lib = read_header(path), library()
        self._file = WatchedFile(path)
        self.name = name
        """What the user called it, in the names of selections."""
        pooling = _pooling(header, lib)
        forget_errors()
        with held_interrupts():
            model = lib.llama_model_load_from_file(
                os.fsencode(path), lib.llama_model_default_params()
            )
        if not model:
            raise ModelFileError(path, f"llama.cpp cannot load it: {errors() or 'no reason given'}")
        pointers = [model]
        forks = not lib.llama_supports_gpu_offload()
        release = partial(_release, lib, pointers, self._file)
        self._access = Access(name, release, forks=forks)
        weakref.finalize(self, self._access.close)
        self._file.check_loaded()
        if lib.llama_model_has_encoder(model) and lib.llama_model_has_decoder(model):
            raise ModelFileError(path, "a model that translates, which makes no vectors")
        trained: int = lib.llama_model_n_ctx_train(model)
        self._length = min(trained, DEFAULT_CONTEXT) if context is None else context
        if not 0 < self._length <= trained:
            raise ModelError(
                f"a context of {context} tokens: {path.name} was trained for {trained}"
            )
        self.dimensions: int = _dimensions(lib, model)
        """The numbers of a vector."""
        self._vocabulary = Vocabulary(model, header)
        self._lib, self._size = lib, max(self._length, _SEQUENCES)
        self._context = _context(lib, model, self._size, pooling, threads)
        pointers.append(self._context)
        self._memory = lib.llama_get_memory(self._context)
        self._batch = Batch(lib, self._size)

    def __reduce__(self) -> NoReturn:
        self._access.refuse_pickling()

    def __repr__(self) -> str:
        return f"<Embedder {self.name}: {self.dimensions} dimensions>"

    def __call__(self, texts: Sequence[str]) -> Floats:
        """The vectors, (texts, dimensions).

        Raises `PromptError` for texts longer than the context, before any is read.
        """
        with self._access.use(), self._access.lock:
            tokens = [self._vocabulary.whole(text) for text in texts]
        self._check_lengths(texts, tokens)
        found = np.zeros((len(texts), self.dimensions), np.float32)
        for batch in self._batches(tokens):
            with self._access.alone():
                self._file.check()
                found[batch] = self._read([tokens[index] for index in batch])
        try:
            check_finite(found)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths > 0, lengths, 1))

    def close(self) -> None:
        """Frees the model's memory; it is of no use afterwards."""
        self._access.close()

    def _check_lengths(self, texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> None:
        long = [index for index, ids in enumerate(tokens) if len(ids) > self._length]
        if long:
            first = long[0]
            raise PromptError(
                f"{self.name}: {len(long)} of {len(texts)} texts are longer than its context of "
                f"{self._length} tokens; the first has {len(tokens[first])}: "
                f"{shorten(texts[first])}; shorten them, or load it with a larger context"
            )

    def _batches(self, tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """The indices of texts that are read together, those of one length beside each other."""
        batch: list[int] = []
        size = 0
        for index in sorted(range(len(tokens)), key=lambda index: len(tokens[index])):
            if not tokens[index]:
                continue
            if size + len(tokens[index]) > self._size or len(batch) == _SEQUENCES:
                yield batch
                batch, size = [], 0
            batch.append(index)
            size += len(tokens[index])
        if batch:
            yield batch

    def _read(self, texts: Sequence[Sequence[int]]) -> Floats:
        """The vectors of a batch, not yet of length one."""
        lib = self._lib
        lengths = [len(ids) for ids in texts]
        count = sum(lengths)
        ids = np.concatenate([np.asarray(ids, np.int32) for ids in texts])
        places = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
        sequences = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
        batch = self._batch.fill(ids, places, sequences, np.arange(count, dtype=np.int32))
        if self._memory:
            lib.llama_memory_clear(self._memory, True)
        forget_errors()
        code = compute(lib.llama_decode, self._context, batch)
        if code != 0:
            raise ModelError(f"llama.cpp could not read a batch (code {code}): {errors()}")
        found = np.empty((len(texts), self.dimensions), np.float32)
        for sequence in range(len(texts)):
            pointer = lib.llama_get_embeddings_seq(self._context, sequence)
            if not pointer:
                raise ModelError(f"{self.name}: llama.cpp gives no vectors for this model")
            found[sequence] = np.ctypeslib.as_array(pointer, (self.dimensions,))
        return found


def _pooling(header: Header, lib: Any) -> int:
    """How tokens become one vector: as the file says, else their mean."""
    said = header.metadata.get(f"{header.architecture}.pooling_type", 0)
    if said == _RANK:
        raise ModelFileError(header.path, "a model that ranks pairs of texts, and makes no vectors")
    known = (lib.LLAMA_POOLING_TYPE_CLS, lib.LLAMA_POOLING_TYPE_LAST)
    return said if said in known else lib.LLAMA_POOLING_TYPE_MEAN  # type: ignore[return-value]


def _dimensions(lib: Any, model: Any) -> int:
    # Some models project their hidden states; older libraries cannot say so, nor run them.
    read = getattr(lib, "llama_model_n_embd_out", lib.llama_model_n_embd)
    return int(read(model))


def _context(lib: Any, model: Any, size: int, pooling: int, threads: int | None) -> Any:
    params = lib.llama_context_default_params()
    # One micro-batch holds a whole batch: a text is pooled within one, and encoders read no more.
    params.n_ctx = params.n_batch = params.n_ubatch = size
    params.n_seq_max = _SEQUENCES
    params.n_threads = params.n_threads_batch = threads or cores(physical=True)
    params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.embeddings = True
    params.pooling_type = pooling
    params.kv_unified = True
    params.swa_full = True
    params.no_perf = True
    forget_errors()
    with held_interrupts():
        context = lib.llama_init_from_model(model, params)
    if not context:
        reason = errors() or "no reason given"
        raise ModelError(f"llama.cpp cannot make a context of {size} tokens: {reason}")
    return context


def _release(lib: Any, pointers: list[Any], file: WatchedFile) -> None:
    """Frees the context, if there is one, then the model."""
    file.close()
    for context in pointers[1:]:
        lib.llama_free(context)
    lib.llama_model_free(pointers[0])
