"""The candidates of a prompt as a tree: what is read after the prompt, and what each row is for.

A candidate's last token is never read, only predicted, and a beginning that several candidates
share is read once. Candidates are the same for most prompts of a task, so their tree is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Tokens = tuple[int, ...]
Ints = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that are read one after another; after each of them, logits are wanted."""

    tokens: Tokens
    below: tuple[int, ...]
    """The indices of the runs that go on from its end."""
    points: tuple[int, ...]
    """Per token, the point that reading it makes."""
    height: int
    """The tokens on the longest path from here down, this run included."""
    need: int
    """The sequences that finishing everything below takes, besides the run's own."""


@dataclass(frozen=True, slots=True)
class Fan:
    """What scoring some candidates takes.

    A point is a beginning of candidates after which logits are wanted; point 0 is the prompt's
    end. An edge is a token asked of a point: its log-probability is one term of some candidates.
    """

    prefixes: tuple[Tokens, ...]
    """Per point, the tokens between the prompt's end and it."""
    targets: tuple[Ints, ...]
    """Per point, the tokens that are asked of its logits."""
    edges: tuple[slice, ...]
    """Per point, where its edges stand among all of them."""
    runs: tuple[Run, ...]
    roots: tuple[int, ...]
    """The runs that go on from the prompt's end."""
    width: int
    """The ends of the tree: the sequences it takes to read all of it side by side."""
    height: int
    """The tokens on the longest path."""
    _terms: tuple[Ints, ...]
    """Per candidate, its edges."""

    @property
    def tokens(self) -> int:
        """The tokens to read."""
        return sum(len(run.tokens) for run in self.runs)

    @property
    def size(self) -> int:
        """The number of edges."""
        return sum(len(targets) for targets in self.targets)

    def sums(self, logprobs: Floats) -> tuple[float, ...]:
        """Per candidate, the sum of its tokens' log-probabilities, given those of all edges."""
        return tuple(float(logprobs[terms].sum()) for terms in self._terms)


@lru_cache(maxsize=1024)
def fan_of(candidates: tuple[Tokens, ...]) -> Fan:
    """The tree of these candidates, each the tokens after the prompt."""
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
    runs, roots = _runs(points)
    return Fan(
        prefixes=tuple(points),
        targets=tuple(np.array(list(asked[point]), np.intp) for point in points),
        edges=tuple(edges),
        runs=tuple(runs),
        roots=tuple(roots),
        width=max(sum(not run.below for run in runs), 1),
        height=max((runs[root].height for root in roots), default=0),
        _terms=tuple(terms),
    )


def _runs(points: Sequence[Tokens]) -> tuple[list[Run], list[int]]:
    """The points but the first as runs, cut where they branch; and which of them are roots."""
    following: dict[Tokens, list[int]] = {}
    for index, point in enumerate(points[1:], start=1):
        following.setdefault(point[:-1], []).append(index)
    runs: dict[int, Run] = {}  # by the first point of each
    for index in reversed(range(1, len(points))):  # what goes on from a point comes after it
        if len(points[index]) > 1 and len(following[points[index][:-1]]) == 1:
            continue  # it stands inside a run
        inside = [index]
        while len(below := following.get(points[inside[-1]], [])) == 1:
            inside += below
        runs[index] = Run(
            tokens=tuple(points[point][-1] for point in inside),
            below=tuple(below),
            points=tuple(inside),
            height=len(inside) + max((runs[point].height for point in below), default=0),
            need=forks_needed([runs[point].need for point in below]),
        )
    place = {point: at for at, point in enumerate(runs)}
    ordered = [
        replace(run, below=tuple(place[point] for point in run.below)) for run in runs.values()
    ]
    return ordered, [place[point] for point in following.get((), [])]


def forks_needed(needs: Sequence[int]) -> int:
    """The sequences that finishing some children takes, besides their parent's own.

    The neediest comes last and takes over the parent's sequence; the others are forks of it.
    """
    most = second = -1
    for need in needs:
        if need > most:
            most, second = need, most
        elif need > second:
            second = need
    return max(most, second + 1, 0)
