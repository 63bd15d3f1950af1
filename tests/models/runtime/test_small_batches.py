"""Small batches behind flash attention, which are filled up where that is quicker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_gguf import write_gemma3_swa, write_llama, write_mamba

from promptkit.errors import ModelError
from promptkit.models.base import Usage
from promptkit.models.prepare.small_batches import cells_per_token, fill_of
from promptkit.models.runtime.context import Context, RuntimeSettings
from promptkit.models.runtime.loaded_model import LoadedModel

FLASH = RuntimeSettings(threads=1, batch=128, flash_attention=True, cache="f16")
FILLED = RuntimeSettings(threads=1, batch=128, flash_attention=True, cache="f16", fill=1)


def rows(context: Context, first: int, last: int, sequence: int = 0) -> np.ndarray:
    """The logits after each of some tokens, decoded in one batch."""
    places = np.arange(first, last, dtype=np.int32)
    return context.decode(5 + places % 90, places, places * 0 + sequence, places - first).copy()


def test_a_filled_batch_gives_what_the_batch_alone_gives(tmp_path: Path) -> None:
    model = LoadedModel(write_llama(tmp_path / "m.gguf", n_ctx=1024))
    usage = Usage()
    plain = Context(model, length=512, settings=FLASH)
    filled = Context(model, length=512, settings=FILLED, usage=usage)
    for context in (plain, filled):
        rows(context, 0, 128)
    for first, last in ((128, 129), (129, 140), (140, 203)):
        expected, found = rows(plain, first, last), rows(filled, first, last)
        np.testing.assert_allclose(found, expected, atol=FLASH.tolerance("F32"))
        assert not np.array_equal(found, expected), "the same bits: it was not filled"
    assert usage.decoded_tokens == 203, "what fills a batch is not counted"
    model.access.close()


def test_a_context_that_is_full_has_room_to_fill(tmp_path: Path) -> None:
    model = LoadedModel(write_llama(tmp_path / "m.gguf", n_ctx=4096))
    context = Context(model, length=512, settings=FILLED)
    for cell in range(0, context.limits.cells, 32):
        sequence, place = divmod(cell, 512)
        rows(context, place, place + 32, sequence)
    with pytest.raises(ModelError, match="no room"):
        rows(context, 0, 96, sequence + 1)
    model.access.close()


def test_models_that_cannot_drop_tokens_are_not_filled(tmp_path: Path) -> None:
    for write in (write_gemma3_swa, write_mamba):
        model = LoadedModel(write(tmp_path / f"{write.__name__}.gguf"))
        found = []
        for settings in (FLASH, FILLED):
            context = Context(model, length=256, settings=settings)
            found.append((context.limits, rows(context, 0, 30).tolist()))
        assert found[0] == found[1]
        model.access.close()


def test_batches_that_are_quick_are_not_filled() -> None:
    assert fill_of(few=0.18, tile=0.18, prefix=500) == 167
    assert fill_of(few=0.06, tile=0.18, prefix=500) == 1500
    assert fill_of(few=0.03, tile=0.18, prefix=500) == 0


@pytest.mark.slow
def test_what_fills_a_batch_is_measured(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", n_ctx=1024)
    assert cells_per_token(path, FLASH) >= 0
    short = write_llama(tmp_path / "short.gguf", n_ctx=100)
    assert cells_per_token(short, FLASH) == 0
