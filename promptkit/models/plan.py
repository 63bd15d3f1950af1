"""What to read, and in which order, so that every shared token is read once. Pure: no runtime here.

The prompts and candidates of a run are a trie of tokens. A node is read in a sequence that is forked
off its parent's tip, so nothing is ever rewound: sliding windows and recurrent states, which cannot
go back, need no special case. A batch takes what is ready in depth-first order, the heaviest child
first, so that chains of shots advance while the queries that hang off them fill the batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptkit.errors import ModelError

Ids = Sequence[int]
Ints = npt.NDArray[np.int32]

_WIDTH = 4  # bytes of a token in a key; big-endian, so that keys sort as tokens do
_LOOK_AHEAD = 64  # nodes that may be passed over before a batch goes as it is


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
    """A prompt and what is asked after it; without candidates nothing is read."""

    ids: Ids
    candidates: Sequence[Ids]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: fork, read, take the rows, drop."""

    forks: Sequence[tuple[int, int]]
    """(from, to): before reading, sequence `to` becomes a copy of `from`."""
    tokens: Ints
    positions: Ints
    sequences: Ints
    outputs: Ints
    """The indices in the batch after which logits are wanted."""
    rows: Ints
    """With `slots` and `targets`: `totals[slots] += logprob(row, target)`, rows counted by output."""
    slots: Ints
    """Candidates, counted through all items."""
    targets: Ints
    """Token ids."""
    drops: Sequence[int]
    """Sequences that nobody needs after this."""
    finished: Sequence[int]
    """Items whose candidates are all scored after this."""


@dataclass(slots=True)
class _Node:
    """A run of tokens that everything below it shares."""

    tokens: Ints
    depth: int
    """The position of the first token."""
    parent: int
    children: list[int] = field(default_factory=list)
    reads: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """By offset in the run: the (item, slot, target) read after it."""
    height: int = 0
    """Tokens on the longest path from here down, this run included."""
    need: int = 0
    """Sequences that finishing everything below takes, besides the node's own."""
    leaves: int = 1
    """Ends below."""
    below: int = 0
    """Tokens below, this run not included."""
    bush: int = -1
    """The topmost node above (or this one) below which everything fits one batch; -1 for none."""
    order: int = 0
    """The place in depth-first order, heaviest child first."""


class Plan:
    """The batches for some items. Raises `ModelError` where one item is beyond the limits."""

    def __init__(self, items: Sequence[Item], limits: Limits) -> None:
        self.slots = np.cumsum([0, *(len(item.candidates) for item in items)])
        """Item i has the candidates `slots[i]` up to `slots[i + 1]`."""
        self._limits = limits
        self._nodes = _trie(items, self.slots)
        self._rows_of = [0] * len(items)
        for node in self._nodes:
            for reads in node.reads.values():
                for item in {item for item, _, _ in reads}:
                    self._rows_of[item] += 1
        self.tokens = sum(len(node.tokens) for node in self._nodes)
        """The distinct tokens: what must be read, and what the steps read."""
        self.rows = sum(len(node.reads) for node in self._nodes)
        """The rows of logits that are wanted."""
        _measure(self._nodes, limits.batch)
        root = self._nodes[0]
        if root.height > limits.cells or root.need + 1 > limits.sequences:
            raise ModelError(
                f"the prompts take {root.height} cells and {root.need + 1} sequences at least; "
                f"there are {limits.cells} and {limits.sequences}"
            )

    def steps(self) -> Iterator[Step]:
        """The batches, in order."""
        return _Schedule(self._nodes, self._limits, self._rows_of).steps()


def _trie(items: Sequence[Item], slots: npt.NDArray[np.int64]) -> list[_Node]:
    """The radix tree of all that must be read; node 0 is an empty root."""
    wanted: dict[bytes, list[tuple[int, int, int]]] = {}
    for index, item in enumerate(items):
        prompt = _key(item.ids)
        for slot, candidate in enumerate(item.candidates, start=int(slots[index])):
            for end, target in enumerate(candidate):
                key = prompt + _key(candidate[:end]) if end else prompt
                wanted.setdefault(key, []).append((index, slot, target))
    nodes = [_Node(np.empty(0, np.int32), 0, -1)]
    path = [0]  # from the root to the end of the key before
    before = b""
    for key in sorted(wanted):
        shared = _shared(before, key)
        while (last := nodes[path[-1]]).depth + len(last.tokens) > shared:
            index = path.pop()
            if last.depth < shared:
                path.append(_split(nodes, index, shared))
        tokens = np.frombuffer(key, ">i4", offset=shared * _WIDTH).astype(np.int32)
        if len(tokens):
            nodes[path[-1]].children.append(len(nodes))
            nodes.append(_Node(tokens, shared, path[-1]))
            path.append(len(nodes) - 1)
        tip = nodes[path[-1]]
        tip.reads[len(tip.tokens) - 1] = wanted[key]
        before = key
    return nodes


