"""The execution of a plan on a runtime: its batches decoded, their logits reduced, answers written.

It knows no llama.cpp: a runtime decodes tokens, copies sequences and drops them.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from promptkit.errors import ModelError
from promptkit.models.planning.batches import Schedule
from promptkit.models.planning.best_candidate import BestCandidate, Habits
from promptkit.models.planning.branches import Ints, Step
from promptkit.models.planning.candidate_trie import Floats, Sums, Tokens
from promptkit.models.planning.prefix_trie import Plan
from promptkit.translation import tr

Logits = npt.NDArray[np.float32]

Writer = Callable[[Logits], int | None]
"""A function of the logits after an answer so far, (vocabulary,), which it may write to. It returns
the next token, or None where the answer is complete."""


class Runtime(Protocol):
    """An engine that a plan runs on."""

    def decode(
        self,
        tokens: Ints,
        positions: Ints,
        sequences: Ints,
        outputs: Ints,
        counts: Ints | None = None,
    ) -> Logits:
        """Decode a batch; return the logits after `outputs`, valid until the next call.

        A token that stands in several sequences is decoded once for all of them: `counts` has their
        number by token, where any has more than one.
        """
        ...

    def fork(self, source: int, target: int) -> None:
        """Make sequence `target` a copy of `source`."""
        ...

    def drop(self, sequence: int) -> None:
        """Forget a sequence."""
        ...

    def keep(self, sequence: int, alone: int) -> None:
        """Keep the prefix of all prompts, which a sequence begins with.

        The first `alone` of its tokens were decoded without others.
        """
        ...

    def keep_path(self, sequence: int, tokens: Ints) -> None:
        """Keep more: the tokens that a sequence begins with."""
        ...


Done = list[tuple[int, Sums | None]]
"""Items that are complete: with log-probabilities per candidate, or None for a written answer."""


def answer(
    plan: Plan, schedule: Schedule, runtime: Runtime, writers: Mapping[int, Writer] | None = None
) -> Iterator[Done]:
    """Yield, after each batch, the items that it completed: scored ones, and written ones.

    Each item with a budget has a writer. Raises `ModelError` where the runtime fails, or its
    numbers are not finite.
    """
    steps = _answered(plan, schedule, runtime, writers or {})
    if any(item.within is not None for item in plan.items):
        return _best(plan, schedule, runtime, steps)
    return _every(plan, steps)


class _Answered(NamedTuple):
    """A batch after it was decoded."""

    step: Step
    scored: list[tuple[int, int, Floats]]
    """(item, point, log-probabilities of the edges that follow it)."""
    written: list[int]
    """Items whose answers are complete."""


def _answered(
    plan: Plan, schedule: Schedule, runtime: Runtime, writers: Mapping[int, Writer]
) -> Iterator[_Answered]:
    """Decode each batch, score what it reads, and write on the answers that it goes on with."""
    for step in schedule.steps():
        rows = _read(step, runtime)
        scored = _scored(plan, step, rows) if step.reads else []
        written = _written(schedule, step, rows, runtime, writers) if step.writes else []
        yield _Answered(step, scored, written)


def _every(plan: Plan, steps: Iterator[_Answered]) -> Iterator[Done]:
    """Yield items as soon as all of their candidates are read, or their answers written."""
    edges: dict[int, Floats] = {}
    for step, scored, written in steps:
        for item, point, logprobs in scored:
            trie = plan.tries[item]
            if item not in edges:
                edges[item] = np.empty(trie.size)
            edges[item][trie.edges[point]] = logprobs
        done: Done = [(item, None) for item in written]
        done += [(item, Sums(plan.tries[item].sums(edges.pop(item)))) for item in step.finished]
        yield done


def _best(
    plan: Plan, schedule: Schedule, runtime: Runtime, steps: Iterator[_Answered]
) -> Iterator[Done]:
    """Yield items as `_every` does, each as soon as its best candidate is known."""
    habits: dict[tuple[Tokens, ...], Habits] = {}
    searches: dict[int, BestCandidate] = {}
    for index, (item, trie) in enumerate(zip(plan.items, plan.tries, strict=True)):
        if item.candidates:
            within = math.inf if item.within is None else item.within
            own = habits.setdefault(item.candidates, Habits(trie.size))
            searches[index] = BestCandidate(item.candidates, within, own)
    for _, scored, written in steps:
        touched: dict[int, BestCandidate] = {}
        for index, point, logprobs in scored:
            if index in searches:
                touched[index] = searches[index]
                touched[index].read(point, logprobs)
        found = [index for index, one in touched.items() if _go_on(schedule, index, one, runtime)]
        done: Done = [(item, None) for item in written]
        done += [(index, searches.pop(index).sums) for index in found]
        yield done


def _go_on(schedule: Schedule, item: int, search: BestCandidate, runtime: Runtime) -> bool:
    """Have more of an item's candidates read; return whether there is no need to."""
    choice = search.choose(schedule.held(item))
    for sequence in schedule.leave_out(item, choice.leave_out):
        runtime.drop(sequence)
    for segment, count in choice.go_on.items():
        schedule.go_on(item, segment, count)
    return choice.resolved


