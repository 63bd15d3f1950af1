"""The parts of a schedule: the branches of a plan, and the steps in which they are decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptkit.models.planning.candidate_trie import Segment
from promptkit.models.planning.prefix_trie import Node

Ints = npt.NDArray[np.int32]

Read = tuple[int, int, int]
"""(row, item, point)."""

Write = tuple[int, int]
"""(row, item)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: fork, decode, take the rows, drop."""

    forks: Sequence[tuple[int, int]]
    """(from, to): before decoding, sequence `to` becomes a copy of `from`."""
    tokens: Ints
    positions: Ints
    sequences: Ints
    """The sequences of each token, one token after another."""
    counts: Ints | None
    """Per token, the number of its sequences; None where each has one."""
    outputs: Ints
    """The indices in the batch after which logits are wanted."""
    reads: Sequence[Read]
    """The points of candidates that each row scores."""
    writes: Sequence[Write]
    """The rows after which an item's answer continues."""
    drops: Sequence[int]
    """Sequences that are not needed after this."""
    finished: Sequence[int]
    """Items whose candidates are all scored after this."""
    prefix: tuple[int, int] | None
    """In the step that completes the plan's prefix: a sequence that begins with it, and how many of
    its tokens were decoded without others."""
    path: tuple[int, Ints] | None
    """In the last step of a plan without answers, where it is known to be the last: a sequence, and
    the tokens that it begins with, which the latest prompts had in common."""


@dataclass(slots=True, eq=False)
class Branch:
    """A node, a segment of candidates or an answer, from when it could begin until it is done."""

    order: tuple[int, int]
    """The place in depth-first order, in which branches begin as far as there is room."""
    length: int
    depth: int
    """The position of the first token."""
    above: Branch | None
    height: int
    """The tokens on the longest path from here down, this branch included."""
    need: int
    """The sequences that finishing everything below takes, besides its own."""
    node: Node | None = None
    segment: Segment | None = None
    item: int = -1
    """The item that a segment or an answer belongs to."""
    sequence: int = -1
    offset: int = 0
    """Tokens decoded so far."""
    until: int = field(init=False)
    """Tokens after which a segment waits for what is to become of it; else all of them."""
    begun: bool = False
    to_begin: int = 0
    """Branches below that have not begun."""
    to_finish: int = 0
    """Branches below that are not done."""
    promised: int = 0
    """Sequences that are kept free for what comes below."""
    opened: bool = False
    """True once what is below could begin."""

    def __post_init__(self) -> None:
        self.until = self.length

    @property
    def children(self) -> list[Node]:
        """The nodes below; a segment and an answer have none."""
        return self.node.children if self.node is not None else []

    @property
    def writes(self) -> bool:
        """True for a node where answers are written, or below it."""
        return self.node is not None and self.node.writes

    def __lt__(self, other: Branch) -> bool:
        return self.order < other.order


@dataclass(slots=True)
class Part:
    """The tokens of a branch that are decoded in one batch."""

    branch: Branch
    start: int
    end: int
    sequences: list[int]
    """The branch's own sequence, and those of branches below it that begin in the same batch."""

    @property
    def length(self) -> int:
        """The number of tokens."""
        return self.end - self.start


Taken = dict[Branch, Part]
"""A batch: what it takes of each branch, parents before children."""


def path_above(part: Part) -> tuple[int, Ints] | None:
    """Return the sequence of a part with the tokens above its prompt, where there are any."""
    above = part.branch.above
    while above is not None and not above.children:
        above = above.above
    if above is None or above.node is None or not above.node.end:
        return None
    return part.sequences[0], above.node.path


def rows_of(parts: Iterable[Part]) -> tuple[Ints, list[Read], list[Write]]:
    """Return the indices in a batch after which logits are wanted, and what they are for."""
    outputs: list[int] = []
    reads: list[Read] = []
    writes: list[Write] = []
    at = 0
    for part in parts:
        branch, start, end = part.branch, part.start, part.end
        if branch.segment is not None:
            for offset in range(start, end):
                reads.append((len(outputs), branch.item, branch.segment.points[offset]))
                outputs.append(at + offset - start)
        elif branch.node is None:
            writes.append((len(outputs), branch.item))
            outputs.append(at)
        elif end == branch.length and branch.node.wants:
            reads += [(len(outputs), *read) for read in branch.node.reads]
            writes += [(len(outputs), item) for item in branch.node.writers]
            outputs.append(at + end - start - 1)
        at += end - start
    return np.array(outputs, np.intp), reads, writes


def sequences_of(parts: Collection[Part]) -> tuple[Ints, Ints | None]:
    """Return the sequences of each token, and their numbers where some have more than one."""
    lengths = [part.length for part in parts]
    if all(len(part.sequences) == 1 for part in parts):
        own = np.array([part.sequences[0] for part in parts], np.int32)
        return np.repeat(own, lengths), None
    each = [np.array(part.sequences * part.length, np.int32) for part in parts]
    counts = np.array([len(part.sequences) for part in parts], np.int32)
    return np.concatenate(each), np.repeat(counts, lengths)
