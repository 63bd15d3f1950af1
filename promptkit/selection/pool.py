"""A pool of demonstrations, with values for selections that are computed on first use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from promptkit.tasks.examples import canonical, output_key, text_key, text_of, texts_of

if TYPE_CHECKING:
    from promptkit.selection.similarity import Embed, Vectors
    from promptkit.tasks.example_set import ExampleSet
    from promptkit.tasks.examples import Example


def digest(purpose: str, seed: int, text: str) -> bytes:
    """Return a number drawn by the seed for a text: an example's id, or a label.

    Draws for different purposes are independent of each other.
    """
    return hashlib.sha256(canonical([purpose, seed, text])).digest()


def normal_forms(example: Example[Any, Any]) -> tuple[str, ...]:
    """Return the `normal_form` of an example's input, then of its translations by language."""
    from promptkit.tasks.near_duplicates import normal_form

    others = [example.translations[tag] for tag in sorted(example.translations)]
    return tuple([normal_form(texts_of(one)) for one in (example.input, *others)])


class Pool:
    """A pool that shots are drawn from; examples are known by their indices in it."""

    def __init__(self, examples: ExampleSet[Any, Any]) -> None:
        self.examples = examples
        self._permutations: dict[int, tuple[int, ...]] = {}
        self.rankings: dict[tuple[object, int], tuple[int, Sequence[int]]] = {}
        """Rankings that do not depend on the query, with their lengths; see `Fixed.ranked`."""
        self._vectors: dict[Embed | None, Vectors] = {}
        self._normal: dict[int, tuple[str, ...]] = {}
        self._keys: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def languages(self) -> int:
        """Number of languages that the examples have texts in."""
        return 1 + len(self.examples[0].translations) if len(self) else 1

    @cached_property
    def indices(self) -> Mapping[str, int]:
        """The indices by id."""
        return {example.id: index for index, example in enumerate(self.examples)}

    @cached_property
    def labels(self) -> Sequence[str]:
        """The `output_key` of each example, which tells labels apart."""
        return [output_key(example.output) for example in self.examples]

    @cached_property
    def by_label(self) -> Mapping[str, tuple[int, ...]]:
        """The indices of every label's examples; the labels as they first come."""
        found: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(label, []).append(index)
        return {label: tuple(indices) for label, indices in found.items()}

    @cached_property
    def members(self) -> Sequence[Any]:
        """The same as arrays, without the labels."""
        import numpy as np

        return [np.array(indices) for indices in self.by_label.values()]

    def permutation(self, seed: int) -> tuple[int, ...]:
        """All indices in an order drawn by the seed.

        Examples are sorted by a digest of the seed and their id, which is a uniform draw and the
        same in every Python version. The rest of the pool does not count, so that an added row
        takes a place of its own between the others and moves none of them past another.
        """
        if seed not in self._permutations:
            digests = [digest("shots", seed, example.id) for example in self.examples]
            drawn = sorted(range(len(self)), key=digests.__getitem__)
            self._permutations[seed] = tuple(drawn)
        return self._permutations[seed]

    def vectors(self, embed: Embed | None) -> Vectors:
        """The inputs as vectors, by TF-IDF where nothing else embeds them."""
        if embed not in self._vectors:
            from promptkit.selection.similarity import Embedded, TfIdf

            texts = [text_of(example.input) for example in self.examples]
            self._vectors[embed] = TfIdf(texts) if embed is None else Embedded(texts, embed)
        return self._vectors[embed]

    def normal(self, index: int) -> tuple[str, ...]:
        """Return the `normal_forms` of an example, for detecting near-duplicates."""
        if index not in self._normal:
            self._normal[index] = normal_forms(self.examples[index])
        return self._normal[index]

    def keys(self, index: int) -> frozenset[str]:
        """The `text_key` of an example's input, and of its translations."""
        if index not in self._keys:
            example = self.examples[index]
            inputs = (example.input, *example.translations.values())
            self._keys[index] = frozenset(map(text_key, inputs))
        return self._keys[index]

    def __getitem__(self, index: int) -> Example[Any, Any]:
        return self.examples[index]
