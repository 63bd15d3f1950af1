"""The best label alone against the scores of all labels, on llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import write_gemma3_swa, write_lfm2, write_llama, write_lora, write_mamba

import promptkit as pk
from promptkit.models.base import Score
from promptkit.models.llama import LlamaModel
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

KINDS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda path: write_llama(path, n_ctx=1024),
    "gemma3": lambda path: write_gemma3_swa(path, n_ctx=1024, window=8),
    "mamba": lambda path: write_mamba(path, n_ctx=1024),
    "lfm2": lambda path: write_lfm2(path, n_ctx=1024),
}
LABELS = (
    " red apple",
    " red cherry",
    " red c",
    " stone fruit",
    " stone berry",
    " a long answer",
    " b",
)


def prompts(count: int = 40) -> list[Prompt]:
    """Prompts of which some are equal, or begin others."""
    shared = Piece("The family of each fruit is\n", "template")
    asked = [Piece(f"fruit {n % 35}{' red' * (n % 3)}:", "data") for n in range(count)]
    return [Prompt((shared, one), candidates=LABELS, stop="\n", query=one.text) for one in asked]


def scored(model: LlamaModel, asked: Sequence[Prompt]) -> list[Score]:
    found = dict(model.score(model.tokenize(asked)))
    return [found[index] for index in range(len(asked))]


def check(model: LlamaModel, asked: Sequence[Prompt]) -> int:
    """Compare both ways of asking; return the tokens that were not read."""
    start = model.usage.decoded_tokens
    every = scored(model, asked)
    middle = model.usage.decoded_tokens
    best = scored(model, [replace(one, best=True) for one in asked])
    tolerance = model.identity.tolerance
    for mine, other in zip(best, every, strict=True):
        top = max(other.logprobs)
        if sum(one >= top - 2 * tolerance for one in other.logprobs) == 1:
            assert mine.logprobs.index(max(mine.logprobs)) == other.logprobs.index(top)
        for place, (most, real) in enumerate(zip(mine.logprobs, other.logprobs, strict=True)):
            if place in mine.unknown:
                assert real <= most + 2 * tolerance
                assert most < max(mine.logprobs) - tolerance
            else:
                assert most == pytest.approx(real, abs=max(tolerance, 1e-3))
    return 2 * middle - start - model.usage.decoded_tokens


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_best_label_of_every_architecture(kind: str, exact: bool, tmp_path: Path) -> None:
    model = LlamaModel(KINDS[kind](tmp_path / "m.gguf"), threads=1, exact=exact)
    assert check(model, prompts()) > 0
    best = [replace(one, best=True) for one in prompts()]
    assert [one.logprobs for one in scored(model, best)] == [
        one.logprobs for one in scored(model, best)
    ]
    if exact:
        alone = [scored(model, [one])[0].logprobs for one in best]
        assert alone == [one.logprobs for one in scored(model, best)]
    mixed = [replace(one, best=index % 2 == 0) for index, one in enumerate(prompts())]
    assert not any(one.unknown for one in scored(model, mixed)[1::2])


@pytest.mark.slow
def test_the_best_label_with_an_adapter(tmp_path: Path) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf", n_ctx=1024), threads=1)
    write_lora(tmp_path / "lora.gguf")
    assert check(model.adapted(tmp_path / "lora.gguf"), prompts()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_the_best_of_many_labels_in_a_small_context(kind: str, tmp_path: Path) -> None:
    model = LlamaModel(KINDS[kind](tmp_path / "m.gguf"), threads=1, context=64)
    labels = tuple([f" {a} {b} {c}" for a in "xyz" for b in "xyz" for c in "uvw"])
    assert check(model, [replace(one, candidates=labels) for one in prompts(12)]) >= 0


@pytest.mark.model
@pytest.mark.parametrize("name", ["routing", "fruit"])
def test_smollm2_gives_the_labels_of_all_scores(smollm2: Any, name: str) -> None:
    task = pk.load_task(f"examples/{name}")
    every = pk.Predictor(task, pk.Template.of(task), smollm2, shots=4)
    start = smollm2.usage.decoded_tokens
    known = every.predict(task.tests)
    middle = smollm2.usage.decoded_tokens
    made = replace(every, scores="best").predict(task.tests)
    assert smollm2.usage.decoded_tokens - middle < middle - start
    for mine, other in zip(made, known, strict=True):
        assert mine.probs is mine.logprobs is mine.margin is mine.coverage is None
        assert other.margin is not None
        if other.margin > 2 * smollm2.identity.tolerance:
            assert mine.label == other.label
            assert not mine.near_tie
