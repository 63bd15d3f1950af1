"""Texts as vectors by a GGUF model: an embedding model, or any that continues text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from promptkit.errors import ModelError, PromptError, shorten
from promptkit.models.gguf.header import read_header
from promptkit.models.planning.executor import check_finite
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.model_files import find, verify
from promptkit.models.runtime.embedding_context import SEQUENCES, EmbeddingContext, Floats
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.translation import tr

DEFAULT_CONTEXT = 512
"""The longest text, in tokens, by default, where the model was trained for as many; memory grows
with it."""


@dataclass(frozen=True)
class EmbedderOrigin:
    """What an embedder was loaded from, and how to load it again."""

    name: str
    """Path, `smollm2`, or `hf:owner/repo/file.gguf`."""
    sha256: str
    """Digest of the file."""
    context: int | None = None
    """Longest text, in tokens, as it was asked for."""

    @property
    def stem(self) -> str:
        """Name in messages and in the names of selections."""
        return Path(self.name).stem

    def __str__(self) -> str:
        """Return its name and the beginning of its digest."""
        return f"{self.name} (SHA-256 {self.sha256[:12]}…)"


def load_embedder(
    name: str | Path = "smollm2", *, context: int | None = None, threads: int | None = None
) -> Embedder:
    """Load a GGUF model that makes vectors of texts.

    An embedding model is best; any other serves as well as its hidden states do, averaged.

    Args:
        name: A path, `smollm2`, or `hf:owner/repo/file.gguf`.
        context: The longest text, in tokens; by default 512, or fewer where the model was trained
            for fewer.
        threads: The threads that compute; by default one for each physical core.

    Returns:
        The embedder, a function of texts.

    Raises:
        ModelFileError: The file is missing, damaged, or makes no vectors.
        ModelError: The file cannot be fetched, or the context is longer than the model allows.
        MissingExtraError: The name needs a package that is not installed.

    Example:
        >>> vectors = load_embedder()(["a ripe peach", "a late parcel"])
        >>> vectors.shape
        (2, 576)
    """
    path = find(name)
    file = verify(path, trial="embedding_trial")
    origin = EmbedderOrigin(str(name), file.sha256, context)
    how: Any = {"context": context, "threads": threads, "origin": origin}
    return Embedder(path, name=origin.stem, **how)


class Embedder:
    """A function from texts to vectors of length one; a text without a token becomes zeros.

    Tokens are pooled as the file says, else averaged. Threads may share an embedder, in the process
    that loaded it.

    Args:
        path: A verified model file; a damaged one can end the process (`load_embedder` verifies).
        name: The name in messages and in the names of selections.
        context: The longest text, in tokens.
        threads: The threads that compute.
        origin: How to load it again, where that is known.

    Raises:
        ModelFileError: The file makes no vectors.
        ModelError: The context is longer than the model allows, or needs too much memory.

    Example:
        >>> embedder = load_embedder("smollm2")
        >>> embedder(["a ripe peach"]).shape
        (1, 576)
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        context: int | None = None,
        threads: int | None = None,
        origin: EmbedderOrigin | None = None,
    ) -> None:
        header = read_header(path)
        self.name = name
        """The name in messages and in the names of selections."""
        self.origin = origin
        """How to load it again; None where that is not known."""
        self._model = LoadedModel(path, name=name)
        self._context = EmbeddingContext(
            self._model,
            header,
            length=self._model.context_length(context, DEFAULT_CONTEXT),
            threads=threads or cores(physical=True),
        )
        self._vocabulary = Vocabulary(self._model, header)
        self.dimensions = self._context.dimensions
        """The numbers of a vector."""

    def __reduce__(self) -> NoReturn:
        self._model.access.refuse_pickling()

    def __repr__(self) -> str:
        return f"<Embedder {self.name}: {self.dimensions} dimensions>"

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts.

        Args:
            texts: Any number of texts.

        Returns:
            An array (texts, dimensions).

        Raises:
            PromptError: Texts are longer than the context; raised before any is read.
            ModelError: llama.cpp fails, or the model was closed.
        """
        access = self._model.access
        with access.use(), access.lock:
            tokens = [self._vocabulary.whole(text) for text in texts]
        length = self._context.length
        long = [index for index, ids in enumerate(tokens) if len(ids) > length]
        if long:
            first = long[0]
            raise PromptError(
                tr(
                    "{name}: {count} of {texts} texts are longer than its context of "
                    "{length} tokens; the first has {tokens}: {text}; shorten them, or "
                    "load it with a larger context",
                    name=self.name,
                    count=len(long),
                    texts=len(texts),
                    length=length,
                    tokens=len(tokens[first]),
                    text=shorten(texts[first]),
                )
            )
        found = np.zeros((len(texts), self.dimensions), np.float32)
        for batch in self._batches(tokens):
            with access.alone():
                self._model.file.check()
                try:
                    found[batch] = self._context.read([tokens[index] for index in batch])
                    check_finite(found[batch])
                except ModelError as error:
                    raise ModelError(f"{self.name}: {error}") from None
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths > 0, lengths, 1))

    def found_as(self, origin: EmbedderOrigin) -> Embedder:
        """Return this embedder under the name that its file had in another place.

        The two share their memory.
        """
        same = object.__new__(Embedder)
        same.__dict__.update(self.__dict__, name=origin.stem, origin=origin)
        return same

    def close(self) -> None:
        """Free the model's memory; the embedder cannot be used afterwards."""
        self._model.access.close()

    def _batches(self, tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Yield the indices of texts that are read together, similar lengths side by side."""
        batch: list[int] = []
        size = 0
        for index in sorted(range(len(tokens)), key=lambda index: len(tokens[index])):
            if not tokens[index]:
                continue
            if size + len(tokens[index]) > self._context.size or len(batch) == SEQUENCES:
                yield batch
                batch, size = [], 0
            batch.append(index)
            size += len(tokens[index])
        if batch:
            yield batch
