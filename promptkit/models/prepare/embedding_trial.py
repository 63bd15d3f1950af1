"""A trial of a model file for embeddings, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from promptkit.models.gguf.header import read_header
from promptkit.models.planning.executor import check_finite
from promptkit.models.prepare.isolated import serve
from promptkit.models.runtime.embedding_context import EmbeddingContext
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.models.runtime.vocabulary import Vocabulary


def main(path: str) -> str:
    """Embed some texts. Raises `PromptkitError` for a file that cannot be used."""
    header = read_header(path)
    model = LoadedModel(Path(path), check=True)
    length = model.context_length(None, 64)
    context = EmbeddingContext(model, header, length=length, threads=1)
    vocabulary = Vocabulary(model, header)
    texts = [ids for text in ("a 1\n", "a", "") if (ids := vocabulary.whole(text)[:length])]
    if texts:
        check_finite(context.read(texts))
    return ""


if __name__ == "__main__":
    serve(main)
