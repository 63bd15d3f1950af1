"""The plan and its batches, on a runtime that checks every rule and answers with digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptkit.errors import ModelError
from promptkit.models.planning.batches import Schedule
from promptkit.models.planning.candidate_trie import Sums, candidate_trie
from promptkit.models.planning.executor import answer, log_totals
from promptkit.models.planning.prefix_trie import Item, Limits, Plan

WORDS = 6
"""The size of the vocabulary."""

Ids = tuple[int, ...]


def logits_after(ids: Sequence[int]) -> np.ndarray:
    """What the runtime says after these tokens: nothing but a digest of them."""
    digest = hashlib.sha256(np.array(ids, np.int32).tobytes()).digest()
    return (np.frombuffer(digest[: 4 * WORDS], np.uint32) / 2**29).astype(np.float32)


def alone(ids: Ids, candidates: Sequence[Ids]) -> tuple[float, ...]:
    """Scores without a plan: every candidate's tokens one by one, in order."""
    trie = candidate_trie(tuple(candidates))
    edges = np.empty(trie.size)
    for point, prefix in enumerate(trie.prefixes):
        row = logits_after(ids + prefix)
        asked = row[trie.targets[point]].copy()
        edges[trie.edges[point]] = asked - log_totals(row[None])[0]
    return trie.sums(edges)


class CheckedRuntime:
    """Cells and sequences as llama.cpp has them; every broken rule is an `AssertionError`."""

    def __init__(self, limits: Limits, *, joins: bool = True) -> None:
        self.limits, self.joins = limits, joins
        self.sequences: dict[int, Ids] = {0: ()}
        self.decoded = 0
        self.rows = 0
        self.most_cells = 0
        self.batches: list[int] = []

    def decode(
        self,
        tokens: np.ndarray,
        positions: np.ndarray,
        sequences: np.ndarray,
        outputs: np.ndarray,
        counts: np.ndarray | None = None,
    ) -> np.ndarray:
        assert 0 < len(tokens) <= self.limits.batch
        assert len(outputs) <= self.limits.outputs
        assert counts is None or self.joins
        ends = np.cumsum(np.ones_like(tokens) if counts is None else counts)
        assert len(tokens) == len(positions) == len(ends)
        assert len(sequences) == ends[-1]
        assert sorted(set(outputs.tolist())) == outputs.tolist()
        wanted = set(outputs.tolist())
        rows = []
        start = 0
        for index, (token, position, end) in enumerate(
            zip(tokens.tolist(), positions.tolist(), ends.tolist(), strict=True)
        ):
            own, start = sequences[start:end].tolist(), end
            assert len({*own}) == len(own) > 0
            assert all(0 <= sequence < self.limits.sequences for sequence in own)
            held = self.sequences.get(own[0], ())
            assert all(self.sequences.get(sequence, ()) == held for sequence in own), "one past"
            assert position == len(held), "positions go on without holes"
            self.sequences |= dict.fromkeys(own, (*held, token))
            if index in wanted:
                rows.append(logits_after((*held, token)))
        self.decoded += len(tokens)
        self.rows += len(rows)
        self.batches.append(len(tokens))
        self.most_cells = max(self.most_cells, self.cells)
        assert self.cells <= self.limits.cells
        return np.array(rows, np.float32).reshape(-1, WORDS)

    def fork(self, source: int, target: int) -> None:
        assert self.sequences.get(target, ()) == (), "a fork goes to an empty sequence"
        assert target < self.limits.sequences
        self.sequences[target] = self.sequences[source]

    def drop(self, sequence: int) -> None:
        assert self.sequences.pop(sequence)

    def keep(self, sequence: int, alone: int) -> None:
        self.kept, self.alone = self.sequences[sequence], alone

    def keep_path(self, sequence: int, tokens: np.ndarray) -> None:
        self.path = tuple(tokens.tolist())
        assert self.sequences[sequence][: len(self.path)] == self.path

    @property
    def cells(self) -> int:
        """The distinct beginnings: what sequences share stands in memory once."""
        return len({held[:end] for held in self.sequences.values() for end in range(len(held))})


