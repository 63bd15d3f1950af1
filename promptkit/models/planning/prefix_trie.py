"""The tokens that must be decoded for some prompts, each shared token once; no runtime here.

The prompts and candidates of a run are a trie of tokens. A node is a sequence of tokens that
everything below it shares; it is decoded in a sequence that is forked from its parent's end, so
nothing is ever rewound, and sliding windows and recurrent states need no special case.
`promptkit.models.planning.batches` puts the nodes into batches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptkit.errors import ModelError
from promptkit.models.planning.candidate_trie import (
    CandidateTrie,
    Tokens,
    candidate_trie,
    forks_needed,
)
from promptkit.text import shared_length
from promptkit.translation import tr

_WIDTH = array("i").itemsize
Key = bytes
"""Token ids as bytes, `_WIDTH` for each: any order of keys in which prefixes come first will do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes that a runtime can hold and decode at once."""

    cells: int
    """Tokens in memory, over all sequences; what sequences share counts once."""
    sequences: int
    batch: int
    """Tokens decoded at once."""
    outputs: int
    """Rows of logits made at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt with the candidates to score after it, or with an answer to write."""

    ids: Sequence[int]
    candidates: tuple[Tokens, ...] = ()
    budget: int = 0
    """The most tokens that may be written, where there are no candidates."""
    within: float | None = None
    """Distance from the best, in nats, within which candidates are read in full; None for all."""


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """Tokens that everything below them shares."""

    key: Key
    end: int
    start: int = 0
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    """(item, point) of the logits that are wanted after the last token."""
    tries: list[int] = field(default_factory=list)
    """Items whose whole candidate trie hangs here, with nothing else below."""
    writers: list[int] = field(default_factory=list)
    """Items whose answer is written from here."""
    height: int = 0
    """The tokens on the longest path from here down, this node included."""
    need: int = 0
    """The sequences that finishing everything below takes, besides the node's own."""
    writes: bool = False
    """True where answers are written here or below."""
    order: int = 0
    """The place in depth-first order: first where answers are written, since they take many
    batches, then the lowest child."""

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """The token ids, (end - start,)."""
        return self.path[self.start :]

    @property
    def path(self) -> npt.NDArray[np.int32]:
        """The token ids from the first of all, (end,)."""
        return np.frombuffer(self.key, np.int32, self.end)

    @property
    def wants(self) -> bool:
        """True where the logits after the last token are wanted."""
        return bool(self.reads or self.writers)


class Plan:
    """The prefix trie of some items. Raises `ModelError` where one is beyond the limits."""

    def __init__(self, items: Sequence[Item], limits: Limits) -> None:
        self.items, self.limits = items, limits
        self.tries: list[CandidateTrie] = [candidate_trie(item.candidates) for item in items]
        self.root = _grown(_ends(items, self.tries))
        """An empty node above the first tokens."""
        self.tokens = 0
        """The number of distinct tokens: each is decoded once, or not at all where candidates
        cannot be the best."""
        self.rows = 0
        """The rows of logits that are wanted, without those of answers."""
        self.prefix = self.root.children[0] if len(self.root.children) == 1 else None
        """The tokens that all prompts share, up to where one of them ends or differs."""
        self._measure()
        if self.root.height > limits.cells or self.root.need + 1 > limits.sequences:
            raise ModelError(
                tr(
                    "the prompts take {height} cells and {need} sequences at least; there are "
                    "{cells} and {sequences}",
                    height=self.root.height,
                    need=self.root.need + 1,
                    cells=limits.cells,
                    sequences=limits.sequences,
                )
            )

    def _measure(self) -> None:
        """Set heights, needs and order, without recursion: a chain may be long."""
        preorder = [self.root]
        for node in preorder:  # grows while it is walked, parents before children
            preorder += node.children
        for node in reversed(preorder):
            tries = [self.tries[item] for item in node.tries]
            heights = [child.height for child in node.children]
            heights += [trie.height for trie in tries]
            heights += [self.items[item].budget for item in node.writers]
            needs = [child.need for child in node.children]
            needs += [trie.segments[root].need for trie in tries for root in trie.roots]
            needs += [0 for _ in node.writers]
            length = node.end - node.start
            node.height = length + max(heights, default=0)
            node.need = forks_needed(needs)
            node.writes = bool(node.writers) or any(child.writes for child in node.children)
            node.children.sort(key=lambda child: (not child.writes, child.height))
            self.tokens += length + sum(trie.tokens for trie in tries)
            self.rows += bool(node.reads) + sum(len(trie.prefixes) - 1 for trie in tries)
        stack, order = [self.root], 0
        while stack:
            node = stack.pop()
            node.order = order = order + 1
            stack += reversed(node.children)


def _ends(items: Sequence[Item], tries: Sequence[CandidateTrie]) -> list[Node]:
    """Return the nodes, in the order of their keys, at whose ends items want logits.

    A candidate trie hangs below its prompt as it is, unless another prompt continues there too:
    then each of its points is a key, so that what the two share is decoded once.
    """
    ends: dict[Key, Node] = {}
    for index, item in enumerate(items):
        end = _end(ends, array("i", item.ids).tobytes())
        if item.candidates:
            end.reads.append((index, 0))
            end.tries.append(index)
        elif item.budget:
            end.writers.append(index)
    order = sorted(ends)
    while crowded := list(_crowded(order, ends)):
        for key in crowded:
            for index in ends[key].tries:
                for point, prefix in enumerate(tries[index].prefixes[1:], start=1):
                    inner = _end(ends, key + array("i", prefix).tobytes())
                    inner.reads.append((index, point))
            ends[key].tries = []
        order = sorted(ends)
    return [ends[key] for key in order]


def _end(ends: dict[Key, Node], key: Key) -> Node:
    return ends.setdefault(key, Node(key, len(key) // _WIDTH))


def _crowded(order: Sequence[Key], ends: dict[Key, Node]) -> Iterable[Key]:
    """Yield the keys whose candidates are not alone below them."""
    after = [*order[1:], b""]
    for key, following in zip(order, after, strict=True):
        tries = ends[key].tries
        if tries and (len(tries) > 1 or (following and following.startswith(key))):
            yield key


def _grown(ends: list[Node]) -> Node:
    """Return the root of a radix tree of these nodes, each of which is cut where others branch off.

    The keys come in order, so each shares with the one before it all that it shares with any.
    """
    root = ends.pop(0) if ends and not ends[0].end else Node(b"", 0)
    path, before = [root], root.key  # from the root to the end of the key before
    for new in ends:
        shared = shared_length(before, new.key, _WIDTH)
        while path[-1].end > shared:
            node = path.pop()
            if node.start < shared:
                path.append(_split(node, shared))
        new.start, new.parent = shared, path[-1]
        path[-1].children.append(new)
        path.append(new)
        before = new.key
    return root


def _split(node: Node, depth: int) -> Node:
    """Cut a node at a depth inside it; return the new upper part."""
    assert node.parent is not None
    upper = Node(node.key, depth, node.start, node.parent, [node])
    node.parent.children[-1] = upper  # the latest key's node is the last child
    node.start, node.parent = depth, upper
    return upper
