"""A trial of a model file, and of an adapter for it, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from promptkit.errors import ModelError
from promptkit.models.gguf.header import read_header
from promptkit.models.planning.executor import check_finite
from promptkit.models.prepare.adapter_file import check_weights
from promptkit.models.prepare.isolated import serve
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.library import library
from promptkit.models.runtime.loaded_model import Adapter, LoadedModel, new_adapter
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.translation import tr


def main(path: str, lora: str | None = None) -> str:
    """Decode a few tokens. Raises `PromptkitError` for a file that cannot be used."""
    lib, model = library(), LoadedModel(Path(path), check=True)
    if model.trained_length < 1 or lib.llama_model_has_encoder(model.pointer):
        raise ModelError(tr("not a model that continues text"))
    if lora:
        check_weights(read_header(lora))
        adapters = (Adapter(new_adapter(model, Path(lora)), "", 1.0),)
    vocabulary = Vocabulary(model, read_header(path))
    settings = RuntimeSettings(threads=1, batch=64)
    context = Context(model, length=model.context_length(None, 256), settings=settings)
    if not context.has_memory:
        raise ModelError(tr("not a model that continues text"))
    tokens = [token for token in (vocabulary.bos,) if token is not None]
    tokens = [*tokens, *vocabulary.plain("a 1\n")][:8] or [0]
    if lora:
        context.adapt(adapters)
    places = np.arange(len(tokens), dtype=np.int32)
    rows = context.decode(np.array(tokens, np.int32), places, places * 0, places[-1:])
    check_finite(rows.max(axis=1))
    for token in tokens:
        vocabulary.piece(token)
    lib.llama_model_chat_template(model.pointer, None)
    return ""


if __name__ == "__main__":
    serve(main)