def distinct(items: Sequence[Item]) -> set[Ids]:
    """What must be read: every beginning of every prompt and candidate but its last token."""
    return {
        whole[: end + 1]
        for item in items
        for candidate in item.candidates or ((),)
        for whole in [tuple(item.ids) + candidate[:-1]]
        for end in range(len(whole))
    }


tokens = st.integers(0, WORDS - 1)
few = st.integers(0, 2)
candidates = st.lists(
    st.lists(tokens, min_size=1, max_size=5).map(tuple), min_size=1, max_size=6, unique=True
).map(tuple)
prefixes = st.lists(few, min_size=1, max_size=12)


@st.composite
def scored_items(draw: st.DrawFn) -> list[Item]:
    """Prompts that share beginnings, are each other's beginnings, or are the same."""
    shared = draw(prefixes)
    sets = draw(st.lists(candidates, min_size=1, max_size=2))
    return [
        Item(
            tuple(shared[: draw(st.integers(1, len(shared)))] + draw(st.lists(few, max_size=6))),
            draw(st.sampled_from(sets)),
        )
        for _ in range(draw(st.integers(1, 14)))
    ]


limits = st.builds(
    Limits,
    cells=st.integers(24, 80),
    sequences=st.integers(6, 20),
    batch=st.integers(1, 24),
    outputs=st.integers(1, 12),
)


def run(
    items: Sequence[Item], within: Limits, *, joins: bool = True, same_bits: bool = True
) -> tuple[dict[int, tuple[float, ...]], CheckedRuntime]:
    plan = Plan(items, within)
    runtime = CheckedRuntime(within, joins=joins)
    found: dict[int, tuple[float, ...]] = {}
    for done in answer(plan, Schedule(plan, joins=joins, same_bits=same_bits), runtime):
        for item, scores in done:
            assert item not in found
            assert scores is not None
            assert not scores.unknown
            found[item] = scores.logprobs
    assert runtime.decoded == plan.tokens
    assert runtime.rows == plan.rows
    assert runtime.cells == 0, "nothing is left behind"
    return found, runtime


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(scored_items(), limits, st.booleans(), st.booleans())
def test_scores_are_those_of_prompts_read_alone_bit_for_bit(
    items: list[Item], within: Limits, joins: bool, same_bits: bool
) -> None:
    found, runtime = run(items, within, joins=joins, same_bits=same_bits)
    assert found == {
        index: alone(tuple(item.ids), item.candidates) for index, item in enumerate(items)
    }
    assert runtime.decoded == len(distinct(items))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(scored_items(), limits, st.randoms())
def test_scores_do_not_depend_on_the_order_of_the_prompts(
    items: list[Item], within: Limits, random: object
) -> None:
    shuffled = list(enumerate(items))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found, runtime = run(items, within)
    again, other = run([item for _, item in shuffled], within)
    assert {shuffled[at][0]: scores for at, scores in again.items()} == found
    assert other.decoded == runtime.decoded


@given(scored_items(), limits)
def test_what_does_not_fit_is_an_error_before_anything_runs(
    items: list[Item], within: Limits
) -> None:
    longest = max(
        len(item.ids) + max(len(candidate) - 1 for candidate in item.candidates) for item in items
    )
    Plan(items, replace(within, cells=max(within.cells, longest)))
    with pytest.raises(ModelError, match="cells"):
        Plan(items, replace(within, cells=longest - 1))


@given(scored_items())
def test_the_plan_counts_rows_once(items: list[Item]) -> None:
    points = {
        tuple(item.ids) + prefix
        for item in items
        for prefix in candidate_trie(item.candidates).prefixes
    }
    assert Plan(items, Limits(100, 20, 32, 32)).rows == len(points)


# -- The best only ---------------------------------------------------------------------------------


