"""Prompts and candidates in one batch: against the plain way, and how many batches they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_gguf import write_gemma3_swa, write_lfm2, write_llama, write_mamba, write_qwen

from promptkit.errors import ModelError
from promptkit.models.base import Sampling
from promptkit.models.llama import LlamaModel
from promptkit.models.planning.candidate_trie import candidate_trie
from promptkit.models.planning.executor import answer, log_totals
from promptkit.models.planning.prefix_trie import Item, Plan
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

KINDS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda path: write_llama(path, n_ctx=1024),
    "llama, filled": lambda path: write_llama(path, n_ctx=1024),
    "gemma3": lambda path: write_gemma3_swa(path, n_ctx=1024, window=8),
    "qwen2": lambda path: write_qwen(path, n_ctx=1024, generation=2),
    "qwen3": lambda path: write_qwen(path, n_ctx=1024),
    "mamba": lambda path: write_mamba(path, n_ctx=1024),
    "lfm2": lambda path: write_lfm2(path, n_ctx=1024),
}
STATEFUL = ("mamba", "lfm2")
"""Kinds that keep one state for each sequence, in which nothing can be joined."""

FILLED = RuntimeSettings(threads=1, batch=64, flash_attention=True, cache="f16", fill=1)
"""Settings with which nearly every small batch is filled up."""

F32 = 1e-3
LABELS = (" red apple", " red cherry", " red c", " stone fruit", " a long answer", " b")


# -- Against the plain way ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def contexts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Context, Context, Context]]:
    """Contexts of small batches, the second to get states, and one for single sequences."""
    path = KINDS[request.param](tmp_path_factory.mktemp("joined") / "m.gguf")
    model = LoadedModel(path)
    small = FILLED if "filled" in request.param else RuntimeSettings(threads=1, batch=48)
    yield (
        Context(model, length=160, settings=small),
        Context(model, length=160, settings=small),
        Context(model, length=160, settings=RuntimeSettings(threads=1, batch=160)),
    )
    model.access.close()


def plainly(context: Context, item: Item) -> list[float]:
    """Each candidate after its prompt, as one sequence in a context that knows nothing else."""
    found = []
    for candidate in item.candidates:
        context.clear()
        ids = np.array([*item.ids, *candidate[:-1]], np.int32)
        places = np.arange(len(ids), dtype=np.int32)
        wanted = np.arange(len(item.ids) - 1, len(ids))
        rows = context.decode(ids, places, places * 0, wanted)
        terms = rows[np.arange(len(candidate)), candidate] - log_totals(rows)
        found.append(float(terms.sum()))
    return found


def tolerance(context: Context) -> float:
    return F32 if context.limits.batch == 48 else FILLED.tolerance("F32")


def planned(context: Context, items: Sequence[Item]) -> dict[int, tuple[float, ...]]:
    plan = Plan(items, context.limits)
    found: dict[int, tuple[float, ...]] = {}
    for done in answer(plan, context.schedule(plan), context):
        found.update((index, sums.logprobs) for index, sums in done if sums is not None)
    return found


tokens = st.integers(5, 60)
candidates = st.lists(
    st.lists(st.integers(5, 8), min_size=1, max_size=6).map(tuple),
    min_size=1,
    max_size=8,
    unique=True,
).map(tuple)


@st.composite
def runs(draw: st.DrawFn) -> list[Item]:
    """Prompts that share a beginning, or are each other's, with candidates that share theirs."""
    shared = draw(st.lists(tokens, min_size=1, max_size=60))
    asked = draw(candidates)
    return [
        Item(
            tuple(
                shared[: draw(st.integers(1, len(shared)))] + draw(st.lists(tokens, max_size=20))
            ),
            asked if draw(st.booleans()) else draw(candidates),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(runs(), st.data())
def test_plans_give_what_single_sequences_give(
    contexts: tuple[Context, Context, Context], items: list[Item], data: st.DataObject
) -> None:
    """Also after a run before, whose prefix is taken over whole, in part or not at all."""
    context, stateful, plain = contexts
    if data.draw(st.booleans(), "clear"):
        context.clear()
    if data.draw(st.booleans(), "with state"):
        context = stateful
        length = data.draw(st.integers(1, len(items[0].ids)))
        context.restore(context.state(items[0].ids[:length]))
    found = planned(context, items)
    for index, item in enumerate(items):
        assert found[index] == pytest.approx(plainly(plain, item), abs=tolerance(context))


def test_more_candidates_than_sequences(contexts: tuple[Context, Context, Context]) -> None:
    context, _, plain = contexts
    many = tuple((5 + a, 5 + b, 5 + c, 9) for a in range(7) for b in range(7) for c in range(6))
    item = Item(tuple(range(5, 25)), many)
    assert candidate_trie(many).width > context.limits.sequences
    found = planned(context, [item])[0]
    assert found[::40] == pytest.approx(plainly(plain, item)[::40], abs=tolerance(context))


def test_candidates_longer_than_a_batch_in_a_context_that_is_nearly_full(
    contexts: tuple[Context, Context, Context],
) -> None:
    context, _, plain = contexts
    long = tuple((5 + a, *(6 + (a * n) % 50 for n in range(79))) for a in range(2))
    items = [Item(tuple(5 + (n * k) % 55 for n in range(80)), (*long, (7,))) for k in (3, 7)]
    found = planned(context, items)
    for index, item in enumerate(items):
        assert found[index] == pytest.approx(plainly(plain, item), abs=tolerance(context))


@pytest.mark.parametrize(
    ("sequences", "counts"),
    [([0, 0, 1], [1]), ([0], [1, 1]), ([0, 1], [2, 0]), ([0, 1, 2], [1, 1]), ([0, 1], [-1, 3])],
)
def test_batches_whose_sequences_do_not_add_up(
    contexts: tuple[Context, Context, Context], sequences: list[int], counts: list[int]
) -> None:
    context, _, _ = contexts
    arrays = [np.array(values, np.int32) for values in ([5, 5], [0, 1], sequences, [1], counts)]
    with pytest.raises(ModelError, match="which it cannot have"):
        context.decode(*arrays)


def test_sequences_with_other_pasts_share_no_token(tmp_path: Path) -> None:
    model = LoadedModel(write_llama(tmp_path / "m.gguf"))
    context = Context(model, length=64, settings=RuntimeSettings(threads=1, batch=64))

    def decode(*batch: list[int]) -> Any:
        return context.decode(*[np.array(values, np.int32) for values in batch])

    decode([5, 6, 7], [0, 1, 0], [0, 0, 1], [2])
    with pytest.raises(ModelError, match="could not read"):
        decode([8], [2], [0, 1], [0], [2])
    context.clear()
    decode([8, 9, 9], [0, 1, 1], [0, 1, 0, 1], [1, 2], [2, 1, 1])
    model.access.close()


def test_a_state_of_each_sequence_is_shared_by_none(tmp_path: Path) -> None:
    for kind in STATEFUL:
        model = LoadedModel(KINDS[kind](tmp_path / f"{kind}.gguf"))
        context = Context(model, length=64, settings=RuntimeSettings(threads=1, batch=64))
        batch = [np.array(values, np.int32) for values in ([5], [0], [0, 1], [0], [2])]
        with pytest.raises(ModelError, match="which it cannot have"):
            context.decode(*batch)
        model.access.close()


# -- How many batches -----------------------------------------------------------------------------


def ask(text: str, labels: Sequence[str] | None = LABELS) -> Prompt:
    shared = "The family of each fruit is\n" + "fig: pome\n" * 30
    return Prompt((Piece(shared + text, "data"),), candidates=labels, stop="\n", query=text)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of each batch that any context decodes."""
    sizes: list[int] = []
    whole = Context.decode

    def decode(self: Context, tokens: np.ndarray, *rest: Any) -> Any:
        sizes.append(len(tokens))
        return whole(self, tokens, *rest)

    monkeypatch.setattr(Context, "decode", decode)
    return sizes


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_request_after_a_state_takes_one_batch(
    kind: str, tmp_path: Path, batches: list[int]
) -> None:
    model = LlamaModel(KINDS[kind](tmp_path / "m.gguf"), threads=1)
    every = model.tokenize([ask("fig:"), ask("quince:"), ask("a sour cherry:")])
    model.restore(model.prefix_state(every))
    for request in every:
        batches.clear()
        ((_, score),) = model.score([request])
        ((_, again),) = model.score([request])
        assert again.logprobs == pytest.approx(score.logprobs, abs=F32)
        assert len(batches) == 2 or kind in STATEFUL


def test_the_rest_of_what_requests_share_after_a_state_is_decoded_with_them(
    tmp_path: Path, batches: list[int]
) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1)
    every = model.tokenize([ask(f"a {name}:") for name in ("fig", "quince", "cherry")])
    model.restore(model.prefix_state(model.tokenize([ask("fig:"), ask("a quince:")])))
    batches.clear()
    together = dict(model.score(every))
    assert len(batches) == 1
    for index, request in enumerate(every):
        ((_, alone),) = model.score([request])
        assert together[index].logprobs == pytest.approx(alone.logprobs, abs=F32)


def test_a_run_begins_after_a_prompt_that_was_decoded_with_its_candidates(tmp_path: Path) -> None:
    """What the next run takes over of it is what nothing was decoded with."""
    requests = ["fig: pome\nquince:", "fig: pome\ncherry:"]
    path = write_llama(tmp_path / "m.gguf", n_ctx=1024)
    for first in ([ask("fig:")], [ask("fig: pome\n")]):
        model, other = (LlamaModel(path, threads=1) for _ in range(2))
        list(model.score(model.tokenize(first)))
        asked = model.tokenize([ask(text) for text in requests])
        found, expected = dict(model.score(asked)), dict(other.score(asked))
        assert [found[n].logprobs for n in range(2)] == [expected[n].logprobs for n in range(2)]


def test_scores_and_an_answer_of_one_call(tmp_path: Path, batches: list[int]) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1)
    requests = model.tokenize([ask("fig:"), ask("fig:", None)])
    model.restore(model.prefix_state(model.tokenize([ask("fig:"), ask("quince:")])))
    batches.clear()
    made = dict(model.answer(requests, Sampling(max_tokens=4)))
    assert made.keys() == {0, 1}
    assert len(batches) <= 4, "the scores take no batch of their own"
