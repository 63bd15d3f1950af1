"""The candidates of a prompt as a trie of tokens that are decoded after it.

A candidate's last token is never decoded, only predicted, and a prefix that several candidates
share is decoded once. Candidates are the same for most prompts of a task, so their trie is made
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Tokens = tuple[int, ...]
Ints = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


class Sums(NamedTuple):
    """Log-probabilities of candidates."""

    logprobs: tuple[float, ...]
    """Per candidate, the sum of its tokens' log-probabilities."""
    unknown: tuple[int, ...] = ()
    """Candidates that were not read in full: each has the most that it can have."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that are decoded one after another; after each of them, logits are wanted."""

    tokens: Tokens
    below: tuple[int, ...]
    """The indices of the segments that continue from its end."""
    points: tuple[int, ...]
    """Per token, the point that decoding it reaches."""
    height: int
    """The tokens on the longest path from here down, this segment included."""
    need: int
    """The sequences that finishing everything below takes, besides the segment's own."""


@dataclass(frozen=True, slots=True)
class CandidateTrie:
    """The tokens of some candidates, with the log-probabilities that their scores take.

    A point is a prefix of candidates after which logits are wanted; point 0 is the prompt's end. An
    edge is a token that follows a point: its log-probability is one term of some candidates.
    """

    prefixes: tuple[Tokens, ...]
    """Per point, the tokens between the prompt's end and it."""
    targets: tuple[Ints, ...]
    """Per point, the tokens whose logits are wanted there."""
    edges: tuple[slice, ...]
    """Per point, where its edges stand among all of them."""
    segments: tuple[Segment, ...]
    roots: tuple[int, ...]
    """The segments that continue from the prompt's end."""
    width: int
    """The leaves: the sequences it takes to decode all of it side by side."""
    height: int
    """The tokens on the longest path."""
    terms: tuple[Ints, ...]
    """Per candidate, its edges."""

    @property
    def tokens(self) -> int:
        """The number of tokens to decode."""
        return sum(len(segment.tokens) for segment in self.segments)

    @property
    def size(self) -> int:
        """The number of edges."""
        return sum(len(targets) for targets in self.targets)

    def sums(self, logprobs: Floats) -> tuple[float, ...]:
        """Return the log-probability of each candidate, given those of all edges."""
        return tuple(float(logprobs[terms].sum()) for terms in self.terms)


@lru_cache(maxsize=1024)
def candidate_trie(candidates: tuple[Tokens, ...]) -> CandidateTrie:
    """Return the trie of these candidates, each the tokens after the prompt."""
    asked: dict[Tokens, dict[int, int]] = {(): {}}
    for candidate in candidates:
        for end, token in enumerate(candidate):
            asked.setdefault(candidate[:end], {})[token] = 0
    points = sorted(asked)
    edge = 0
    edges: list[slice] = []
    for point in points:
        edges.append(slice(edge, edge + len(asked[point])))
        for token in asked[point]:
            asked[point][token] = edge
            edge += 1
    terms = [
        np.array([asked[c[:end]][token] for end, token in enumerate(c)], np.intp)
        for c in candidates
    ]
    segments, roots = _segments(points)
    return CandidateTrie(
        prefixes=tuple(points),
        targets=tuple(np.array(list(asked[point]), np.intp) for point in points),
        edges=tuple(edges),
        segments=tuple(segments),
        roots=tuple(roots),
        width=max(sum(not segment.below for segment in segments), 1),
        height=max((segments[root].height for root in roots), default=0),
        terms=tuple(terms),
    )


def _segments(points: Sequence[Tokens]) -> tuple[list[Segment], list[int]]:
    """Return the points but the first as segments, cut where they branch, and the roots."""
    following: dict[Tokens, list[int]] = {}
    for index, point in enumerate(points[1:], start=1):
        following.setdefault(point[:-1], []).append(index)
    segments: dict[int, Segment] = {}  # by the first point of each
    for index in reversed(range(1, len(points))):  # what continues from a point comes after it
        if len(points[index]) > 1 and len(following[points[index][:-1]]) == 1:
            continue  # it stands inside a segment
        inside = [index]
        while len(below := following.get(points[inside[-1]], [])) == 1:
            inside += below
        segments[index] = Segment(
            tokens=tuple(points[point][-1] for point in inside),
            below=tuple(below),
            points=tuple(inside),
            height=len(inside) + max((segments[point].height for point in below), default=0),
            need=forks_needed([segments[point].need for point in below]),
        )
    place = {point: at for at, point in enumerate(segments)}
    ordered = [
        replace(segment, below=tuple(place[point] for point in segment.below))
        for segment in segments.values()
    ]
    return ordered, [place[point] for point in following.get((), [])]


def forks_needed(needs: Sequence[int]) -> int:
    """Return the sequences that finishing some children takes, besides their parent's own.

    The neediest comes last and takes over the parent's sequence; the others are forks of it.
    """
    most = second = -1
    for need in needs:
        if need > most:
            most, second = need, most
        elif need > second:
            second = need
    return max(most, second + 1, 0)
