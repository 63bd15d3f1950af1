"""Requests joined in batches by one thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from promptkit.errors import PromptkitError
from promptkit.serving.joined_batches import CrowdedError, JoinedBatch, JoinedBatches


class Asked:
    """A function that answers with the double, and notes its calls; it waits until it may go on."""

    def __init__(self, go: bool = True) -> None:
        self.calls: list[list[Any]] = []
        self.threads: set[int] = set()
        self.begun, self.go = threading.Event(), threading.Event()
        if go:
            self.go.set()

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        self.calls.append([*inputs])
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.go.wait(60)
        if "long" in inputs:
            raise PromptkitError("too long")
        if "broken" in inputs:
            raise RuntimeError("broken")
        return [one * 2 for one in inputs]


def test_answers_come_to_those_who_asked_from_one_thread() -> None:
    ask, done = Asked(), list[JoinedBatch]()
    batches = JoinedBatches(ask, done=done.append)
    lists = [[*range(start, start + start % 7 + 1)] for start in range(200)]
    with ThreadPoolExecutor(16) as clients:
        found = [*clients.map(lambda one: batches.submit(one).result(60), lists)]
    batches.close()
    assert found == [[2 * value for value in one] for one in lists]
    assert len(ask.threads) == 1
    assert threading.get_ident() not in ask.threads
    assert sum(batch.inputs for batch in done) == sum(map(len, lists))
    assert batches.waiting == 0


def test_what_waits_is_asked_together() -> None:
    ask = Asked(go=False)
    batches = JoinedBatches(ask)
    first = batches.submit([0])
    assert ask.begun.wait(60)
    rest = [batches.submit([number]) for number in range(1, 6)]
    assert batches.waiting == 6
    ask.go.set()
    assert [one.result(60) for one in (first, *rest)] == [[0], [2], [4], [6], [8], [10]]
    assert ask.calls == [[0], [1, 2, 3, 4, 5]]
    batches.close()


def test_a_long_list_delays_others_by_one_batch() -> None:
    ask = Asked(go=False)
    batches = JoinedBatches(ask)
    long = batches.submit(range(1000))
    assert ask.begun.wait(60)
    short = batches.submit([-1])
    ask.go.set()
    assert short.result(60) == [-2]
    assert long.result(60) == [2 * value for value in range(1000)]
    assert [len(call) for call in ask.calls] == [256, 129, 256, 256, 104]
    assert -1 in ask.calls[1]
    batches.close()


def test_what_was_cancelled_is_not_asked() -> None:
    ask = Asked(go=False)
    batches = JoinedBatches(ask)
    long = batches.submit(range(1000))
    assert ask.begun.wait(60)
    gone = batches.submit([-1])
    assert long.cancel()
    assert gone.cancel()
    ask.go.set()
    assert batches.submit([5]).result(60) == [10]
    assert ask.calls[1:] == [[5]]
    batches.close()


def test_an_error_is_that_of_the_request_that_caused_it() -> None:
    ask = Asked(go=False)
    batches = JoinedBatches(ask)
    first = batches.submit(["a"])
    assert ask.begun.wait(60)
    good, long = batches.submit(["b"]), batches.submit(["long"])
    ask.go.set()
    assert (first.result(60), good.result(60)) == (["aa"], ["bb"])
    with pytest.raises(PromptkitError, match="too long"):
        long.result(60)
    with pytest.raises(RuntimeError):
        batches.submit(["broken"]).result(60)
    assert batches.submit(["c"]).result(60) == ["cc"]
    batches.close()


def test_what_waits_at_the_end_is_answered_and_nothing_after() -> None:
    ask = Asked(go=False)
    batches = JoinedBatches(ask, waiting=5)
    first = batches.submit([1])
    assert ask.begun.wait(60)
    second = batches.submit([2, 3, 4])
    with pytest.raises(CrowdedError):
        batches.submit([5, 6])
    closing = threading.Thread(target=batches.close)
    closing.start()
    ask.go.set()
    closing.join(60)
    assert (first.result(0), second.result(0)) == ([2], [4, 6, 8])
    with pytest.raises(CrowdedError):
        batches.submit([5])
