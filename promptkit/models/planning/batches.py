"""The schedule of a plan: the tokens, sequences and forks of each batch, and what it drops.

A branch (a node of the prefix trie, a segment of candidates or an answer) begins only if everything
below it could be finished with the cells and sequences that are left. Every branch that began later
gives back all it took, so finishing the latest first always works, and a schedule never gets stuck.
Batches are filled with leaves: the ends of prompts, and their candidates. The inner nodes that
these hang below are decoded as late as keeping the batches full allows, so that few cells are in
use at a time.

A branch joins the batch of the one above it: the tokens above then belong to the sequences of both.
A model that keeps one state for each sequence cannot do that; there, what hangs below is decoded in
the batches that follow.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from promptkit.models.planning.branches import (
    Branch,
    Ints,
    Part,
    Step,
    Taken,
    path_above,
    rows_of,
    sequences_of,
)
from promptkit.models.planning.prefix_trie import Plan

_AHEAD = 2
"""Batches' worth of leaves that are kept ready, where these cannot join their inner nodes."""

_PATIENCE = 32
"""Branches without room that may be passed over before a batch is decoded as it is."""


class Schedule:
    """The state of a plan while it is decoded: its branches, and the cells and sequences left."""

    def __init__(
        self, plan: Plan, *, read: int = 0, joins: bool = True, same_bits: bool = True
    ) -> None:
        """Begin a plan of which sequence 0 already holds the first `read` tokens of the prefix.

        Args:
            plan: The plan.
            read: All of the prefix, where it wants no logits, or a number of whole batches: then
                what is left is decoded in the same batches as ever, and comes to the same bits.
            joins: Decode branches in the same batch as what they hang below.
            same_bits: Nothing joins a prefix that several prompts share, so that it comes to the
                same bits whatever they are.
        """
        self._plan, self._limits, self._joins = plan, plan.limits, joins
        self._cells = plan.limits.cells
        self._free = list(range(1, plan.limits.sequences))  # a heap, low numbers first
        self._promised = 0
        self._points = [len(trie.prefixes) for trie in plan.tries]
        """By item, the points that are still to be scored."""
        self._inner: list[Branch] = []
        """A heap of the nodes that have nodes below, and could be decoded now."""
        self._leaves: list[Branch] = []
        """A heap of everything else that could be decoded now."""
        self._ready = 0
        """The tokens of the leaves."""
        self._writers: dict[int, Branch] = {}
        self._next: dict[int, int] = {}
        """By item, the token that was written and is to be decoded."""
        self._held: dict[int, dict[int, Branch]] = {}
        """By item, the segments that wait to be asked for or left out; none without any."""
        root = Branch((0, 0), 0, 0, None, 0, 0, plan.root, sequence=0, begun=True)
        self._prefix: Branch | None = None
        self._apart: Branch | None = None
        """The prefix, where nothing may join it."""
        self._open(root)
        if plan.prefix is not None:
            (prefix,) = (*self._inner, *self._leaves)
            prefix.offset = read
            if read < prefix.length:
                self._prefix = prefix
                self._apart = prefix if same_bits and prefix.children else None
            else:
                self._inner.clear()
                self._begin(prefix, {}, [], desperate=True)
                self._open(prefix)

    def steps(self) -> Iterator[Step]:
        """Yield the batches in order; `write` or `end` each item of a batch's `writes` after it."""
        while self._inner or self._leaves or self._next or self._held:
            forks: list[tuple[int, int]] = []
            taken = self._take(forks) or self._take(forks, desperate=True)
            while not taken:  # what began last can continue, unless it is held
                assert self._held, "by construction, some branch can always continue"
                self._let_go()
                taken = self._take(forks, desperate=True)
            yield self._step(forks, taken)

    def write(self, item: int, token: int) -> None:
        """Continue an item's answer with this token."""
        self._next[item] = token

    def end(self, item: int) -> Sequence[int]:
        """End an item's answer; return the sequences that are not needed any more."""
        writer = self._writers.pop(item)
        if not writer.begun and writer.above is not None:
            writer.above.to_begin -= 1
            writer.length = 0  # of cells, it took none
        return self._finish(writer)

    def held(self, item: int) -> Collection[int]:
        """Return the segments of an item that can be asked for or left out."""
        return self._held.get(item, {}).keys()

    def go_on(self, item: int, segment: int, count: int) -> None:
        """Decode some more tokens of a segment that is held."""
        branch = self._release(item, segment)
        branch.until = branch.offset + count
        self._push(branch)

    def leave_out(self, item: int, segments: Collection[int]) -> Sequence[int]:
        """Leave out segments that are held; return the sequences that are not needed any more."""
        drops: list[int] = []
        for branch in [self._release(item, segment) for segment in segments]:
            if not branch.begun and branch.above is not None:
                branch.above.to_begin -= 1
                branch.length = 0  # of cells, it took none
            drops += self._finish(branch)
        return drops

    def _hold(self, branch: Branch) -> None:
        self._held.setdefault(branch.item, {})[branch.order[1] - 1] = branch

    def _release(self, item: int, segment: int) -> Branch:
        held = self._held[item]
        branch = held.pop(segment)
        if not held:
            del self._held[item]
        return branch

    def _let_go(self) -> None:
        """Decode all segments of an item that are held."""
        _, held = self._held.popitem()
        for branch in held.values():
            branch.until = branch.length
            self._push(branch)

    # Filling a batch.

    def _take(self, forks: list[tuple[int, int]], *, desperate: bool = False) -> Taken:
        """Fill a batch with parts of branches.

        Answers that are being written come first, since they hold cells and sequences. A branch
        that does not fit is passed over, so that a smaller one may fill the batch. A `desperate`
        try, after one that found nothing, passes over as many as there are, and spends the
        sequences that were kept free.
        """
        taken: Taken = {}
        room, rows = self._limits.batch, self._limits.outputs
        for item in self._next:
            writer = self._writers[item]
            if room and rows and self._begin(writer, taken, forks, desperate):
                taken[writer] = Part(writer, writer.offset, writer.offset + 1, [writer.sequence])
                room, rows = room - 1, rows - 1
        ahead = self._ready
        passed: list[tuple[list[Branch], Branch]] = []
        while room and rows and (desperate or len(passed) <= _PATIENCE):
            heap = self._choose(ahead)
            if not heap:
                break
            branch = heapq.heappop(heap)
            end, wanted = self._reach(branch, room, rows)
            if end == branch.offset or not self._begin(branch, taken, forks, desperate):
                passed.append((heap, branch))
                continue
            taken[branch] = Part(branch, branch.offset, end, [branch.sequence])
            read = end - branch.offset
            if heap is self._inner:
                ahead += sum(child.end - child.start for child in branch.children) + read
            else:
                self._ready -= read
            room, rows, branch.offset = room - read, rows - wanted, end
            if self._joins and end == branch.length and branch is not self._apart:
                self._open(branch)
        for heap, branch in passed:
            heapq.heappush(heap, branch)
        return taken

    def _choose(self, ahead: int) -> list[Branch]:
        """Return inner nodes while few leaves are ready for the next batches, then leaves.

        Those on the way to answers do not wait, since an answer takes a batch for each token.
        """
        few = not self._leaves or (not self._joins and ahead < _AHEAD * self._limits.batch)
        if self._inner and (few or self._inner[0].writes):
            return self._inner
        return self._leaves

    def _reach(self, branch: Branch, room: int, rows: int) -> tuple[int, int]:
        """Return the place up to which a branch can be decoded, and the rows that takes."""
        end = min(branch.until, branch.offset + room)
        if branch.segment is not None:
            end = min(end, branch.offset + rows)
            return end, end - branch.offset
        return end, int(end == branch.length and bool(branch.node and branch.node.wants))

    def _begin(
        self, branch: Branch, taken: Taken, forks: list[tuple[int, int]], desperate: bool
    ) -> bool:
        """Take the cells and the sequence of a branch that has not begun, if that is safe.

        It is safe where what is left suffices to finish everything below it. The last child to
        begin takes over its parent's sequence instead of a fork of it. Sequences promised to
        prompts that have begun are left to these, unless no other branch can continue.
        """
        if branch.begun:
            return True
        above = branch.above
        assert above is not None
        takes_over = above.to_begin == 1
        left = len(self._free) - (not takes_over)
        if self._cells < branch.height or left < branch.need:
            return False
        wish = self._wish(branch)
        keep = self._promised - (above.promised if branch.segment is not None else 0)
        if left < keep + wish and not desperate and branch.segment is None:
            return False
        branch.begun = True
        above.to_begin -= 1
        self._cells -= branch.length
        if takes_over:
            branch.sequence, above.sequence = above.sequence, -1
        else:
            branch.sequence = heapq.heappop(self._free)
            forks.append((above.sequence, branch.sequence))
            joined: Branch | None = above
            while joined in taken:  # what is decoded only now belongs to both
                taken[joined].sequences.append(branch.sequence)
                joined = joined.above
            if above.promised:
                above.promised -= 1
                self._promised -= 1
        branch.promised = wish
        self._promised += wish
        return True

    def _wish(self, branch: Branch) -> int:
        """Return the forks that decoding a prompt's candidates takes: all of them side by side.

        Where only the best is wanted, few are decoded.
        """
        if branch.node is None or branch.node.children:
            return 0
        items, tries = self._plan.items, self._plan.tries
        width = sum(
            tries[item].width if items[item].within is None else min(tries[item].width, 3)
            for item in branch.node.tries
        )
        return max(min(width, self._limits.sequences // 4) - 1, 0)

    # After a batch is filled.

    def _step(self, forks: list[tuple[int, int]], taken: Taken) -> Step:
        parts = taken.values()
        outputs, reads, writes = rows_of(parts)
        tokens = np.concatenate([self._tokens(part) for part in parts])
        sequences, counts = sequences_of(parts)
        prefix = self._completed_prefix(taken)
        drops = self._advance(taken)
        return Step(
            forks=forks,
            tokens=tokens,
            positions=np.concatenate(
                [np.arange(p.start, p.end, dtype=np.int32) + p.branch.depth for p in parts]
            ),
            sequences=sequences,
            counts=counts,
            outputs=outputs,
            reads=reads,
            writes=writes,
            finished=list(self._count(reads)),
            prefix=prefix,
            drops=drops,
            path=None if self._continues else path_above([*parts][-1]),
        )

    def _completed_prefix(self, taken: Taken) -> tuple[int, int] | None:
        """Return `Step.prefix` of a batch."""
        prefix = self._prefix
        if prefix is None or prefix.offset < prefix.length:
            return None
        self._prefix = None
        part = taken[prefix]
        return part.sequences[0], prefix.length if len(taken) == 1 else part.start

    @property
    def _continues(self) -> bool:
        return bool(self._inner or self._leaves or self._writers or self._held)

    def _tokens(self, part: Part) -> Ints:
        branch = part.branch
        if branch.node is not None:
            return branch.node.tokens[part.start : part.end]
        if branch.segment is not None:
            return np.array(branch.segment.tokens[part.start : part.end], np.int32)
        return np.array([self._next.pop(branch.item)], np.int32)

    def _count(self, reads: Sequence[tuple[int, int, int]]) -> Iterator[int]:
        for _, item, _ in reads:
            self._points[item] -= 1
            if self._points[item] == 0:
                yield item

    def _advance(self, taken: Taken) -> list[int]:
        """Make ready what comes next; return the sequences that are not needed any more."""
        drops: list[int] = []
        for branch, part in taken.items():
            if branch.node is None and branch.segment is None:
                branch.offset = part.end  # an answer continues once its next token is known
            elif branch.offset < branch.until:
                heapq.heappush(self._heap(branch), branch)
            elif branch.offset < branch.length:
                self._hold(branch)
            else:
                if not branch.opened:
                    self._open(branch)
                if not branch.to_finish:
                    drops += self._finish(branch)
        return drops

    def _open(self, branch: Branch) -> None:
        """Make ready what hangs below a branch that is decoded, or will be in this batch."""
        branch.opened = True
        for child in self._below(branch):
            branch.to_begin += 1
            branch.to_finish += 1
            if child.segment is None and child.node is None:
                self._writers[child.item] = child
            elif child.segment is not None and self._plan.items[child.item].within is not None:
                self._hold(child)
            else:
                self._push(child)

    def _push(self, branch: Branch) -> None:
        """Make a branch ready that was not, or not any more."""
        heap = self._heap(branch)
        heapq.heappush(heap, branch)
        if heap is self._leaves:
            self._ready += branch.until - branch.offset

    def _below(self, branch: Branch) -> Iterator[Branch]:
        depth = branch.depth + branch.length
        if branch.segment is not None:
            yield from self._segments(branch, branch.item, branch.segment.below)
        if branch.node is None:
            return
        for node in branch.node.children:
            length = node.end - node.start
            yield Branch((node.order, 0), length, depth, branch, node.height, node.need, node)
        for item in branch.node.tries:
            yield from self._segments(branch, item, self._plan.tries[item].roots)
        for item in branch.node.writers:
            budget = self._plan.items[item].budget
            yield Branch(branch.order, budget, depth, branch, budget, 0, item=item)

    def _segments(self, branch: Branch, item: int, indices: Sequence[int]) -> Iterator[Branch]:
        """Yield segments of an item's candidates that continue from a branch's end."""
        depth = branch.depth + branch.length
        for index in indices:
            new = self._plan.tries[item].segments[index]
            order, length = (branch.order[0], index + 1), len(new.tokens)
            yield Branch(order, length, depth, branch, new.height, new.need, segment=new, item=item)

    def _heap(self, branch: Branch) -> list[Branch]:
        return self._inner if branch.node is not None and branch.node.children else self._leaves

    def _finish(self, branch: Branch) -> list[int]:
        """Give back what a branch took, and what those above it took that are done with it."""
        drops: list[int] = []
        done: Branch | None = branch
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
