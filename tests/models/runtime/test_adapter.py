"""LoRA adapters against models into whose weights the same change was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.gguf_writer import GGUFWriter
from tiny_gguf import write_gemma3_swa, write_llama, write_lora

from promptkit.errors import ModelError, ModelFileError
from promptkit.inference.store import key_of
from promptkit.models.base import Sampling
from promptkit.models.llama import LlamaModel, load_model
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

LABELS = (" drupe", " pome", " stone fruit")
ASKED = [
    Prompt((Piece(f"{shot}The {word} is a", "data"),), candidates=LABELS, query=word)
    for shot in ("", "The plum is a drupe. ")
    for word in ("fig", "quince", "cherry")
]


def scored(model: LlamaModel) -> np.ndarray:
    found = dict(model.score(model.tokenize(ASKED)))
    return np.array([found[index].logprobs for index in range(len(ASKED))])


def merged(path: Path, added: dict[str, np.ndarray], scale: float = 1.0) -> LlamaModel:
    """The model with the change written into its weights."""

    def change(writer: GGUFWriter) -> None:
        for name, delta in added.items():
            writer.tensors[0][name].tensor += scale * delta

    return LlamaModel(write_llama(path, edit=change), threads=1)


@pytest.fixture
def base(tmp_path: Path) -> LlamaModel:
    return LlamaModel(write_llama(tmp_path / "base.gguf"), threads=1)


def test_an_adapter_changes_the_model_as_merging_it_would(base: LlamaModel, tmp_path: Path) -> None:
    added = write_lora(tmp_path / "fruit.gguf")
    plain = scored(base)
    adapted = base.adapted(tmp_path / "fruit.gguf")
    expected = scored(merged(tmp_path / "merged.gguf", added))
    assert np.abs(expected - plain).max() > 0.5
    np.testing.assert_allclose(scored(adapted), expected, atol=1e-4)
    half = base.adapted(tmp_path / "fruit.gguf", scale=-0.5)
    expected = scored(merged(tmp_path / "half.gguf", added, -0.5))
    np.testing.assert_allclose(scored(half), expected, atol=1e-4)
    np.testing.assert_array_equal(scored(base), plain)


def test_adapters_add_up(base: LlamaModel, tmp_path: Path) -> None:
    one = write_lora(tmp_path / "one.gguf", seed=1)
    two = write_lora(tmp_path / "two.gguf", seed=2, shapes={"blk.1.attn_k.weight": (16, 32)})
    both = base.adapted(tmp_path / "one.gguf").adapted(tmp_path / "two.gguf")
    assert both.identity.name == "base.gguf+one+two"
    expected = scored(merged(tmp_path / "merged.gguf", {**one, **two}))
    np.testing.assert_allclose(scored(both), expected, atol=1e-4)


def test_runs_with_and_without_may_be_mixed(base: LlamaModel, tmp_path: Path) -> None:
    write_lora(tmp_path / "fruit.gguf")
    adapted = base.adapted(tmp_path / "fruit.gguf")
    plain, changed = scored(base), scored(adapted)
    prompts = base.tokenize(ASKED)
    pairs = zip(base.score(prompts), adapted.score(prompts), strict=True)
    for (i, one), (j, other) in pairs:
        np.testing.assert_allclose(one.logprobs, plain[i], atol=1e-4)
        np.testing.assert_allclose(other.logprobs, changed[j], atol=1e-4)
    written = [
        {index: made.text for index, made in model.generate(prompts, Sampling(8))}
        for model in (base, adapted, base)
    ]
    assert written[0] == written[2] != written[1]


def test_the_adapter_is_part_of_the_identity(base: LlamaModel, tmp_path: Path) -> None:
    write_lora(tmp_path / "fruit.gguf")
    write_lora(tmp_path / "other.gguf", seed=1)
    models = [
        base,
        base.adapted(tmp_path / "fruit.gguf"),
        base.adapted(tmp_path / "fruit.gguf", scale=0.5),
        base.adapted(tmp_path / "other.gguf"),
    ]
    prompt = base.tokenize(ASKED)[0]
    assert len({key_of(prompt, model.identity) for model in models}) == 4
    assert models[2].identity.name == "base.gguf+fruit"
    assert models[2].identity.adapter == f"{models[1].identity.adapter} x 0.5"
    with_it = load_model(tmp_path / "base.gguf", threads=1, adapter=tmp_path / "fruit.gguf")
    assert with_it.identity.key == models[1].identity.key
    np.testing.assert_array_equal(scored(with_it), scored(models[1]))


def test_a_model_outlives_the_name_it_was_adapted_from(tmp_path: Path) -> None:
    write_lora(tmp_path / "fruit.gguf")
    write_llama(tmp_path / "base.gguf")
    adapted = load_model(tmp_path / "base.gguf", threads=1).adapted(tmp_path / "fruit.gguf")
    assert np.isfinite(scored(adapted)).all()
    adapted.close()
    with pytest.raises(ModelError, match="is closed"):
        scored(adapted)


def spoiled(change: Callable[[GGUFWriter], None]) -> Callable[[Path], None]:
    return lambda path: write_lora(path, edit=change) and None


def _key(name: str, value: object, kind: object) -> Callable[[Path], None]:
    def change(writer: GGUFWriter) -> None:
        del writer.kv_data[0][name]
        writer.add_key_value(name, value, kind)

    return spoiled(change)


def _typed(writer: GGUFWriter) -> None:
    info = writer.tensors[0]["blk.0.attn_q.weight.lora_a"]
    info.dtype = GGMLQuantizationType.I32


def _unpaired(writer: GGUFWriter) -> None:
    del writer.tensors[0]["blk.0.attn_q.weight.lora_b"]


def _infinite(writer: GGUFWriter) -> None:
    writer.tensors[0]["blk.0.attn_q.weight.lora_a"].tensor[:] = np.inf


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a model": (lambda path: write_llama(path), "general.type is .*; it must be 'adapter'"),
    "another architecture": (
        lambda path: write_lora(path, architecture="qwen2"),
        "general.architecture is 'qwen2'; it must be 'llama'",
    ),
    "another size": (
        lambda path: write_lora(path, shapes={"blk.0.attn_q.weight": (64, 64)}),
        "incorrect shape",
    ),
    "another depth": (
        lambda path: write_lora(path, shapes={"blk.9.attn_q.weight": (32, 32)}),
        "does not exist in base model",
    ),
    "no tensors": (spoiled(lambda writer: writer.tensors[0].clear()), "no tensors"),
    "half a pair": (spoiled(_unpaired), "missing one component"),
    "integers": (spoiled(_typed), "of type I32"),
    "not finite": (spoiled(_infinite), "numbers that are not finite"),
    "text": (lambda path: path.write_text("no GGUF at all, but rather long"), "not a GGUF file"),
    "cut": (
        lambda path: (write_lora(path), path.write_bytes(path.read_bytes()[:-500])),
        "cut short|ends|beyond",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_adapter_for_this_model(base: LlamaModel, tmp_path: Path, name: str) -> None:
    write, reason = WRONG[name]
    path = tmp_path / "wrong.gguf"
    write(path)
    plain = scored(base)
    with pytest.raises(ModelFileError, match=reason) as caught:
        base.adapted(path)
    assert caught.value.path == path
    np.testing.assert_array_equal(scored(base), plain)


def test_files_and_scales_that_are_none(base: LlamaModel, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        base.adapted(tmp_path / "nowhere.gguf")
    write_lora(tmp_path / "fruit.gguf")
    for scale in (0.0, float("nan"), float("inf")):
        with pytest.raises(ModelError, match="an adapter scale of"):
            base.adapted(tmp_path / "fruit.gguf", scale=scale)


def test_damaged_adapters_do_not_end_the_process(base: LlamaModel, tmp_path: Path) -> None:
    path = tmp_path / "fruit.gguf"
    write_lora(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(30):
        damaged = bytearray(whole)
        for place in random.integers(0, 1200, 3):
            damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            scored(base.adapted(path))
        except ModelError:
            refused += 1
    assert refused > 10


def test_windows(tmp_path: Path) -> None:
    base = LlamaModel(write_gemma3_swa(tmp_path / "base.gguf"), threads=1)
    write_lora(tmp_path / "a.gguf", architecture="gemma3", shapes={"blk.0.attn_q.weight": (64, 32)})
    plain = scored(base)
    assert np.abs(scored(base.adapted(tmp_path / "a.gguf")) - plain).max() > 0.1
    np.testing.assert_array_equal(scored(base), plain)
