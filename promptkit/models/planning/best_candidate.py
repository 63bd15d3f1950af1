"""The best candidate of a prompt by branch and bound over the trie of its candidates.

What is not read of a candidate can only lower its log-probability. So the sum of what is read is
the most that it can have, and a candidate with less than another one has for certain is not read
on.

What comes of this does not depend on the order of reading; its cost does. The order is guessed from
the candidates of other prompts: the one that promises most is read to its end, and each other one
as far as it takes, by all appearances, to fall below that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from promptkit.models.planning.candidate_trie import Floats, Ints, Sums, Tokens, candidate_trie
from promptkit.models.planning.prefix_trie import Item
from promptkit.prompts.prompt import TokenizedPrompt

_LEAST = 0.01
"""Distance, in nats, from which on one of two candidates is surely the better: far more than
rounding moves a log-probability, or lifts it above 0."""

_PRIOR = -0.5
"""Log-probability of a token before any is read, in nats, as if it had been read once."""

_LOWEST = -30.0
"""Least log-probability that is remembered, in nats."""


def scored_item(prompt: TokenizedPrompt, tolerance: float) -> Item:
    """Return a prompt as an item whose candidates are scored.

    Args:
        prompt: The prompt, with candidates.
        tolerance: The model's tolerance of margins, within which two candidates are nearly tied.
    """
    within = tolerance + _LEAST if prompt.prompt.best else None
    return Item(prompt.ids, prompt.candidates, within=within)


class Habits:
    """Means of log-probabilities over the prompts of a run with the same candidates."""

    def __init__(self, size: int) -> None:
        """Begin without any; `size` is the number of edges."""
        self._sums, self._counts = np.full(size, _PRIOR), np.ones(size)

    def add(self, edges: slice, logprobs: Floats) -> None:
        """Take the log-probabilities of some edges."""
        self._sums[edges] += np.maximum(logprobs, _LOWEST)
        self._counts[edges] += 1

    @property
    def expected(self) -> Floats:
        """The log-probability that each edge is expected to have, in nats."""
        means: Floats = self._sums / self._counts
        return means


class NextReads(NamedTuple):
    """The next reads of a search, of the segments that wait."""

    go_on: Mapping[int, int]
    """The segments to read next, each with a number of tokens."""
    leave_out: Collection[int]
    """Segments that need not be read on."""
    resolved: bool
    """True where nothing more need be read."""


_WAIT = NextReads({}, (), resolved=False)


class BestCandidate:
    """The search for the best of some candidates, given log-probabilities as they are read.

    Every candidate within a distance of the best is read in full, so that it is known how near to
    a tie they are.
    """

    def __init__(self, candidates: tuple[Tokens, ...], within: float, habits: Habits) -> None:
        """Begin a search.

        Args:
            candidates: The candidates.
            within: The distance, in nats, above 0.
            habits: What other prompts have shown of these candidates.
        """
        self._trie, self._paths = candidate_trie(candidates), _paths(candidates)
        self._within, self._habits = within, habits
        self._logprobs = np.zeros(self._trie.size)  # the most that one can be
        self._unread = np.ones(self._trie.size)
        self._asked: set[int] = set()
        """Points that are to be read before there is another choice."""

    def read(self, point: int, logprobs: Floats) -> None:
        """Take the log-probabilities of the edges that follow a point."""
        edges = self._trie.edges[point]
        self._logprobs[edges], self._unread[edges] = logprobs, 0
        self._habits.add(edges, logprobs)
        self._asked.discard(point)

    def choose(self, waiting: Collection[int]) -> NextReads:
        """Return what to do with the segments that can be read, or left out, now."""
        if self._asked:
            return _WAIT
        bounds, known = self._sums(self._logprobs), self._known
        least = bounds[known].max(initial=-np.inf) - self._within
        within_reach = ~known & ~(bounds < least)
        if not within_reach.any():
            return NextReads({}, [*waiting], resolved=True)
        expected = self._habits.expected
        hopes = bounds + self._sums(expected * self._unread)
        aim = hopes[known | within_reach].max() - self._within
        wanted: set[int] = set()
        for index in np.flatnonzero(within_reach & ~(bounds < aim)).tolist():
            wanted.update(self._needed(index, bounds[index], aim, expected))
        segments = Counter(self._paths.segments[point] for point in wanted)
        go_on = {one: count for one, count in segments.items() if one in waiting}
        self._asked = {point for point in wanted if self._paths.segments[point] in go_on}
        if least == -np.inf:
            return NextReads(go_on, (), resolved=False)
        on_a_path = {
            self._paths.segments[point]
            for index in np.flatnonzero(within_reach)
            for _, point in self._paths.steps[index]
        }
        return NextReads(go_on, [one for one in waiting if one not in on_a_path], resolved=False)

    def _needed(self, index: int, bound: float, aim: float, expected: Floats) -> Iterator[int]:
        """Yield the points of a candidate up to where it is expected to fall below an aim."""
        for edge, point in self._paths.steps[index]:
            if bound < aim:
                return
            if self._unread[edge]:
                yield point
                bound += expected[edge]

    @property
    def sums(self) -> Sums:
        """Log-probabilities; of a candidate that was not read in full, the most that it can be."""
        unknown = np.flatnonzero(~self._known)
        return Sums(self._trie.sums(self._logprobs), tuple(unknown.tolist()))

    @property
    def _known(self) -> Any:
        """True for each candidate that was read in full."""
        return self._sums(self._unread) == 0

    def _sums(self, edges: Floats) -> Any:
        """Return the sum of each candidate's edges."""
        return np.add.reduceat(edges[self._paths.edges], self._paths.starts)


class _Paths(NamedTuple):
    """The ways through a trie to each of its candidates."""

    edges: Ints
    """The edges of all candidates, one candidate after another."""
    starts: Ints
    """Per candidate, where its edges begin."""
    steps: tuple[tuple[tuple[int, int], ...], ...]
    """Per candidate, its edges but the first, each with the point that it follows."""
    segments: Mapping[int, int]
    """By point, the segment that it is in; the prompt's end is in none."""


@lru_cache(maxsize=1024)
def _paths(candidates: tuple[Tokens, ...]) -> _Paths:
    trie = candidate_trie(candidates)
    points = {prefix: point for point, prefix in enumerate(trie.prefixes)}
    steps = [
        tuple([(int(terms[end]), points[candidate[:end]]) for end in range(1, len(candidate))])
        for candidate, terms in zip(candidates, trie.terms, strict=True)
    ]
    lengths = [len(terms) for terms in trie.terms]
    return _Paths(
        np.concatenate(trie.terms),
        np.cumsum([0, *lengths[:-1]], dtype=np.intp),
        tuple(steps),
        {point: place for place, one in enumerate(trie.segments) for point in one.points},
    )
