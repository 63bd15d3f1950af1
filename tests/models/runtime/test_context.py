from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from tiny_gguf import write_gemma3_swa, write_llama, write_mamba

from promptkit.errors import ModelError
from promptkit.models.planning.executor import Logits, log_totals
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.loaded_model import LoadedModel

Make = Callable[..., Context]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[LoadedModel] = []

    def context(write: Callable[..., Path], length: int = 512, **options: Any) -> Context:
        path = write(tmp_path / "m.gguf", **options)
        made.append(LoadedModel(path))
        settings = RuntimeSettings(threads=1, batch=64)
        return Context(made[-1], length=length, settings=settings)

    yield context
    for model in made:
        model.access.close()


def tokens_at(places: range) -> list[int]:
    """Tokens that depend on their places only."""
    return [5 + place * 7 % 90 for place in places]


def decode(
    context: Context, tokens: list[int], positions: range | list[int], sequences: list[int]
) -> Logits:
    """The logits after the last token."""
    arrays = [np.array(values, np.int32) for values in (tokens, positions, sequences)]
    return context.decode(*arrays, np.array([len(tokens) - 1]))[0].copy()


def read(context: Context, sequence: int, start: int, end: int) -> Logits:
    """The logits after the last token, the rest read in batches of 64."""
    for first in range(start, end, 64):
        places = range(first, min(first + 64, end))
        row = decode(context, tokens_at(places), places, [sequence] * len(places))
    return row


def test_the_prefix_of_a_run_is_there_for_the_next(make: Make) -> None:
    for write in (write_llama, write_gemma3_swa, write_mamba):
        context = make(write)
        prefix = tokens_at(range(150))
        assert context.begin(prefix, wants=False) == 0
        whole = read(context, 0, 0, 150)
        context.keep(0, 150)
        read(context, 0, 150, 200)
        assert context.begin(prefix, wants=False) == 150
        expected = read(context, 0, 150, 200)
        assert context.begin(prefix, wants=False) == 150
        np.testing.assert_array_equal(read(context, 0, 150, 200), expected)
        if write is not write_mamba:
            assert context.begin([*prefix[:140], 4, 4], wants=False) == 128
            assert context.begin(prefix, wants=True) == 128
            np.testing.assert_array_equal(read(context, 0, 128, 150), whole)
        assert context.begin(prefix[1:], wants=False) == 0
        assert context.begin(prefix, wants=False) == 0, "it was let go of"


def test_answers_go_on_from_the_path_of_the_run_before(make: Make) -> None:
    for write in (write_llama, write_gemma3_swa, write_mamba):
        context = make(write)
        path = tokens_at(range(150))
        context.begin(path[:70], wants=False)
        read(context, 0, 0, 70)
        context.keep(0, 70)
        expected = read(context, 0, 70, 160)
        context.keep_path(0, np.array(path, np.int32))
        rewinds = write is write_llama
        assert context.begin(path, wants=False, writes=True) == (
            150 if rewinds else 64 * (write is write_gemma3_swa)
        )
        if rewinds:
            np.testing.assert_allclose(read(context, 0, 150, 160), expected, atol=1e-5)
        assert context.begin(path, wants=True, writes=True) == 64 * (write is not write_mamba)


def test_scores_do_not_begin_after_tokens_that_were_read_with_others(make: Make) -> None:
    context = make(write_llama)
    path = tokens_at(range(150))
    context.begin(path[:70], wants=False)
    read(context, 0, 0, 70)
    context.keep(0, 70)
    read(context, 0, 70, 160)
    context.keep_path(0, np.array(path, np.int32))
    assert context.begin(path, wants=False) == 64
    assert context.begin(path[:70], wants=False) == 64


def test_recurrent_states_are_few(make: Make) -> None:
    assert make(write_mamba).limits.sequences == 8
    assert make(write_llama).limits.sequences == 255


def test_a_recurrent_state_cannot_be_cut(make: Make) -> None:
    context = make(write_mamba)
    prefix = tokens_at(range(150))
    context.begin(prefix, wants=False)
    whole = read(context, 0, 0, 150)
    context.keep(0, 150)
    assert context.begin(prefix, wants=True) == 0
    np.testing.assert_array_equal(read(context, 0, 0, 150), whole)


def test_forks_do_not_touch_what_they_were_forked_from(make: Make) -> None:
    for write in (write_llama, write_gemma3_swa, write_mamba):
        context = make(write)
        read(context, 0, 0, 20)
        expected = read(context, 0, 20, 30)
        context.clear()
        read(context, 0, 0, 20)
        others = list(range(1, min(context.limits.sequences, 60)))
        for sequence in others:
            context.fork(0, sequence)
        decode(context, [10 + sequence for sequence in others], [20] * len(others), others)
        for sequence in others:
            context.drop(sequence)
        np.testing.assert_allclose(read(context, 0, 20, 30), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("tokens", "positions", "sequences", "reason"),
    [
        ([5] * 65, range(65), [0] * 65, "a batch of 65 tokens"),
        ([5], [0], [255], "sequences beyond 0 to 254"),
        ([5], [0], [10**6], "sequences"),
        ([5], [0], [-1], "sequences"),
        ([5], [512], [0], "positions"),
        ([5], [-1], [0], "positions"),
        ([10**6], [0], [0], "tokens"),
        ([-1], [0], [0], "tokens"),
        ([5, 5], [0, 2], [0, 0], "llama.cpp could not read"),
        ([5, 5], [1, 0], [0, 0], "llama.cpp could not read"),
    ],
)
def test_batches_that_break_the_rules(
    make: Make, tokens: list[int], positions: list[int], sequences: list[int], reason: str
) -> None:
    context = make(write_llama)
    with pytest.raises(ModelError, match=reason):
        decode(context, tokens, positions, sequences)
    context.clear()
    read(context, 0, 0, 10)


def test_log_totals() -> None:
    rows = np.array([[0.0, 1.0, 1000.0, -np.inf], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(log_totals(rows), [1000, np.log(4)])
    random = np.random.default_rng(0)
    for scale, shift in ((1, 0), (10, 0), (3, 90), (3, -100), (300, 0)):
        rows = random.normal(shift, scale, (50, 20_000)).astype(np.float32)
        expected = logsumexp(rows.astype(np.float64), axis=1)
        np.testing.assert_allclose(log_totals(rows), expected, rtol=1e-6)
    for wrong in (np.nan, np.inf):
        with pytest.raises(ModelError, match="numbers that are not finite"):
            log_totals(np.array([[0, wrong]], np.float32))
