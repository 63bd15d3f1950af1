"""The batches of a plan: what is read together, in which sequences, and what is dropped after it.

A node begins only if everything below it could be finished with the cells and sequences that are
left. Whatever began later gives back all it took, so finishing the latest first always works, and
a schedule is never stuck. Batches are filled with the ends of prompts and their candidates; what
they hang off is read as late as keeping the batches full allows, so that few cells are alive.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptkit.models.planning.candidate_trie import Run
from promptkit.models.planning.prefix_trie import Node, Plan

Ints = npt.NDArray[np.int32]

_AHEAD = 2
"""How many batches' worth of work is kept ready."""

_PATIENCE = 32
"""How many parts that have no room may be passed over before a batch goes as it is."""


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
    reads: Sequence[tuple[int, int, int]]
    """(row, item, point): what the rows are for, counted by output."""
    writes: Sequence[tuple[int, int]]
    """(row, item): the rows after which an item's answer goes on."""
    drops: Sequence[int]
    """Sequences that nobody needs after this."""
    finished: Sequence[int]
    """Items whose candidates are all scored after this."""
    stem: int | None
    """The sequence that now holds exactly the plan's stem, in the step that completes it."""


@dataclass(slots=True, eq=False)
class _Part:
    """A node, a run of candidates or an answer, from when it could begin until it is done."""

    order: tuple[int, int]
    length: int
    depth: int
    """The position of the first token."""
    above: _Part | None
    height: int
    need: int
    node: Node | None = None
    run: Run | None = None
    item: int = -1
    """The item that a run or an answer belongs to."""
    sequence: int = -1
    offset: int = 0
    """Tokens that are read."""
    begun: bool = False
    to_begin: int = 0
    """Parts below that have not begun."""
    to_finish: int = 0
    """Parts below that are not done."""
    promised: int = 0
    """Sequences that are kept for what comes below."""

    def __lt__(self, other: _Part) -> bool:
        return self.order < other.order


