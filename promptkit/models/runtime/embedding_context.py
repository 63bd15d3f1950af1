"""A llama.cpp context that makes a vector of each text, by pooling what its tokens come to.

llama.cpp ends the process for batches longer than it was told to expect and for texts longer than
the model was trained for; its callers check both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.gguf.header import Header
from promptkit.models.runtime.library import compute, errors, forget_errors, library
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.models.runtime.token_batch import Batch
from promptkit.translation import tr

SEQUENCES = 64
"""Texts that are read at once, at most."""

Floats = NDArray[np.float32]


class EmbeddingContext:
    """A context for texts of up to `length` tokens, `size` tokens at once."""

    def __init__(self, model: LoadedModel, header: Header, *, length: int, threads: int) -> None:
        """Open a context, which is freed with its model.

        Raises `ModelFileError` where it makes no vectors, `ModelError` where memory is short.
        """
        self._lib = lib = library()
        self._model = model  # it frees this context when it goes away
        pointer = model.pointer
        if lib.llama_model_has_encoder(pointer) and lib.llama_model_has_decoder(pointer):
            raise ModelFileError(header.path, tr("a model that translates, which makes no vectors"))
        self.length, self.size = length, max(length, SEQUENCES)
        # Some models project their hidden states; older libraries cannot say so, nor run them.
        read = getattr(lib, "llama_model_n_embd_out", lib.llama_model_n_embd)
        self.dimensions = int(read(pointer))
        """The numbers of a vector."""
        params = lib.llama_context_default_params()
        # One micro-batch holds a whole batch: a text is pooled within one, and encoders read no
        # more.
        params.n_ctx = params.n_batch = params.n_ubatch = self.size
        params.n_seq_max = SEQUENCES
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.embeddings = True
        params.pooling_type = _pooling(header, lib)
        self._context = model.open_context(params, self.size)
        self._memory = lib.llama_get_memory(self._context)
        self._batch = Batch(lib, self.size)

    def read(self, texts: Sequence[Sequence[int]]) -> Floats:
        """Return the vectors, (texts, dimensions), of texts as tokens. Raises `ModelError`."""
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
            raise ModelError(
                tr(
                    "llama.cpp could not read a batch (code {code}): {errors}",
                    code=code,
                    errors=errors(),
                )
            )
        found = np.empty((len(texts), self.dimensions), np.float32)
        for sequence in range(len(texts)):
            pointer = lib.llama_get_embeddings_seq(self._context, sequence)
            if not pointer:
                raise ModelError(tr("llama.cpp gives no vectors for this model"))
            found[sequence] = np.ctypeslib.as_array(pointer, (self.dimensions,))
        return found


def _pooling(header: Header, lib: Any) -> int:
    """Return the pooling of tokens to one vector: as the file says, else their mean."""
    said = header.metadata.get(f"{header.architecture}.pooling_type", 0)
    if said == 4:  # LLAMA_POOLING_TYPE_RANK
        raise ModelFileError(
            header.path, tr("a model that ranks pairs of texts, and makes no vectors")
        )
    known = (lib.LLAMA_POOLING_TYPE_CLS, lib.LLAMA_POOLING_TYPE_LAST)
    return said if said in known else lib.LLAMA_POOLING_TYPE_MEAN  # type: ignore[return-value]