def _key(ids: Ids) -> bytes:
    return np.asarray(ids, ">i4").tobytes()


def _shared(a: bytes, b: bytes) -> int:
    """How many leading tokens two keys share; by bisection, since slices compare in C."""
    low, high = 0, min(len(a), len(b)) // _WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if a[low * _WIDTH : middle * _WIDTH] == b[low * _WIDTH : middle * _WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low


def _split(nodes: list[_Node], index: int, depth: int) -> int:
    """Cuts a node at a depth inside it; returns the new upper part, which keeps the reads in it."""
    node, upper = nodes[index], len(nodes)
    cut = depth - node.depth
    reads = node.reads
    nodes.append(
        _Node(
            node.tokens[:cut],
            node.depth,
            node.parent,
            [index],
            {offset: rows for offset, rows in reads.items() if offset < cut},
        )
    )
    siblings = nodes[node.parent].children
    siblings[siblings.index(index, -1)] = upper  # the latest key's node is the last child
    node.reads = {offset - cut: rows for offset, rows in reads.items() if offset >= cut}
    node.tokens, node.depth, node.parent = node.tokens[cut:], depth, upper
    return upper


def _measure(nodes: list[_Node], batch: int) -> None:
    """Heights, needs, bushes and orders, without recursion: a chain may be long."""
    preorder = [0]
    for index in preorder:  # grows while it is walked, parents before children
        preorder += nodes[index].children
    for index in reversed(preorder):
        node = nodes[index]
        below = [nodes[child] for child in node.children]
        node.height = len(node.tokens) + max((child.height for child in below), default=0)
        # The neediest child comes last and takes over its parent's sequence; the others are forks.
        needs = heapq.nlargest(2, (child.need for child in below))
        node.need = max(needs[0], needs[1] + 1) if len(needs) == 2 else sum(needs)
        node.leaves = sum(child.leaves for child in below) or 1
        node.below = sum(len(child.tokens) + child.below for child in below)
        node.children.sort(key=lambda child: -nodes[child].height)
    stack, order = [0], 0
    while stack:
        index = stack.pop()
        node = nodes[index]
        node.order = order = order + 1
        above = nodes[node.parent].bush if index else -1
        node.bush = above if above >= 0 else index if index and node.below <= batch else -1
        stack += reversed(node.children)