def _scored(plan: Plan, step: Step, rows: Logits) -> list[tuple[int, int, Floats]]:
    """Return (item, point, log-probabilities of the edges that follow it), copied from the rows."""
    asked = [
        (item, point, rows[row, plan.tries[item].targets[point]]) for row, item, point in step.reads
    ]
    totals = log_totals(rows)
    return [
        (item, point, logits - totals[row])
        for (row, _, _), (item, point, logits) in zip(step.reads, asked, strict=True)
    ]


def _written(
    schedule: Schedule, step: Step, rows: Logits, runtime: Runtime, writers: Mapping[int, Writer]
) -> list[int]:
    """Write on the answers of a batch; return the items whose answers are complete."""
    shared = Counter(row for row, _ in step.writes)
    done: list[int] = []
    for row, item in step.writes:
        token = writers[item](rows[row].copy() if shared[row] > 1 else rows[row])
        if token is not None:
            schedule.write(item, token)
            continue
        for sequence in schedule.end(item):
            runtime.drop(sequence)
        done.append(item)
    return done


def _read(step: Step, runtime: Runtime) -> Logits:
    for source, target in step.forks:
        runtime.fork(source, target)
    rows = runtime.decode(step.tokens, step.positions, step.sequences, step.outputs, step.counts)
    if step.prefix is not None:
        runtime.keep(*step.prefix)
    if step.path is not None:
        runtime.keep_path(*step.path)
    for sequence in step.drops:
        runtime.drop(sequence)
    return rows


def log_totals(rows: Logits) -> Floats:
    """Return the number to subtract from each row of logits to make them log-probabilities.

    Raises `ModelError` where a row is not finite.
    """
    if len(rows) < 32:  # too few to be worth a second thread
        totals = _totals(rows)
    else:  # numpy lets other threads run meanwhile
        half = len(rows) // 2
        later = _other_thread(os.getpid()).submit(_totals, rows[half:])
        totals = np.concatenate([_totals(rows[:half]), later.result()])
    check_finite(totals)
    return totals


def _totals(rows: Logits) -> Floats:
    totals = np.empty(len(rows))
    scratch = np.empty(rows.shape[1], np.float32)  # it stays in the processor's cache
    with np.errstate(all="ignore"):
        for index, row in enumerate(rows):
            peak, total = 0.0, np.exp(row, out=scratch).sum()
            # Between these, a sum of exponentials has lost nothing to the range of 32 bits.
            if not 1e-20 < total < 1e30:
                peak = row.max()
                total = np.exp(np.subtract(row, peak, out=scratch), out=scratch).sum()
            totals[index] = peak + np.log(total)
    return totals


@cache
def _other_thread(_process: int) -> ThreadPoolExecutor:
    """Return a thread of this process; a fork has none of its parent's."""
    return ThreadPoolExecutor(1, "promptkit-logits")


def check_finite(values: npt.NDArray[np.floating]) -> None:
    """Raise `ModelError` for NaN and infinity, which come of damaged weights."""
    if not np.isfinite(values).all():
        raise ModelError(
            tr(
                "the model gives numbers that are not finite; its weights are damaged, or "
                "their type is too small (where they were prepared, take them as-is)"
            )
        )