def best_only(
    items: Sequence[Item], within: Limits, runtime: CheckedRuntime
) -> Iterator[tuple[int, Sums]]:
    """Yield what is found of each item; check what is read on the way."""
    plan = Plan(items, within)
    for done in answer(plan, Schedule(plan, joins=runtime.joins), runtime):
        yield from [(item, sums) for item, sums in done if sums is not None]
    assert runtime.decoded <= plan.tokens
    assert runtime.cells == 0, "nothing is left behind"


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(scored_items(), limits, st.data())
def test_the_best_is_that_of_all_candidates(
    items: list[Item], within: Limits, data: st.DataObject
) -> None:
    distances = st.sampled_from([None, 0.01, 0.5, 3.0])
    items = [replace(item, within=data.draw(distances)) for item in items]
    found = dict(best_only(items, within, CheckedRuntime(within, joins=data.draw(st.booleans()))))
    assert found.keys() == {*range(len(items))}
    for index, item in enumerate(items):
        truth = alone(tuple(item.ids), item.candidates)
        logprobs, unknown = found[index]
        assert logprobs.index(max(logprobs)) == truth.index(max(truth))
        for place, real in enumerate(truth):
            if place not in unknown:
                assert logprobs[place] == real
                continue
            assert item.within is not None
            assert real <= logprobs[place] < max(truth) - item.within


def test_what_waits_is_read_where_nothing_else_can_be() -> None:
    """Candidates that branch in as many sequences as there are, the best of them the last."""
    tree = tuple((a, b, c, 1) for a in (0, 1, 2) for b in (0, 1, 2) for c in (0, 1, 2))
    items = [Item((5, number), tree, within=50.0) for number in range(5)]
    need = Plan(items, Limits(500, 64, 32, 32)).root.need
    narrow = Limits(24, need + 1, 8, 8)
    runtime = CheckedRuntime(narrow)
    found = dict(best_only(items, narrow, runtime))
    assert [found[n].logprobs for n in range(5)] == [alone((5, n), tree) for n in range(5)]
    assert runtime.decoded == Plan(items, narrow).tokens


# -- What is written ------------------------------------------------------------------------------


