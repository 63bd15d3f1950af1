"""The search for the best candidate against reading all of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from promptkit.models.planning.best_candidate import BestCandidate, Habits
from promptkit.models.planning.candidate_trie import CandidateTrie, candidate_trie

Candidates = tuple[tuple[int, ...], ...]

candidates = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple),
    min_size=1,
    max_size=10,
    unique=True,
).map(tuple)
logprob = st.one_of(st.floats(-8, 0), st.sampled_from([0.0, -1.0, -2.0, -math.inf, 1e-4]))


def search(
    asked: Candidates, edges: np.ndarray, within: float, habits: Habits | None = None
) -> tuple[BestCandidate, CandidateTrie, int]:
    """Read as the search has it; count the tokens."""
    trie = candidate_trie(asked)
    best = BestCandidate(asked, within, habits or Habits(trie.size))
    waiting, tokens, read = set(trie.roots), 0, dict.fromkeys(range(len(trie.segments)), 0)
    best.read(0, edges[trie.edges[0]])
    while not (choice := best.choose(waiting)).resolved:
        waiting -= {*choice.leave_out}
        assert choice.go_on, "there is always one to go on with"
        assert choice.go_on.keys() <= waiting
        for place, count in choice.go_on.items():
            segment, start = trie.segments[place], read[place]
            read[place] += count
            tokens += count
            assert 0 < read[place] <= len(segment.tokens)
            if read[place] == len(segment.tokens):
                waiting = waiting - {place} | {*segment.below}
            for point in segment.points[start : read[place]]:
                assert best.choose(waiting) == ({}, (), False), "it waits for what is being read"
                best.read(point, edges[trie.edges[point]])
    assert {*choice.leave_out} == waiting
    return best, trie, tokens


@given(candidates, st.data(), st.floats(0.01, 3))
def test_the_best_is_that_of_all(asked: Candidates, data: st.DataObject, within: float) -> None:
    size = candidate_trie(asked).size
    edges = np.array(data.draw(st.lists(logprob, min_size=size, max_size=size)))
    best, trie, tokens = search(asked, edges, within)
    truth, found = trie.sums(edges), best.sums
    assert found.logprobs.index(max(found.logprobs)) == truth.index(max(truth))
    assert tokens <= trie.tokens
    for index, (real, said) in enumerate(zip(truth, found.logprobs, strict=True)):
        if index in found.unknown:
            assert real <= said + 0.001
            assert said < max(truth) - within
        else:
            assert said == real
    near = [i for i, one in enumerate(truth) if one >= max(truth) - within]
    assert not {*near} & {*found.unknown}, "what is nearly tied is read in full"


def test_candidates_that_cannot_win_are_not_read() -> None:
    asked = ((1, 2, 3, 4), (2, 2, 3, 4), (3, 2, 3, 4))
    edges = np.zeros(candidate_trie(asked).size) - 0.01
    edges[:3] = -0.5, -3.0, -4.0  # the first tokens
    best, trie, tokens = search(asked, edges, 0.1)
    assert (tokens, trie.tokens) == (3, 9)
    assert best.sums.unknown == (1, 2)
    assert best.sums.logprobs[1:] == (-3.0, -4.0)


def test_habits_save_tokens() -> None:
    """The likeliest first token begins a candidate that goes on badly in every prompt."""
    asked = ((1, 2, 3, 4, 5), (2, 3, 4, 5, 6))
    trie, habits = candidate_trie(asked), Habits(candidate_trie(asked).size)
    edges = np.zeros(trie.size) - 0.1
    edges[:2] = -0.5, -1.0
    edges[trie.terms[0][1]] = -9.0
    taken = [search(asked, edges, 0.1, habits)[2] for _ in range(20)]
    assert taken[0] == trie.tokens == 8
    assert taken[-1] == 5
