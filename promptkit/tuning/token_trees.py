"""Prompts with their candidates as trees of tokens, and what training wants of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenTree:
    """Tokens of a prompt, and those of its candidates but for the last ones.

    The prompt's tokens come first, each after the one before; a candidate's follow the token that
    `parents` names.
    """

    tokens: Ints
    parents: Ints
    length: int
    """Number of tokens of the prompt."""
    scored: tuple[tuple[tuple[int, int], ...], ...]
    """Per candidate, the (place, token) pairs whose log-probabilities add up to its own: the token
    that is predicted at a place of the tree."""
    target: NDArray[np.float64]
    """Probability that each candidate is to have."""
    query: str | None = None
    """Id of the query."""
    shots: tuple[str, ...] = ()
    """Ids of the shots, which prompts with a long common prefix share."""


def token_tree(
    ids: Sequence[int],
    candidates: Sequence[Sequence[int]],
    target: Sequence[float],
    **names: Any,
) -> TokenTree:
    """Return the tree of a prompt.

    Args:
        ids: Tokens of the prompt.
        candidates: Tokens of each candidate.
        target: Probability that each candidate is to have.
        names: The `query` and the `shots`.
    """
    tokens, parents = [*ids], [*range(-1, len(ids) - 1)]
    places: dict[tuple[int, ...], int] = {(): len(ids) - 1}
    scored = []
    for candidate in candidates:
        pairs = []
        for end, token in enumerate(candidate):
            path = tuple(candidate[:end])
            if path not in places:
                places[path] = len(tokens)
                tokens.append(path[-1])
                parents.append(places[path[:-1]])
            pairs.append((places[path], token))
        scored.append(tuple(pairs))
    return TokenTree(
        np.array(tokens, np.int64),
        np.array(parents, np.int64),
        len(ids),
        tuple(scored),
        np.array(target, np.float64),
        **names,
    )


@dataclass(frozen=True)
class PromptGroup:
    """Prompts that begin with the same tokens."""

    prefix: Ints
    """These tokens; each prompt has at least one more."""
    trees: tuple[TokenTree, ...]
    key: tuple[str, ...] = field(default=())
    """Ids of their shots, empty for a group of prompts with different ones."""

    def tails(self) -> list[int]:
        """Return the number of tokens of each prompt after the prefix."""
        return [len(tree.tokens) - len(self.prefix) for tree in self.trees]


def prompt_groups(trees: Sequence[TokenTree], least: int) -> list[PromptGroup]:
    """Return prompts in groups that share what their shots have in common.

    Args:
        trees: The prompts.
        least: Number of prompts below which a group is not worth its own batches; the prompts of
            all such groups are one, which shares what all of them begin with.
    """
    by_shots: dict[tuple[str, ...], list[TokenTree]] = {}
    for tree in trees:
        by_shots.setdefault(tree.shots, []).append(tree)
    groups = {key: same for key, same in by_shots.items() if len(same) >= least}
    rest = [tree for key, same in by_shots.items() if key not in groups for tree in same]
    if rest:
        groups[()] = [*groups.get((), []), *rest]
    return [PromptGroup(_shared(same), tuple(same), key) for key, same in groups.items()]


def _shared(trees: Sequence[TokenTree]) -> Ints:
    """Return the tokens that prompts begin with, one fewer than the shortest has at the most."""
    most = min(tree.length for tree in trees) - 1
    if len(trees) == 1:
        return trees[0].tokens[:0]
    first = trees[0].tokens[:most]
    for tree in trees[1:]:
        differing = np.flatnonzero(first != tree.tokens[: len(first)])
        first = first[: differing[0]] if len(differing) else first
    return first
