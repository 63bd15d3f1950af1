"""What must be read for some prompts, each shared token once. Pure: no runtime here.

The prompts and candidates of a run are a trie of tokens. A node is a run of tokens that everything
below it shares; it is read in a sequence that is forked off its parent's tip, so nothing is ever
rewound, and sliding windows and recurrent states need no special case.
`promptkit.models.planning.batches` puts the nodes into batches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptkit.errors import ModelError
from promptkit.models.planning.candidate_trie import Fan, Tokens, fan_of, forks_needed

_WIDTH = array("i").itemsize
Key = bytes
"""Token ids as bytes, `_WIDTH` for each: any order of keys in which prefixes come first will do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a runtime can hold and do at once."""

    cells: int
    """Tokens in memory, over all sequences; what sequences share counts once."""
    sequences: int
    batch: int
    """Tokens read at once."""
    outputs: int
    """Rows of logits made at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt, and what is asked after it: candidates to score, or an answer to write."""

    ids: Sequence[int]
    candidates: tuple[Tokens, ...] = ()
    budget: int = 0
    """The most tokens that may be written, where there are no candidates."""


class Node:
    """A run of tokens that everything below it shares."""

    __slots__ = (
        "budget",
        "children",
        "end",
        "fans",
        "height",
        "key",
        "need",
        "order",
        "parent",
        "reads",
        "start",
        "writers",
    )

    def __init__(self, key: Key, start: int, end: int, parent: Node | None) -> None:
        self.key, self.start, self.end, self.parent = key, start, end, parent
        self.children: list[Node] = []
        self.reads: list[tuple[int, int]] = []
        """(item, point) of the logits after the last token."""
        self.fans: list[int] = []
        """Items of which the whole tree of candidates hangs here, and nothing else below does."""
        self.writers: list[int] = []
        """Items whose answer is written from here."""
        self.budget = 0
        self.height = 0
        """The tokens on the longest path from here down, this run included."""
        self.need = 0
        """The sequences that finishing everything below takes, besides the node's own."""
        self.order = 0
        """The place in depth-first order, the lowest child first."""

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """The token ids, (end - start,)."""
        raw = memoryview(self.key)[self.start * _WIDTH : self.end * _WIDTH]
        return np.frombuffer(raw, np.int32)

    @property
    def wants(self) -> bool:
        """Whether the logits after the last token are wanted."""
        return bool(self.reads or self.writers)


class Plan:
    """The trie of some items. Raises `ModelError` where one of them is beyond the limits."""

    def __init__(self, items: Sequence[Item], limits: Limits) -> None:
        self.items, self.limits = items, limits
        self.fans: list[Fan] = [fan_of(item.candidates) for item in items]
        self.root = Node(b"", 0, 0, None)
        """An empty node above the first tokens."""
        self.tokens = 0
        """The distinct tokens: what must be read, and what is read."""
        self.rows = 0
        """The rows of logits that are wanted, without those of what is written."""
        _grow(self.root, _keys(items, self.fans))
        self.stem = self.root.children[0] if len(self.root.children) == 1 else None
        """What all prompts share, up to where one of them ends or parts."""
        self._measure()
        if self.root.height > limits.cells or self.root.need + 1 > limits.sequences:
            raise ModelError(
                f"the prompts take {self.root.height} cells and {self.root.need + 1} sequences at "
                f"least; there are {limits.cells} and {limits.sequences}"
            )

    def _measure(self) -> None:
        """Heights, needs and order, without recursion: a chain may be long."""
        preorder = [self.root]
        for node in preorder:  # grows while it is walked, parents before children
            preorder += node.children
        for node in reversed(preorder):
            fans = [self.fans[item] for item in node.fans]
            heights = [child.height for child in node.children]
            heights += [fan.height for fan in fans]
            heights += [self.items[item].budget for item in node.writers]
            needs = [child.need for child in node.children]
            needs += [fan.runs[root].need for fan in fans for root in fan.roots]
            needs += [0 for _ in node.writers]
            length = node.end - node.start
            node.height = length + max(heights, default=0)
            node.need = forks_needed(needs)
            node.children.sort(key=_height)
            self.tokens += length + sum(fan.tokens for fan in fans)
            self.rows += bool(node.reads) + sum(len(fan.prefixes) - 1 for fan in fans)
        stack, order = [self.root], 0
        while stack:
            node = stack.pop()
            node.order = order = order + 1
            stack += reversed(node.children)


def _height(node: Node) -> int:
    return node.height


class _End:
    """What is asked where a key ends."""

    __slots__ = ("fans", "reads", "writers")

    def __init__(self) -> None:
        self.reads: list[tuple[int, int]] = []
        self.fans: list[int] = []
        self.writers: list[int] = []


def _keys(items: Sequence[Item], fans: Sequence[Fan]) -> dict[Key, _End]:
    """The keys in order, with what is asked at their ends.

    A tree of candidates hangs below its prompt as it is, unless another prompt goes on there too:
    then each of its beginnings is a key, so that what the two share is read once.
    """
    ends: dict[Key, _End] = {}
    for index, item in enumerate(items):
        end = ends.setdefault(_key(item.ids), _End())
        if item.candidates:
            end.reads.append((index, 0))
            end.fans.append(index)
        elif item.budget:
            end.writers.append(index)
    order = sorted(ends)
    while crowded := list(_crowded(order, ends)):
        for key in crowded:
            for index in ends[key].fans:
                for point, prefix in enumerate(fans[index].prefixes[1:], start=1):
                    inner = ends.setdefault(key + _key(prefix), _End())
                    inner.reads.append((index, point))
            ends[key].fans = []
        order = sorted(ends)
    return {key: ends[key] for key in order}


def _crowded(order: Sequence[Key], ends: dict[Key, _End]) -> Iterable[Key]:
    """The keys below which candidates are not alone."""
    after = [*order[1:], b""]
    for key, following in zip(order, after, strict=True):
        fans = ends[key].fans
        if fans and (len(fans) > 1 or (following and following.startswith(key))):
            yield key


def _grow(root: Node, ends: dict[Key, _End]) -> None:
    """Hangs the keys below the root as a radix tree; every key ends at the end of a node."""
    path = [root]  # from the root to the end of the key before
    before = b""
    for key, end in ends.items():
        shared = _shared(before, key)
        while path[-1].end > shared:
            node = path.pop()
            if node.start < shared:
                path.append(_split(node, shared))
        if len(key) // _WIDTH > shared:
            node = Node(key, shared, len(key) // _WIDTH, path[-1])
            path[-1].children.append(node)
            path.append(node)
        tip = path[-1]
        tip.reads, tip.fans, tip.writers = end.reads, end.fans, end.writers
        before = key


def _key(ids: Sequence[int]) -> Key:
    return array("i", ids).tobytes()


def _shared(a: Key, b: Key) -> int:
    """How many leading tokens two keys share; by bisection, since slices compare in C."""
    low, high = 0, min(len(a), len(b)) // _WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if a[low * _WIDTH : middle * _WIDTH] == b[low * _WIDTH : middle * _WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low


def _split(node: Node, depth: int) -> Node:
    """Cuts a node at a depth inside it; returns the new upper part."""
    assert node.parent is not None
    upper = Node(node.key, node.start, depth, node.parent)
    upper.children = [node]
    node.parent.children[-1] = upper  # the latest key's node is the last child
    node.start, node.parent = depth, upper
    return upper
