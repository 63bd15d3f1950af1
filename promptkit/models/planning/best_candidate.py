"""The best candidate of a prompt by branch and bound over the trie of its candidates.

What is not read of a candidate can only lower its log-probability. So the sum of what is read is
the most that it can have, and a candidate with less than another one has for certain is not read
on. The one that can have the most is read first.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from promptkit.models.planning.candidate_trie import Floats, Ints, Sums, Tokens, candidate_trie
from promptkit.models.planning.prefix_trie import Item
from promptkit.prompts.prompt import TokenizedPrompt

_LEAST = 0.01
"""How far apart, in nats, candidates are at least for one of them to be surely the better: far more
than rounding moves a log-probability, or lifts it above 0."""


def scored_item(prompt: TokenizedPrompt, tolerance: float) -> Item:
    """Return a prompt as an item whose candidates are scored.

    Args:
        prompt: The prompt, with candidates.
        tolerance: The model's tolerance of margins, within which two candidates are nearly tied.
    """
    within = tolerance + _LEAST if prompt.prompt.best else None
    return Item(prompt.ids, prompt.candidates, within=within)


class Choice(NamedTuple):
    """What to do with the segments of a trie that wait."""

    go_on: int | None
    """The segment to read next; None for none before what is being read is there."""
    leave_out: Collection[int]
    """Segments that need not be read."""
    resolved: bool
    """True where nothing more need be read."""


class BestCandidate:
    """The search for the best of some candidates, given log-probabilities as they are read.

    Every candidate within a distance of the best is read in full, so that it is known how near to
    a tie they are.
    """

    def __init__(self, candidates: tuple[Tokens, ...], within: float) -> None:
        """Begin a search; `within` is the distance, in nats, above 0."""
        self._trie, self._paths = candidate_trie(candidates), _paths(candidates)
        self._within = within
        self._logprobs = np.zeros(self._trie.size)  # the most that one can be
        self._unread = np.ones(self._trie.size, np.intp)

    def read(self, point: int, logprobs: Floats) -> None:
        """Take the log-probabilities of the edges that follow a point."""
        edges = self._trie.edges[point]
        self._logprobs[edges], self._unread[edges] = logprobs, 0

    def choose(self, waiting: Collection[int]) -> Choice:
        """Return what to do with the segments that can be read, or left out, now."""
        bounds = np.add.reduceat(self._logprobs[self._paths.edges], self._paths.starts)
        known = self._known
        best = bounds[known].max(initial=-np.inf)
        within_reach = np.flatnonzero(~known & ~(bounds < best - self._within))
        if not len(within_reach):
            return Choice(None, [*waiting], resolved=True)
        top = within_reach[bounds[within_reach].argmax()]
        following = next((one for one in self._paths.segments[top] if one in waiting), None)
        if best == -np.inf:
            return Choice(following, (), resolved=False)
        wanted = {one for index in within_reach for one in self._paths.segments[index]}
        return Choice(following, [one for one in waiting if one not in wanted], resolved=False)

    @property
    def sums(self) -> Sums:
        """Log-probabilities; of a candidate that was not read in full, the most that it can be."""
        unknown = np.flatnonzero(~self._known)
        return Sums(self._trie.sums(self._logprobs), tuple(unknown.tolist()))

    @property
    def _known(self) -> Any:
        """Whether each candidate was read in full."""
        return np.add.reduceat(self._unread[self._paths.edges], self._paths.starts) == 0


class _Paths(NamedTuple):
    """The ways through a trie to each of its candidates."""

    edges: Ints
    """The edges of all candidates, one candidate after another."""
    starts: Ints
    """Per candidate, where its edges begin."""
    segments: tuple[tuple[int, ...], ...]
    """Per candidate, the segments that are read for it, from the prompt's end."""


@lru_cache(maxsize=1024)
def _paths(candidates: tuple[Tokens, ...]) -> _Paths:
    trie = candidate_trie(candidates)
    lengths = [len(terms) for terms in trie.terms]
    return _Paths(
        np.concatenate(trie.terms),
        np.cumsum([0, *lengths[:-1]], dtype=np.intp),
        tuple([tuple(trie.path(candidate)) for candidate in candidates]),
    )
