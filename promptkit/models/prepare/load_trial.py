"""Loads a model file on trial: `python -m promptkit.models.prepare.load_trial FILE [ADAPTER]`.

Run in a process of its own, because llama.cpp ends the process for some damaged files. Exits with
0, or with 1 after printing the reason; a crash is for the caller to see.
"""

from __future__ import annotations

import os

import numpy as np

from promptkit.errors import ModelError
from promptkit.models.base import Usage
from promptkit.models.gguf.header import read_header
from promptkit.models.planning.executor import check_finite
from promptkit.models.prepare.isolated import serve
from promptkit.models.runtime.adapter import Adapter, check_weights
from promptkit.models.runtime.context import Context, Settings
from promptkit.models.runtime.library import errors, library, load
from promptkit.models.runtime.vocabulary import Vocabulary


def main(path: str, lora: str | None = None) -> str:
    """Raises `PromptkitError` for a file that cannot be used."""
    lib, model = library(), load(path, check=True)
    if lib.llama_model_n_ctx_train(model) < 1 or lib.llama_model_has_encoder(model):
        raise ModelError("not a model that continues text")
    if lora:
        check_weights(read_header(lora))
    adapter = lib.llama_adapter_lora_init(model, os.fsencode(lora)) if lora else None
    if lora and not adapter:
        raise ModelError(f"llama.cpp cannot load the adapter: {errors() or 'no reason given'}")
    vocabulary = Vocabulary(model, read_header(path))
    context = Context(
        model,
        length=min(256, lib.llama_model_n_ctx_train(model)),
        settings=Settings(threads=1, batch=64),
        usage=Usage(),
    )
    if not context.has_memory:
        raise ModelError("not a model that continues text")
    tokens = [token for token in (vocabulary.bos,) if token is not None]
    tokens = [*tokens, *vocabulary.plain("a 1\n")][:8] or [0]
    if adapter:
        context.adapt((Adapter(adapter, "", 1.0),))
    places = np.arange(len(tokens), dtype=np.int32)
    rows = context.decode(np.array(tokens, np.int32), places, places * 0, places[-1:])
    check_finite(rows.max(axis=1))
    for token in tokens:
        vocabulary.piece(token)
    lib.llama_model_chat_template(model, None)
    return ""


if __name__ == "__main__":
    serve(main)