class _Schedule:
    """A run of the plan: what has begun, and what is left of cells and sequences.

    A node begins only if everything below it could be finished with what is left. Whatever began
    later gives back all it took, so finishing the latest first always works: a run is never stuck.
    """

    def __init__(self, nodes: list[_Node], limits: Limits, rows_of: Sequence[int]) -> None:
        self._nodes, self._limits = nodes, limits
        self._cells = limits.cells
        self._free = list(range(1, limits.sequences))  # a heap, low numbers first
        self._sequence = {0: 0}  # of every node that has one
        self._begun = {0}
        # What is begun should not starve for forks because too much else has begun: a bush is
        # promised the forks that reading it in one batch takes.
        self._promised: dict[int, int] = {}
        self._promises = 0
        self._to_begin = [len(node.children) for node in nodes]
        self._to_finish = list(self._to_begin)
        self._offset = [0] * len(nodes)  # tokens of the node that are read
        self._rows_left = list(rows_of)
        self._ready = [(nodes[child].order, child) for child in nodes[0].children]
        heapq.heapify(self._ready)

    def steps(self) -> Iterator[Step]:
        while self._ready:
            forks: list[tuple[int, int]] = []
            taken = self._take(forks, _LOOK_AHEAD) or self._take(forks, len(self._ready), True)
            assert taken, "by construction, something can always go on"
            yield self._step(forks, taken)

    def _take(
        self, forks: list[tuple[int, int]], look_ahead: int, break_promises: bool = False
    ) -> list[tuple[int, int, int]]:
        """Fills a batch: (node, from, to) for each part of it."""
        taken: list[tuple[int, int, int]] = []
        passed: list[tuple[int, int]] = []
        room, rows = self._limits.batch, self._limits.outputs
        while self._ready and room and len(passed) <= look_ahead:
            entry = heapq.heappop(self._ready)
            index = entry[1]
            start = self._offset[index]
            end = self._reach(index, start, room, rows)
            if end > start and self._begin(index, forks, break_promises):
                taken.append((index, start, end))
                self._offset[index] = end
                room -= end - start
                rows -= sum(start <= offset < end for offset in self._nodes[index].reads)
            else:
                passed.append(entry)
        for entry in passed:
            heapq.heappush(self._ready, entry)
        return taken

    def _reach(self, index: int, start: int, room: int, rows: int) -> int:
        """How far a node can be read with room for so many tokens and rows."""
        node = self._nodes[index]
        end = min(len(node.tokens), start + room)
        wanted = sorted(offset for offset in node.reads if start <= offset < end)
        return wanted[rows] if len(wanted) > rows else end

    def _begin(self, index: int, forks: list[tuple[int, int]], break_promises: bool) -> bool:
        """Takes the cells and the sequence of a node that has not begun, if that is safe."""
        if index in self._begun:
            return True
        node = self._nodes[index]
        takes_over = self._to_begin[node.parent] == 1
        left = len(self._free) - (not takes_over)
        if self._cells < node.height or left < node.need:
            return False
        wish = min(node.leaves - 1, self._limits.sequences // 4) if node.bush == index else 0
        if node.bush in (-1, index) and left < self._promises + wish and not break_promises:
            return False
        if node.bush >= 0:
            self._promise(node.bush, wish if node.bush == index else takes_over - 1)
        self._begun.add(index)
        self._to_begin[node.parent] -= 1
        self._cells -= len(node.tokens)
        if takes_over:
            self._sequence[index] = self._sequence.pop(node.parent)
        else:
            self._sequence[index] = heapq.heappop(self._free)
            forks.append((self._sequence[node.parent], self._sequence[index]))
        return True

    def _promise(self, bush: int, change: int) -> None:
        before = self._promised.get(bush, 0)
        after = max(before + change, 0)
        self._promised[bush] = after
        self._promises += after - before

    def _step(self, forks: list[tuple[int, int]], taken: list[tuple[int, int, int]]) -> Step:
        nodes = self._nodes
        outputs: list[int] = []
        reads: list[tuple[int, int, int]] = []  # row, slot, target
        finished: list[int] = []
        at = 0
        for index, start, end in taken:
            node = nodes[index]
            for offset in sorted(offset for offset in node.reads if start <= offset < end):
                reads += [(len(outputs), slot, target) for _, slot, target in node.reads[offset]]
                finished += self._count_row({item for item, _, _ in node.reads[offset]})
                outputs.append(at + offset - start)
            at += end - start
        rows, slots, targets = np.array(reads, np.int32).reshape(-1, 3).T
        return Step(
            forks=forks,
            tokens=np.concatenate([nodes[i].tokens[start:end] for i, start, end in taken]),
            positions=np.concatenate(
                [np.arange(start, end, dtype=np.int32) + nodes[i].depth for i, start, end in taken]
            ),
            sequences=np.repeat(
                np.array([self._sequence[i] for i, _, _ in taken], np.int32),
                [end - start for _, start, end in taken],
            ),
            outputs=np.array(outputs, np.int32),
            rows=rows,
            slots=slots,
            targets=targets,
            drops=self._advance([index for index, _, _ in taken]),
            finished=finished,
        )

    def _count_row(self, items: set[int]) -> Iterator[int]:
        for item in sorted(items):
            self._rows_left[item] -= 1
            if self._rows_left[item] == 0:
                yield item

    def _advance(self, indices: Sequence[int]) -> list[int]:
        """Makes ready what comes next, and gives back what nobody needs any more."""
        drops: list[int] = []
        for index in indices:
            node = self._nodes[index]
            if self._offset[index] < len(node.tokens):
                heapq.heappush(self._ready, (node.order, index))
                continue
            for child in node.children:
                heapq.heappush(self._ready, (self._nodes[child].order, child))
            while index and self._to_finish[index] == 0:  # a leaf, or the last of its parent's
                drops += self._release(index)
                index = self._nodes[index].parent
                self._to_finish[index] -= 1
        for sequence in drops:
            heapq.heappush(self._free, sequence)
        return drops

    def _release(self, index: int) -> Iterator[int]:
        self._cells += len(self._nodes[index].tokens)
        if self._nodes[index].bush == index:
            self._promises -= self._promised.pop(index, 0)
        if index in self._sequence:
            yield self._sequence.pop(index)