@st.composite
def written_items(draw: st.DrawFn) -> list[Item]:
    shared = draw(prefixes)
    return [
        Item(
            tuple(shared[: draw(st.integers(1, len(shared)))] + draw(st.lists(few, max_size=6))),
            budget=draw(st.integers(1, 5)),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]


def greedy(ids: Ids, budget: int) -> Ids:
    answer: Ids = ()
    while len(answer) < budget:
        token = int(logits_after(ids + answer).argmax())
        if token == 0:
            break
        answer = (*answer, token)
    return answer


class GreedyWriters:
    """Writers of the most probable tokens, up to token 0 or the budget."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.answers: dict[int, Ids] = {
            index: () for index, item in enumerate(items) if not item.candidates
        }
        self.writers = {index: partial(self.go_on, index) for index in self.answers}

    def go_on(self, item: int, logits: np.ndarray) -> int | None:
        token = int(logits.argmax())
        logits[:] = np.nan  # a row is the writer's own
        if token == 0:
            return None
        self.answers[item] = (*self.answers[item], token)
        return token if len(self.answers[item]) < self.items[item].budget else None

    @property
    def decoded(self) -> int:
        """The tokens that answers went on from."""
        budgets = ((self.items[item].budget, len(text)) for item, text in self.answers.items())
        return sum(length - (length == budget) for budget, length in budgets)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(written_items(), limits, st.booleans())
def test_answers_are_those_of_prompts_answered_alone(
    items: list[Item], within: Limits, joins: bool
) -> None:
    plan = Plan(items, within)
    runtime, written = CheckedRuntime(within, joins=joins), GreedyWriters(items)
    done: list[int] = []
    for finished in answer(plan, Schedule(plan, joins=joins), runtime, written.writers):
        assert all(sums is None for _, sums in finished)
        done += [item for item, _ in finished]
    assert sorted(done) == list(range(len(items)))
    assert written.answers == {i: greedy(tuple(x.ids), x.budget) for i, x in enumerate(items)}
    assert runtime.cells == 0


# -- What is scored and what is written, together -------------------------------------------------


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(scored_items(), written_items(), limits, st.data())
def test_scores_and_answers_together_are_those_alone(
    scored: list[Item], written: list[Item], within: Limits, data: st.DataObject
) -> None:
    distances = st.sampled_from(data.draw(st.sampled_from([[None], [None, 0.01, 3.0]])))
    scored = [replace(item, within=data.draw(distances)) for item in scored]
    # Some answers begin where candidates do.
    same = [Item(item.ids, budget=3) for item in scored if data.draw(st.booleans())]
    items = data.draw(st.permutations([*scored, *written, *same]))
    plan, joins = Plan(items, within), data.draw(st.booleans())
    runtime, texts = CheckedRuntime(within, joins=joins), GreedyWriters(items)
    found: dict[int, Sums | None] = {}
    for done in answer(plan, Schedule(plan, joins=joins), runtime, texts.writers):
        assert not found.keys() & dict(done).keys()
        found.update(done)
    assert found.keys() == {*range(len(items))}
    for index, item in enumerate(items):
        sums = found[index]
        if item.budget:
            assert sums is None
            assert texts.answers[index] == greedy(tuple(item.ids), item.budget)
            continue
        assert sums is not None
        truth = alone(tuple(item.ids), item.candidates)
        assert sums.logprobs.index(max(sums.logprobs)) == truth.index(max(truth))
        known = [place for place in range(len(truth)) if place not in sums.unknown]
        assert [sums.logprobs[place] for place in known] == [truth[place] for place in known]
        assert item.within is not None or len(known) == len(truth)
    most = plan.tokens + texts.decoded
    assert runtime.decoded <= most
    assert runtime.decoded == most or any(item.within is not None for item in items)
    assert runtime.cells == 0


# -- How full and how narrow ----------------------------------------------------------------------


def chain(queries: int, shots: int, length: int = 20) -> list[Item]:
    """Queries after 0, 1, 2, … shots, as a comparison has them."""
    header = list(range(1000, 1020))
    found = []
    for count in range(shots + 1):
        demos = [2000 + count * 100 + i for count in range(count) for i in range(length)]
        for query in range(queries):
            asked = [10_000 + query * 100 + i for i in range(length)]
            found.append(Item(header + demos + asked, ((1,), (2,))))
    return found


class CountingRuntime(CheckedRuntime):
    def decode(self, *batch: Any) -> np.ndarray:
        tokens, _, _, outputs, _ = batch
        self.batches.append(len(tokens))
        self.decoded += len(tokens)
        return np.zeros((len(outputs), 3), np.float32)

    def fork(self, source: int, target: int) -> None:
        pass

    def drop(self, sequence: int) -> None:
        pass

    def keep(self, sequence: int, alone: int) -> None:
        pass

    def keep_path(self, sequence: int, tokens: np.ndarray) -> None:
        pass


@pytest.mark.parametrize("joins", [True, False])
def test_batches_of_a_comparison_are_full(joins: bool) -> None:
    items = chain(queries=60, shots=16)
    plan = Plan(items, Limits(4096, 64, 256, 256))
    runtime = CountingRuntime(plan.limits)
    for _ in answer(plan, Schedule(plan, joins=joins), runtime):
        pass
    full = [size for size in runtime.batches if size == 256]
    assert len(full) >= len(runtime.batches) - 4
    assert runtime.decoded == plan.tokens == 20 + 16 * 20 + 17 * 60 * 20


@pytest.mark.parametrize(("queries", "shots"), [(60, 16), (50, 8), (30, 4)])
def test_a_few_answers_beside_many_scores_take_no_more_batches(queries: int, shots: int) -> None:
    """The answers follow the longest prompts, which depth-first order alone would decode last."""
    items = chain(queries, shots)
    longest = [Item(item.ids, budget=8) for item in items[-5:]]
    within = Limits(4096, 64, 256, 256)

    def batches(items: Sequence[Item]) -> int:
        plan, runtime = Plan(items, within), CountingRuntime(within)
        for _ in answer(plan, Schedule(plan), runtime, GreedyOnes(items)):
            pass
        return len(runtime.batches)

    assert batches(longest) >= 9
    assert batches([*items, *longest]) <= batches(items) + 1


class GreedyOnes(dict[int, Any]):
    """Writers that use all of their budgets."""

    def __init__(self, items: Sequence[Item]) -> None:
        super().__init__(
            (index, iter([1] * (item.budget - 1) + [None]).__next__)
            for index, item in enumerate(items)
        )

    def __getitem__(self, item: int) -> Any:
        write = super().__getitem__(item)
        return lambda _: write()


def test_the_path_of_the_latest_prompts_is_kept() -> None:
    demos = (1, 2, 3, 0)
    items = [Item((4, 4), ((1,), (2,))), *(Item((4, *demos, q, 2), ((1,), (2,))) for q in (0, 1))]
    within = Limits(4096, 64, 32, 64)
    runtime = CheckedRuntime(within)
    plan = Plan(items, within)
    for _ in answer(plan, Schedule(plan), runtime):
        pass
    assert runtime.path == (4, *demos)


@pytest.mark.parametrize(("joins", "batches"), [(True, 1), (False, 3)])
def test_few_cells_are_alive_at_once(joins: bool, batches: int) -> None:
    items = [
        replace(item, ids=[t % 5 for t in item.ids[:20]] + list(item.ids[20:]))
        for item in chain(12, 4, 6)
    ]
    within = Limits(4096, 64, 32, 64)
    _, runtime = run(items, within, joins=joins)
    longest = 20 + 4 * 6 + 6
    assert runtime.most_cells <= longest + batches * within.batch


# -- What joins what ------------------------------------------------------------------------------

TREE = tuple((a, b, 1) for a in (0, 1, 2) for b in (0, 1))
"""Candidates that branch twice: three tokens, then two after each."""


def sizes(items: Sequence[Item], within: Limits, **options: bool) -> list[int]:
    return run(items, within, **options)[1].batches


def test_a_short_prompt_takes_one_batch_with_its_candidates() -> None:
    within = Limits(100, 20, 32, 32)
    prompt = Item((3, 4, 5), TREE)
    assert sizes([prompt], within) == [3 + 3 + 6]
    assert sizes([prompt], within, joins=False) == [3, 3, 6]


def test_what_does_not_fit_a_batch_follows_in_the_next() -> None:
    prompt = Item((3, 4, 5), TREE)
    assert sizes([prompt], Limits(100, 20, 8, 32)) == [8, 4]
    assert sizes([prompt], Limits(100, 20, 32, 4)) == [6, 4, 2], "three rows, and one of the prompt"
    assert sum(sizes([prompt], Limits(100, 3, 32, 32))) == 12, "three sequences"
    assert sum(sizes([prompt], Limits(6, 20, 32, 32))) == 12, "six cells"


def test_nothing_joins_a_prefix_whose_bits_are_to_be_the_same() -> None:
    items = [Item((3, 4, 5, last), TREE) for last in (0, 1)]
    within = Limits(100, 40, 64, 64)
    _, runtime = run(items, within)
    assert runtime.batches == [3, 2 * (1 + 9)]
    assert (runtime.kept, runtime.alone) == ((3, 4, 5), 3)
    assert sizes(items, within, same_bits=False) == [3 + 2 * (1 + 9)]


def test_a_single_prompt_is_kept_with_what_was_decoded_alone() -> None:
    _, runtime = run([Item((3, 4, 5, 0, 1), TREE)], Limits(100, 20, 4, 32))
    assert runtime.kept[:5] == (3, 4, 5, 0, 1)
    assert runtime.alone == 4
    _, runtime = run([Item((3, 4, 5, 0), TREE)], Limits(100, 20, 4, 32))
    assert runtime.alone == 4, "the last batch is full without candidates"


def test_a_plan_goes_on_from_what_is_there() -> None:
    plan = Plan([Item((3, 4, 5, 0), TREE)], Limits(100, 20, 32, 32))
    runtime = CheckedRuntime(plan.limits)
    runtime.sequences[0] = (3, 4)
    (done,) = answer(plan, Schedule(plan, read=2), runtime)
    assert dict(done)[0] == Sums(alone((3, 4, 5, 0), TREE))
    assert runtime.batches == [2 + 9]


def test_answers_join_nothing() -> None:
    """Their tokens are not known before; scores beside them take no batches of their own."""
    items = [Item((3, 4, 5), TREE), Item((3, 4, 5), budget=4)]
    texts = GreedyWriters(items)
    plan = Plan(items, Limits(100, 20, 32, 32))
    runtime = CheckedRuntime(plan.limits)
    list(answer(plan, Schedule(plan), runtime, texts.writers))
    assert runtime.batches[0] == 3 + 9
    assert len(runtime.batches) <= 4
    assert texts.answers[1] == greedy((3, 4, 5), 4)
