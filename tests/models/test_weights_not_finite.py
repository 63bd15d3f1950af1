"""Weights that are NaN or infinite: found when a file is checked, and never part of a score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from tiny_gguf import write_bert, write_llama, write_lora

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.base import Sampling
from promptkit.models.embedding import load_embedder
from promptkit.models.llama import LlamaModel, load_model
from promptkit.models.runtime.context import Context
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

F16, Q8_0 = GGMLQuantizationType.F16, GGMLQuantizationType.Q8_0
REASON = r"tensor {} holds numbers that are not finite; its weights are damaged"


def spoiled(name: str, place: tuple[int, ...], value: float) -> Callable[[Any], None]:
    def edit(writer: Any) -> None:
        tensor = writer.tensors[0][name].tensor
        if tensor.dtype == np.uint8:  # quantised: the first two bytes are a block's scale
            row = tensor.reshape(-1, tensor.shape[-1])
            row[0, :2] = np.array([value], np.float16).view(np.uint8)
        else:
            tensor[place] = value

    return edit


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "place", "kind"),
    [
        ("output_norm.weight", (5,), None),
        ("blk.1.attn_norm.weight", (0,), None),
        ("blk.0.attn_q.weight", (3, 1), None),
        ("blk.1.ffn_down.weight", (0, 0), F16),
        ("token_embd.weight", (-1, -1), None),
        ("blk.0.ffn_up.weight", (0, 0), Q8_0),
    ],
)
def test_a_file_with_a_weight_that_is_not_finite(
    name: str, place: tuple[int, ...], kind: Any, value: float, tmp_path: Path
) -> None:
    more = {} if kind is None else {"weight_type": kind}
    path = write_llama(tmp_path / "m.gguf", edit=spoiled(name, place, value), **more)
    with pytest.raises(ModelFileError, match=REASON.format(name)) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(ModelFileError, match=REASON.format(name)):
        load_embedder(path)


def test_an_embedding_model_with_a_weight_that_is_not_finite(tmp_path: Path) -> None:
    path = write_bert(tmp_path / "b.gguf", edit=spoiled("token_embd.weight", (-1, 0), np.nan))
    with pytest.raises(ModelFileError, match=REASON.format(r"token_embd\.weight")):
        load_embedder(path)


def test_an_adapter_with_a_weight_that_is_not_finite(tmp_path: Path) -> None:
    def edit(writer: Any) -> None:
        info = writer.tensors[0]["blk.1.ffn_up.weight.lora_b"]
        info.tensor[7, 2] = np.inf

    base = LlamaModel(write_llama(tmp_path / "m.gguf"), threads=1)
    write_lora(tmp_path / "lora.gguf", edit=edit)
    reason = r"lora\.gguf: .*lora_b holds numbers that are not finite"
    with pytest.raises(ModelFileError, match=reason):
        base.adapted(tmp_path / "lora.gguf")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_error_that_names_the_model(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(write_llama(tmp_path / "m.gguf"), threads=1)
    whole = Context.decode

    def decode(self: Context, *arguments: Any) -> Any:
        rows = whole(self, *arguments)
        rows[:, -1] = value
        return rows

    monkeypatch.setattr(Context, "decode", decode)
    piece = Piece("The fruit", "data")
    scored = model.tokenize([Prompt((piece,), candidates=(" a", " b"))])
    written = model.tokenize([Prompt((piece,))])
    for use in (
        lambda: list(model.score(scored)),
        lambda: list(model.generate(written)),
        lambda: list(model.generate(written, Sampling(temperature=1.0))),
    ):
        with pytest.raises(ModelError, match=r"m\.gguf: the model gives numbers that are not fin"):
            use()
