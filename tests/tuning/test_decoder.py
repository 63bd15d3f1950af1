"""The decoder in torch against llama.cpp, for each architecture, with and without an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType, RopeScalingType
from gguf.gguf_writer import GGUFWriter
from tiny_gguf import write_gemma3_swa, write_llama, write_mamba, write_qwen

from promptkit.errors import ModelFileError
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.llama import LlamaModel
from promptkit.models.prepare.model_files import verify
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt
from promptkit.tuning.adapter_check import largest_difference
from promptkit.tuning.adapter_output import adapter_card, write_adapter
from promptkit.tuning.decoder import Change, Decoder
from promptkit.tuning.decoder_shape import ARCHITECTURES
from promptkit.tuning.decoder_weights import read_weights
from promptkit.tuning.label_loss import candidate_scores
from promptkit.tuning.lora_parameters import LoraParameters, new_parameters
from promptkit.tuning.token_batches import batches_of, token_batch
from promptkit.tuning.token_trees import prompt_groups
from promptkit.tuning.training_prompts import TrainingPrompt
from promptkit.tuning.tune import exact_model

pytestmark = pytest.mark.slow

LABELS = (" drupe", " pome", " stone fruit", " stone")
WORDS = ("fig", "quince", "cherry", "a very long name of some fruit", "the apple of my eye")


def _rope_factors(writer: GGUFWriter) -> None:
    writer.add_tensor("rope_freqs.weight", np.array([1, 2, 4, 8], np.float32))


def _stretched(writer: GGUFWriter) -> None:
    writer.add_rope_scaling_type(RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)


def _part_rotated(writer: GGUFWriter) -> None:
    del writer.kv_data[0]["llama.rope.dimension_count"]
    writer.add_rope_dimension_count(4)


MODELS: dict[str, Callable[[Path], Path]] = {
    "llama": write_llama,
    "llama spm": lambda path: write_llama(path, tokenizer="spm"),
    "llama one head": lambda path: write_llama(path, kv_heads=4, layers=3),
    "llama Q4_0": lambda path: write_llama(path, weight_type=GGMLQuantizationType.Q4_0),
    "llama rope factors": lambda path: write_llama(path, edit=_rope_factors),
    "llama stretched": lambda path: write_llama(path, edit=_stretched),
    "qwen2": lambda path: write_qwen(path, generation=2),
    "qwen2 tied": lambda path: write_qwen(path, generation=2, tied=True),
    "qwen3": lambda path: write_qwen(path, generation=3),
    "gemma3": write_gemma3_swa,
    "gemma3 wide window": lambda path: write_gemma3_swa(path, window=200),
}


class Case:
    """A tiny model in torch and in llama.cpp, with prompts."""

    def __init__(self, header: Header, model: LlamaModel) -> None:
        self.header, self.model = header, model
        self.decoder = Decoder(read_weights(header, torch.float32))
        self.prompts = [*map(self.prompt, WORDS)]

    @property
    def most(self) -> float:
        """Largest difference: llama.cpp looks GELU up in a table of half precision."""
        return 5e-3 if self.decoder.shape.gelu else 1e-3

    def prompt(self, word: str) -> TrainingPrompt:
        texts = (Piece(f"A plum is a drupe. The {word} is a", "data"),)
        asked = Prompt(texts, candidates=LABELS, stop="\n", query=word)
        (request,) = self.model.tokenize([asked])
        return TrainingPrompt(request, (1.0, 0.0, 0.0, 0.0))


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    file = verify(MODELS[request.param](tmp_path / "model.gguf"))
    with exact_model(file, tmp_path / "work") as (model, header):
        yield Case(header, model)


def _random(decoder: Decoder, layers: int) -> LoraParameters:
    torch.manual_seed(0)
    parameters = new_parameters(decoder, layers, rank=3, alpha=6.0, seed=1)
    for _, b in parameters.pairs.values():
        b.data.normal_(0, 0.3)
    return parameters


def test_every_architecture_is_tested() -> None:
    assert {name.split()[0] for name in MODELS} == {*ARCHITECTURES}


def test_it_computes_what_llama_cpp_computes(case: Case) -> None:
    assert largest_difference(case.decoder, {}, case.model, case.prompts) < case.most


def test_an_adapter_is_the_same_in_llama_cpp(case: Case, tmp_path: Path) -> None:
    parameters = _random(case.decoder, layers=case.decoder.shape.layers)
    file = tmp_path / "lora.gguf"
    tensors = {name: one.detach().numpy() for name, one in parameters.named()}
    write_adapter(
        file,
        tensors,
        architecture=case.header.architecture,
        alpha=parameters.alpha,
        card={"task": "früchte"},
    )
    assert adapter_card(file) == {"task": "früchte"}
    change = parameters.change(torch.float32)
    adapted = case.model.adapted(file)
    assert largest_difference(case.decoder, change, case.model, case.prompts) > 0.05
    assert largest_difference(case.decoder, change, adapted, case.prompts) < case.most


def _alone(case: Case, prompt: TrainingPrompt, change: Change) -> torch.Tensor:
    (group,) = prompt_groups([replace(prompt.tree, shots=(prompt.tree.query or "",))], 2)
    assert len(group.prefix) == 0
    return _scores(case, token_batch(case.decoder, group, [0]), change)[0]


def _scores(case: Case, batch: object, change: Change) -> torch.Tensor:
    hidden = case.decoder.embed(batch.tokens)  # type: ignore[attr-defined]
    layers = range(case.decoder.shape.layers)
    hidden = case.decoder.run(hidden, batch.layout, layers, change)  # type: ignore[attr-defined]
    return candidate_scores(case.decoder, batch, hidden)  # type: ignore[arg-type]


def test_a_shared_prefix_changes_neither_scores_nor_gradients(case: Case) -> None:
    parameters = _random(case.decoder, layers=1)
    (group,) = prompt_groups([prompt.tree for prompt in case.prompts], 2)
    assert len(group.prefix) > 5
    change = parameters.change(torch.float32)
    batch = token_batch(case.decoder, group, range(len(WORDS)))
    together = _scores(case, batch, change)
    together.sum().backward()
    shared = [one.grad.clone() for one in parameters.tensors()]
    for one in parameters.tensors():
        one.grad = None
    change = parameters.change(torch.float32)
    alone = torch.stack([_alone(case, prompt, change) for prompt in case.prompts])
    alone.sum().backward()
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    for one, grad in zip(parameters.tensors(), shared, strict=True):
        torch.testing.assert_close(grad, one.grad, atol=2e-3, rtol=1e-3)


def test_batches_hold_every_prompt_once(case: Case) -> None:
    (group,) = prompt_groups([prompt.tree for prompt in case.prompts], 2)
    random = np.random.default_rng(0)
    for tokens in (1, 30, 1000):
        batches = [*batches_of(group, tokens, 2, random)]
        assert sorted(member for batch in batches for member in batch) == [*range(len(WORDS))]
        assert max(map(len, batches)) <= 2


# What cannot be trained.


def _edited(edit: Callable[[GGUFWriter], None]) -> Callable[[Path], Path]:
    return lambda path: write_llama(path, edit=edit)


def _experts(writer: GGUFWriter) -> None:
    writer.add_expert_count(4)


def _yarn(writer: GGUFWriter) -> None:
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)


def _strange(writer: GGUFWriter) -> None:
    writer.add_tensor("blk.0.ffn_norm.bias", np.zeros(32, np.float32))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_mamba, "for the architecture 'mamba'; they can for: llama, qwen2, qwen3, gemma3"),
        (_edited(_experts), "a mixture of experts"),
        (_edited(_yarn), "rope scaling of type 'yarn'; linear is supported"),
        (_edited(_part_rotated), "positions rotate 4 of the 8 numbers of a head"),
        (_edited(_strange), "tensor blk.0.ffn_norm.bias is not one that llama models are known"),
    ],
)
def test_other_models_are_refused_with_the_reason(
    write: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    header = read_header(write(tmp_path / "model.gguf"))
    with pytest.raises(ModelFileError, match=reason.replace("(", r"\(")):
        read_weights(header, torch.float32)


def test_weights_that_are_not_dequantised_are_refused(tmp_path: Path) -> None:
    kind = GGMLQuantizationType.Q4_0
    header = read_header(write_llama(tmp_path / "model.gguf", weight_type=kind))
    with pytest.raises(ModelFileError, match=r"is of type Q4_0, and not dequantised"):
        read_weights(header, torch.float32)
