"""Scores and answers of one call against those of two, on llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_gguf import write_gemma3_swa, write_lfm2, write_llama, write_mamba

from promptkit import FakeModel
from promptkit.errors import ModelError, PromptTooLongError
from promptkit.inference.answering import unique_tokens
from promptkit.models.base import Generation, JointModel, Sampling, Score
from promptkit.models.llama import LlamaModel
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

KINDS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda path: write_llama(path, n_ctx=1024),
    "gemma3": lambda path: write_gemma3_swa(path, n_ctx=1024, window=8),
    "mamba": lambda path: write_mamba(path, n_ctx=1024),
    "lfm2": lambda path: write_lfm2(path, n_ctx=1024),
}
LABELS = (" red apple", " red cherry", " red c", " stone fruit", " a long answer", " b")
SAMPLING = Sampling(max_tokens=6)


def prompts(count: int = 40) -> list[Prompt]:
    """Prompts that are scored, and of every third the same without candidates."""
    shared = Piece("The family of each fruit is\n", "template")
    asked = [Piece(f"fruit {n % 35}{' red' * (n % 3)}:", "data") for n in range(count)]
    scored = [Prompt((shared, one), candidates=LABELS, stop="\n", query=one.text) for one in asked]
    return [*scored, *(replace(one, candidates=None) for one in scored[::3])]


def together(model: LlamaModel, asked: Sequence[Prompt]) -> list[Score | Generation]:
    found = dict(model.answer(model.tokenize(asked), SAMPLING))
    return [found[index] for index in range(len(asked))]


def apart(model: LlamaModel, asked: Sequence[Prompt]) -> list[Score | Generation]:
    requests = [*model.tokenize(asked)]
    scored = [one for one in requests if one.candidates]
    written = [one for one in requests if not one.candidates]
    scores, texts = dict(model.score(scored)), dict(model.generate(written, SAMPLING))
    first, second = iter(range(len(scored))), iter(range(len(written)))
    return [scores[next(first)] if one.candidates else texts[next(second)] for one in requests]


@pytest.mark.slow
@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_one_call_gives_what_two_give(kind: str, exact: bool, best: bool, tmp_path: Path) -> None:
    model = LlamaModel(KINDS[kind](tmp_path / "m.gguf"), threads=1, exact=exact)
    assert isinstance(model, JointModel)
    assert model.shares_batches is not exact
    asked = [replace(one, best=best and one.candidates is not None) for one in prompts()]
    asked = asked[::2] + asked[1::2]
    start = model.usage.decoded_tokens
    mine = together(model, asked)
    middle = model.usage.decoded_tokens
    for one, other in zip(mine, apart(model, asked), strict=True):
        if isinstance(one, Score):
            assert isinstance(other, Score)
            if exact:
                assert replace(one, seconds=other.seconds) == other
            elif not best:
                near = pytest.approx(other.logprobs, abs=max(model.identity.tolerance, 1e-3))
                assert one.logprobs == near
            else:
                assert max(one.logprobs) == pytest.approx(max(other.logprobs), abs=2e-3)
        else:
            assert isinstance(other, Generation)
            assert replace(one, seconds=other.seconds) == other
    if not exact:
        assert middle - start < model.usage.decoded_tokens - middle


@pytest.mark.slow
def test_one_call_decodes_what_is_shared_once(tmp_path: Path) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1)
    requests = model.tokenize(prompts())
    made = [one for _, one in model.answer(requests, SAMPLING)]
    texts = [one for one in made if isinstance(one, Generation)]
    went_on = sum(one.generated - (one.finish != "eos") for one in texts)
    assert model.usage.decoded_tokens == unique_tokens(requests) + went_on


@pytest.mark.slow
def test_one_call_for_one_kind_and_for_nothing(tmp_path: Path) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1)
    assert list(model.answer([])) == []
    for asked in (prompts(3)[:3], prompts(3)[3:]):
        made = [replace(one, seconds=0.0) for one in together(model, asked)]
        assert made == [replace(one, seconds=0.0) for one in apart(model, asked)]


@pytest.mark.slow
def test_errors_of_one_call(tmp_path: Path) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1, context=64)
    requests = model.tokenize(prompts(1))
    with pytest.raises(PromptTooLongError, match="60 of answer"):
        next(model.answer(requests, Sampling(max_tokens=60)))
    model.close()
    with pytest.raises(ModelError, match="closed"):
        next(model.answer(requests, SAMPLING))


def test_models_with_three_calls_are_none() -> None:
    assert not isinstance(FakeModel(), JointModel)