class Schedule:
    """A run of a plan: what has begun, and what is left of cells and sequences."""

    def __init__(self, plan: Plan, *, read: int = 0) -> None:
        """`read` tokens of the plan's stem already stand in sequence 0.

        They are all of it, where it wants no logits, or a number of whole batches: then what is
        left is read in the same batches as ever, and comes to the same bits.
        """
        self._plan, self._limits = plan, plan.limits
        self._cells = plan.limits.cells
        self._free = list(range(1, plan.limits.sequences))  # a heap, low numbers first
        self._promised = 0
        self._points = [len(fan.prefixes) for fan in plan.fans]
        self._trunks: list[_Part] = []
        """A heap of what other prompts hang off."""
        self._ends: list[_Part] = []
        """A heap of everything else that could be read."""
        self._ready = 0
        """The tokens of the ends."""
        self._writers: dict[int, _Part] = {}
        self._next: dict[int, int] = {}
        """By item, the token that was written and is to be read."""
        root = _Part((0, 0), 0, 0, None, 0, 0, plan.root, sequence=0, begun=True)
        self._stem: _Part | None = None
        self._open(root)
        if plan.stem is not None:
            (self._stem,) = (*self._trunks, *self._ends)
            self._resume(self._stem, read)

    def _resume(self, stem: _Part, read: int) -> None:
        stem.offset = read
        if read == stem.length:
            self._stem = None
            self._trunks.clear()
            self._begin(stem, [], desperate=True)
            self._open(stem)

    def steps(self) -> Iterator[Step]:
        """The batches, in order. After a step with `writes`, `write` or `end` each of its items."""
        while self._trunks or self._ends or self._next:
            forks: list[tuple[int, int]] = []
            taken = self._take(forks) or self._take(forks, desperate=True)
            assert taken, "by construction, something can always go on"
            yield self._step(forks, taken)

    def write(self, item: int, token: int) -> None:
        """The item's answer goes on with this token."""
        self._next[item] = token

    def end(self, item: int) -> Sequence[int]:
        """The item's answer is complete; returns the sequences that nobody needs any more."""
        writer = self._writers.pop(item)
        if not writer.begun and writer.above is not None:
            writer.above.to_begin -= 1
            writer.length = 0  # of cells, it took none
        return self._finish(writer)

    # What is read together.

    def _take(
        self, forks: list[tuple[int, int]], *, desperate: bool = False
    ) -> list[tuple[_Part, int, int]]:
        """Fills a batch: (part, from, to)."""
        taken: list[tuple[_Part, int, int]] = []
        room, rows = self._limits.batch, self._limits.outputs
        for item in self._next:
            writer = self._writers[item]
            if room and rows and self._begin(writer, forks, desperate):
                taken.append((writer, writer.offset, writer.offset + 1))
                room, rows = room - 1, rows - 1
        ahead = self._ready
        patience = len(self._trunks) + len(self._ends) if desperate else _PATIENCE
        passed: list[tuple[list[_Part], _Part]] = []
        while room and rows and patience >= len(passed):
            heap = self._choose(ahead)
            if not heap:
                break
            part = heapq.heappop(heap)
            end, wanted = self._reach(part, room, rows)
            if end == part.offset or not self._begin(part, forks, desperate):
                passed.append((heap, part))
                continue
            taken.append((part, part.offset, end))
            read = end - part.offset
            if heap is self._trunks:
                ahead += sum(child.end - child.start for child in _children(part)) + read
            else:
                self._ready -= read
            room, rows, part.offset = room - read, rows - wanted, end
        for heap, part in passed:
            heapq.heappush(heap, part)
        return taken

    def _choose(self, ahead: int) -> list[_Part]:
        """Trunks while little else is ready, so that the next batches will be full; then ends."""
        if self._trunks and (ahead < _AHEAD * self._limits.batch or not self._ends):
            return self._trunks
        return self._ends

    def _reach(self, part: _Part, room: int, rows: int) -> tuple[int, int]:
        """How far a part can be read, and the rows that takes."""
        end = min(part.length, part.offset + room)
        if part.run is not None:
            end = min(end, part.offset + rows)
            return end, end - part.offset
        return end, int(end == part.length and bool(part.node and part.node.wants))

    def _begin(self, part: _Part, forks: list[tuple[int, int]], desperate: bool) -> bool:
        """Takes the cells and the sequence of a part that has not begun, if that is safe."""
        if part.begun:
            return True
        above = part.above
        assert above is not None
        takes_over = above.to_begin == 1
        left = len(self._free) - (not takes_over)
        if self._cells < part.height or left < part.need:
            return False
        wish = self._wish(part)
        keep = self._promised - (above.promised if part.run is not None else 0)
        if left < keep + wish and not desperate and part.run is None:
            return False
        part.begun = True
        above.to_begin -= 1
        self._cells -= part.length
        if takes_over:
            part.sequence, above.sequence = above.sequence, -1
        else:
            part.sequence = heapq.heappop(self._free)
            forks.append((above.sequence, part.sequence))
            if above.promised:
                above.promised -= 1
                self._promised -= 1
        part.promised = wish
        self._promised += wish
        return True

    def _wish(self, part: _Part) -> int:
        """The forks that reading everything a prompt asks in one batch takes."""
        if part.node is None or part.node.children:
            return 0
        width = sum(self._plan.fans[item].width for item in part.node.fans)
        return max(min(width, self._limits.sequences // 4) - 1, 0)

    # What comes of it.

    def _step(self, forks: list[tuple[int, int]], taken: list[tuple[_Part, int, int]]) -> Step:
        outputs: list[int] = []
        reads: list[tuple[int, int, int]] = []
        writes: list[tuple[int, int]] = []
        at = 0
        for part, start, end in taken:
            if part.run is not None:
                for offset in range(start, end):
                    reads.append((len(outputs), part.item, part.run.points[offset]))
                    outputs.append(at + offset - start)
            elif part.node is None:
                writes.append((len(outputs), part.item))
                outputs.append(at)
            elif end == part.length and part.node.wants:
                reads += [(len(outputs), *read) for read in part.node.reads]
                writes += [(len(outputs), item) for item in part.node.writers]
                outputs.append(at + end - start - 1)
            at += end - start
        tokens = np.concatenate([self._tokens(*entry) for entry in taken])
        sequences = [part.sequence for part, _, _ in taken]  # before they are passed on
        stem = self._stem
        complete = stem is not None and stem.offset == stem.length
        if complete:
            self._stem = None
        return Step(
            forks=forks,
            tokens=tokens,
            positions=np.concatenate(
                [np.arange(s, e, dtype=np.int32) + part.depth for part, s, e in taken]
            ),
            sequences=np.repeat(np.array(sequences, np.int32), [e - s for _, s, e in taken]),
            outputs=np.array(outputs, np.intp),
            reads=reads,
            writes=writes,
            finished=list(self._count(reads)),
            stem=stem.sequence if stem is not None and complete else None,
            drops=self._advance(taken),
        )

    def _tokens(self, part: _Part, start: int, end: int) -> Ints:
        if part.node is not None:
            return part.node.tokens[start:end]
        if part.run is not None:
            return np.array(part.run.tokens[start:end], np.int32)
        return np.array([self._next.pop(part.item)], np.int32)

    def _count(self, reads: Sequence[tuple[int, int, int]]) -> Iterator[int]:
        for _, item, _ in reads:
            self._points[item] -= 1
            if self._points[item] == 0:
                yield item

    def _advance(self, taken: Sequence[tuple[_Part, int, int]]) -> list[int]:
        """Makes ready what comes next; returns the sequences that nobody needs any more."""
        drops: list[int] = []
        for part, _, end in taken:
            if part.node is None and part.run is None:
                part.offset = end  # an answer goes on when its next token is known
            elif part.offset < part.length:
                heapq.heappush(self._heap(part), part)
            else:
                self._open(part)
                if not part.to_finish:
                    drops += self._finish(part)
        return drops

    def _open(self, part: _Part) -> None:
        """Makes ready what hangs below a part that is read."""
        for child in self._below(part):
            part.to_begin += 1
            part.to_finish += 1
            if child.run is None and child.node is None:
                self._writers[child.item] = child
                continue
            heap = self._heap(child)
            heapq.heappush(heap, child)
            if heap is self._ends:
                self._ready += child.length

    def _below(self, part: _Part) -> Iterator[_Part]:
        depth = part.depth + part.length
        if part.run is not None:
            yield from self._runs(part, part.item, part.run.below)
        if part.node is None:
            return
        for node in part.node.children:
            length = node.end - node.start
            yield _Part((node.order, 0), length, depth, part, node.height, node.need, node)
        for item in part.node.fans:
            yield from self._runs(part, item, self._plan.fans[item].roots)
        for item in part.node.writers:
            budget = self._plan.items[item].budget
            yield _Part(part.order, budget, depth, part, budget, 0, item=item)

    def _runs(self, part: _Part, item: int, indices: Sequence[int]) -> Iterator[_Part]:
        """Runs of an item's candidates that go on from a part's end."""
        depth = part.depth + part.length
        for index in indices:
            run = self._plan.fans[item].runs[index]
            order = (part.order[0], index + 1)
            length = len(run.tokens)
            yield _Part(order, length, depth, part, run.height, run.need, run=run, item=item)

    def _heap(self, part: _Part) -> list[_Part]:
        return self._trunks if part.node is not None and part.node.children else self._ends

    def _finish(self, part: _Part) -> list[int]:
        """Gives back what a part took, and what those above it took that are done with it."""
        drops: list[int] = []
        done: _Part | None = part
        while done is not None and done.above is not None and done.to_finish == 0:
            self._cells += done.length
            self._promised -= done.promised
            done.promised = 0
            if done.sequence >= 0:
                drops.append(done.sequence)
            done.above.to_finish -= 1
            done = done.above
        for sequence in drops:
            heapq.heappush(self._free, sequence)
        return drops


def _children(part: _Part) -> list[Node]:
    return part.node.children if part.node is not None else []
