"""Vectors of texts by a GGUF model: such a student needs llama.cpp and the model's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import ModelError, PromptError
from promptkit.students.features import Floats, Scorer
from promptkit.translation import tr

_MOST = 20_000  # texts whose vectors are remembered: a learning curve asks the same ones again


class RememberedVectors:
    """A function of texts that asks an embedder once for each, until there are too many."""

    def __init__(self, embed: Callable[[Sequence[str]], Any], dimensions: int) -> None:
        self._embed, self.dimensions = embed, dimensions
        self._known: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, (texts, dimensions); of the beginnings of long ones."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > _MOST:
            self._known.clear()
            new = [*dict.fromkeys(texts)]
        found = dict(zip(new, self._vectors(new), strict=True))
        if len(found) <= _MOST:
            self._known.update(found)
        rows = [self._known[text] if text in self._known else found[text] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.dimensions)

    def _vectors(self, texts: Sequence[str]) -> Sequence[Floats]:
        """Return the vectors of texts; one that does not fit the context loses its second half."""
        if not texts:
            return []
        try:
            return [*np.asarray(self._embed(texts), np.float32)]
        except PromptError:
            if len(texts) == 1:
                return self._vectors([texts[0][: len(texts[0]) // 2]])
            middle = len(texts) // 2
            return [*self._vectors(texts[:middle]), *self._vectors(texts[middle:])]


@lru_cache(maxsize=2)
def vectors_of(name: str) -> RememberedVectors:
    """Return the vectors of a GGUF model, loaded once. Raises what `load_embedder` raises."""
    from promptkit.models.embedding import load_embedder

    embedder = load_embedder(name)
    return RememberedVectors(embedder, embedder.dimensions)


@lru_cache(maxsize=2)
def digest_of(name: str) -> str:
    """Return the SHA-256 of a GGUF model's file. Raises `ModelError`."""
    from promptkit.models.prepare.model_files import find, verify

    return verify(find(name), trial="embedding_trial").sha256


@dataclass(frozen=True, eq=False)
class GgufFeatures:
    """Vectors of texts by a model, whose file is found by its name and checked by its digest."""

    model: str
    sha256: str
    dimensions: int

    kind = "gguf"

    @classmethod
    def of(cls, model: str) -> GgufFeatures:
        """Return the vectors of a model: a path, `smollm2` or `hf:owner/repo/file.gguf`.

        Raises:
            ModelError: The model cannot be found, or makes no vectors.
        """
        return cls(model, digest_of(model), vectors_of(model).dimensions)

    @property
    def columns(self) -> int:
        """Number of dimensions."""
        return self.dimensions

    @property
    def settings(self) -> Mapping[str, Any]:
        """The model and its digest."""
        return {"model": self.model, "sha256": self.sha256, "dimensions": self.dimensions}

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Nothing: the numbers are in the model's file."""
        return {}

    @classmethod
    def from_arrays(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> GgufFeatures:
        """Return the features that `settings` describe. Raises ValueError."""
        if arrays:
            raise ValueError(
                tr("arrays that do not belong to it: {arrays}", arrays=", ".join(arrays))
            )
        return cls(settings["model"], settings["sha256"], settings["dimensions"])

    def matrix(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, (texts, dimensions).

        Raises:
            ModelError: The model is not found, or not the one that the student learnt with.
        """
        if digest_of(self.model) != self.sha256:
            raise ModelError(
                tr(
                    "{model}: not the model that the student learnt with (SHA-256 {sha256}…); "
                    "bring that one back",
                    model=self.model,
                    sha256=self.sha256[:12],
                )
            )
        return vectors_of(self.model)(texts)

    def scorer(self, weights: Floats) -> Scorer:
        """Return the function that multiplies vectors with weights, (columns, outputs)."""
        return lambda texts: np.asarray(self.matrix(texts) @ weights, np.float64)
