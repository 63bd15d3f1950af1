"""A pool of demonstrations, with what selections ask of it, worked out where it is first asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from promptkit.examples import Example, ExampleSet, text_key, text_of

if TYPE_CHECKING:
    from promptkit.selecting.strategies import Fixed
    from promptkit.selecting.vectors import Embed, Vectors


class Pool:
    """A pool that shots are drawn from; examples are known by their indices in it."""

    def __init__(self, examples: ExampleSet[Any, Any]) -> None:
        self.examples = examples
        self._permutations: dict[int, tuple[int, ...]] = {}
        self._ranked: dict[tuple[Fixed, int], tuple[int, Sequence[int]]] = {}
        self._vectors: dict[Embed | None, Vectors] = {}
        self._normal: dict[int, str] = {}
        self._keys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def indices(self) -> Mapping[str, int]:
        """The indices by id."""
        return {example.id: index for index, example in enumerate(self.examples)}

    def label(self, index: int) -> str:
        """What an example's output reads as, to tell labels apart."""
        return repr(self.examples[index].output)

    @cached_property
    def by_label(self) -> Mapping[str, tuple[int, ...]]:
        """The indices of every label's examples; the labels as they first come."""
        found: dict[str, list[int]] = {}
        for index in range(len(self)):
            found.setdefault(self.label(index), []).append(index)
        return {label: tuple(indices) for label, indices in found.items()}

    @cached_property
    def members(self) -> Sequence[Any]:
        """The same as arrays, without the labels."""
        import numpy as np

        return [np.array(indices) for indices in self.by_label.values()]

    def permutation(self, seed: int) -> tuple[int, ...]:
        """An order keyed by the seed and the pool's content: sorting by a digest is a uniform draw.

        Unlike a generator of the standard library, the order is the same in every Python version.
        """
        known = self._permutations.get(seed)
        if known is None:
            digests = [self.digest(seed, example.id) for example in self.examples]
            known = tuple(sorted(range(len(self)), key=digests.__getitem__))
            self._permutations[seed] = known
        return known

    def ranked(self, selection: Fixed, seed: int, count: int) -> Sequence[int]:
        """At least `count` indices as the selection ranks them for this seed, or all."""
        key = selection, seed if selection.seeded else 0
        known = self._ranked.get(key)
        if known is None or known[0] < count:
            known = self._ranked[key] = count, selection.rank(self, seed, count)
        return known[1]

    def digest(self, seed: int, text: str) -> bytes:
        """A number drawn for a text by the seed and the pool's content."""
        return hashlib.sha256(f"{seed}\0{self.examples.fingerprint}\0{text}".encode()).digest()

    def vectors(self, embed: Embed | None) -> Vectors:
        """The inputs as vectors, by TF-IDF where nothing else embeds them."""
        known = self._vectors.get(embed)
        if known is None:
            from promptkit.selecting.vectors import Embedded, TfIdf

            texts = [text_of(example.input) for example in self.examples]
            known = TfIdf(texts) if embed is None else Embedded(texts, embed)
            self._vectors[embed] = known
        return known

    def normal(self, index: int) -> str:
        """An example's input, normalised as near repeats are looked for."""
        known = self._normal.get(index)
        if known is None:
            from promptkit.near import normalised

            known = self._normal[index] = normalised(text_of(self.examples[index].input))
        return known

    def key(self, index: int) -> str:
        """The `text_key` of an example's input."""
        known = self._keys.get(index)
        if known is None:
            known = self._keys[index] = text_key(self.examples[index].input)
        return known

    def __getitem__(self, index: int) -> Example[Any, Any]:
        return self.examples[index]
