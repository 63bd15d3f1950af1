"""Layers on a GPU: what is asked, what is told, and what llama.cpp gets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import write_llama

import promptkit as pk
from promptkit.errors import ModelError
from promptkit.models.prepare import speed
from promptkit.models.runtime import gpu
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.models.runtime.gpu import layers
from promptkit.models.runtime.library import library


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A llama.cpp that says it has a GPU; the layers that it was asked to put there."""
    lib: Any = library()
    monkeypatch.setattr(gpu, "has_gpu", lambda: True)
    given: list[int] = []
    load = lib.llama_model_load_from_file

    def watched(path: bytes, params: Any) -> Any:
        given.append(params.n_gpu_layers)
        return load(path, params)

    monkeypatch.setattr(lib, "llama_model_load_from_file", watched)
    return given


def test_without_a_gpu_no_layers_run_there() -> None:
    assert layers("auto", 31, 31) == 0
    assert layers(0, 31, 31) == 0
    with pytest.raises(ModelError, match="built without a GPU"):
        layers(1, 31, 31)


def test_with_a_gpu_as_many_as_are_asked(with_gpu: list[int]) -> None:
    assert layers("auto", 20, 31) == 20
    assert layers(7, 20, 31) == 7
    assert layers(1000, 20, 31) == 31
    for wrong in (-1, True, 1.5, "all"):
        with pytest.raises(ModelError, match="a number of layers"):
            layers(wrong, 20, 31)  # type: ignore[arg-type]


def test_the_number_reaches_llama_cpp_and_is_part_of_the_identity(
    with_gpu: list[int], tmp_path: Path
) -> None:
    file = write_llama(tmp_path / "tiny.gguf")
    plain = pk.load_model(file, weights="as-is", gpu_layers=0)
    on_gpu = pk.load_model(file, weights="as-is", gpu_layers=2)
    assert with_gpu[-2:] == [0, 2]
    assert "GPU" not in plain.identity.settings
    assert on_gpu.identity.settings == f"{plain.identity.settings}, 2 layers on a GPU"
    assert on_gpu.identity.key != plain.identity.key
    assert on_gpu.origin.gpu_layers == 2


def test_layers_are_measured_side_by_side(with_gpu: list[int], tmp_path: Path) -> None:
    file = str(write_llama(tmp_path / "tiny.gguf"))
    trials = [RuntimeSettings(1, batch=64, gpu_layers=number) for number in (0, 3)]
    job = [{"path": file, "settings": asdict(settings)} for settings in trials]
    found = json.loads(speed.main(json.dumps(job)))
    assert with_gpu == [0, 3]
    assert len(found["tokens_per_second"]) == 2
