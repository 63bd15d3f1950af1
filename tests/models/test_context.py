from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_gguf import write_gemma3_swa, write_llama, write_mamba

from promptkit.errors import ModelError
from promptkit.models.base import Usage
from promptkit.models.context import Context, Logits, Settings, log_total
from promptkit.models.library import library

Make = Callable[..., Context]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    lib = library()
    made: list[tuple[Context, Any]] = []

    def context(write: Callable[..., Path], cells: int = 512, **options: Any) -> Context:
        path = write(tmp_path / "m.gguf", **options)
        params = lib.llama_model_default_params()
        model = lib.llama_model_load_from_file(os.fsencode(path), params)
        made.append(
            (Context(model, cells=cells, settings=Settings(threads=1), usage=Usage()), model)
        )
        return made[-1][0]

    yield context
    for one, model in made:
        one.close()
        lib.llama_model_free(model)


def read(context: Context, sequence: int, start: int, end: int) -> Logits:
    """The logits after the last of some tokens that depend on their places only."""
    tokens = [5 + place * 7 % 90 for place in range(start, end)]
    count = end - start
    rows = context.decode(tokens, range(start, end), [sequence] * count, [count - 1])
    return rows[0].copy()


def test_a_sequence_can_be_cut_and_read_on(make: Make) -> None:
    for write in (write_llama, write_gemma3_swa):
        context = make(write)
        whole = read(context, 0, 0, 60)
        assert context.rewind(41)
        np.testing.assert_allclose(read(context, 0, 41, 60), whole, atol=1e-4)
        assert context.rewind(0)
        assert not context.rewind(3)  # there is nothing to cut
        context.rewind(0)
        np.testing.assert_array_equal(read(context, 0, 0, 60), whole)


def test_a_recurrent_state_cannot_be_cut(make: Make) -> None:
    context = make(write_mamba)
    whole = read(context, 0, 0, 60)
    assert not context.rewind(41)
    assert context.rewind(0)
    np.testing.assert_array_equal(read(context, 0, 0, 60), whole)


def test_a_window_that_was_let_go_of_cannot_come_back(make: Make) -> None:
    context = make(write_gemma3_swa, cells=1024, window=8)
    read(context, 0, 0, 100)
    read(context, 1, 0, 300)
    read(context, 0, 100, 200)
    context.drop(1)
    # The hole is too small for these, so they take the places that no window of 0 sees any more.
    read(context, 2, 0, 320)
    assert not context.rewind(110)


def test_forks_do_not_touch_what_they_were_forked_from(make: Make) -> None:
    for write in (write_llama, write_gemma3_swa, write_mamba):
        context = make(write)
        read(context, 0, 0, 20)
        expected = read(context, 0, 20, 30)
        context.rewind(0)
        read(context, 0, 0, 20)
        for sequence in range(1, context.sequences):
            context.fork(sequence)
        tokens = list(range(10, 10 + context.sequences - 1))
        places = [20] * len(tokens)
        context.decode(tokens, places, range(1, context.sequences), range(len(tokens)))
        for sequence in range(1, context.sequences):
            context.drop(sequence)
        np.testing.assert_allclose(read(context, 0, 20, 30), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("tokens", "positions", "sequences"),
    [
        ([5] * 513, range(513), [0] * 513),
        ([5], [0], [64]),
        ([5], [0], [10**6]),
        ([5], [512], [0]),
        ([10**6], [0], [0]),
        ([-1], [0], [0]),
        ([5, 5], [0, 2], [0, 0]),
        ([5, 5], [1, 0], [0, 0]),
    ],
)
def test_batches_that_break_the_rules(
    make: Make, tokens: list[int], positions: list[int], sequences: list[int]
) -> None:
    context = make(write_llama)
    with pytest.raises(ModelError):
        context.decode(tokens, positions, sequences, [0])
    context.rewind(0)
    read(context, 0, 0, 10)


def test_log_total() -> None:
    row = np.array([0.0, 1.0, 1000.0, -np.inf], np.float32)
    assert log_total(row) == 1000
    assert log_total(np.zeros(4, np.float32)) == pytest.approx(np.log(4))
