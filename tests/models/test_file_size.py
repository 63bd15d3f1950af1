"""Sizes of model files and adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_gguf import write_llama, write_lora

from promptkit.models.gguf.file_size import AdapterSize, adapter_size, model_size
from promptkit.models.gguf.header import read_header


def test_a_model_has_the_elements_of_its_tensors_and_the_bytes_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    write_llama(file)
    header = read_header(file)
    found = model_size(header)
    assert found.parameters == sum(tensor.elements for tensor in header.tensors) > 0
    assert found.bytes == file.stat().st_size
    adapter = AdapterSize(3, 12)
    assert found.adapted(adapter).adapters == (adapter,)
    assert (found.adapted(adapter).parameters, found.adapted(adapter).bytes) == (
        found.parameters,
        found.bytes,
    )


@pytest.mark.parametrize(
    ("card", "seconds"),
    [('{"seconds": 3.5}', 3.5), ("[3]", 0), ("{", 0), ('{"seconds": true}', 0), (None, 0)],
)
def test_an_adapter_says_what_it_took(tmp_path: Path, card: str | None, seconds: float) -> None:
    file = tmp_path / "lora.gguf"
    rank = 4
    write_lora(
        file,
        rank=rank,
        shapes={"blk.0.attn_q.weight": (32, 32), "blk.0.attn_v.weight": (16, 32)},
        edit=None if card is None else lambda w: w.add_string("promptkit.card", card),
    )
    found = adapter_size(read_header(file))
    assert found.parameters == rank * (32 + 32) + rank * (16 + 32)
    assert found.bytes == file.stat().st_size
    assert found.number("seconds") == seconds
