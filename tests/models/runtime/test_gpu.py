"""Layers on a GPU: what is asked, what is told, and what llama.cpp gets."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from tiny_gguf import write_llama

import promptkit as pk
from promptkit.distributed.ray_data import ActorPool
from promptkit.distributed.ray_worker import SentPredictor
from promptkit.errors import ModelError, TaskError
from promptkit.models.prepare import speed
from promptkit.models.runtime import gpu
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.models.runtime.gpu import layers
from promptkit.models.runtime.library import library
from promptkit.serving import http_server


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


# Commands.

FRUIT = Path(__file__).parents[3] / "examples" / "fruit"


@pytest.fixture
def predict(run: Run, here: Path) -> Run:
    """A function that predicts two rows with some options, and without shots."""
    (here / "in.csv").write_text("name\nplum\nfig\n")
    words = ("in.csv", "--store", "none.sqlite")
    return lambda named, out, *more: run("predict", named, *words, "--out", out, *more)


def key_of(out: str) -> str:
    manifest = json.loads(Path(f"{out}.manifest.json").read_text("utf-8"))
    return str(manifest["made_of"]["predictor_key"])


def test_a_task_is_predicted_on_a_gpu(predict: Run, with_gpu: list[int], here: Path) -> None:
    file = write_llama(here / "tiny.gguf", n_ctx=512)
    words = ("--model", file, "--weights", "as-is", "--shots", 0)
    for number in (0, 2):
        done = predict(FRUIT, f"{number}.jsonl", *words, "--gpu-layers", number)
        assert (done.code, with_gpu[-1]) == (0, number)
    assert key_of("0.jsonl") != key_of("2.jsonl")


def test_a_frozen_predictor_runs_where_it_did_or_where_it_is_told(
    predict: Run, run: Run, with_gpu: list[int], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(here / "tiny.gguf", n_ctx=512)
    task, model = pk.load_task(FRUIT), pk.load_model(file, weights="as-is", gpu_layers=2)
    frozen = pk.freeze(pk.Predictor(task, pk.Template.of(task), model), here / "a.promptkit")
    same = predict(frozen, "same.jsonl")
    assert (same.code, same.err, with_gpu[-1]) == (0, "", 2)
    other = predict(frozen, "other.jsonl", "--gpu-layers", 0)
    assert (other.code, with_gpu[-1]) == (0, 0)
    assert "a.promptkit: the model runs with settings cache" in other.err
    assert "2 layers on a GPU, so that its scores may differ" in other.err
    assert key_of("same.jsonl") != key_of("other.jsonl")
    named = predict(frozen, "named.jsonl", "--gpu-layers", 1, "--model", file)
    assert (named.code, with_gpu[-1]) == (0, 1)

    served: list[pk.FrozenPredictor] = []
    monkeypatch.setattr(http_server, "run_server", lambda one, **_: served.append(one))
    for words, number in ((["--gpu-layers", "1"], 1), ([], 2)):
        assert run("serve", frozen, *words).code == 0
        assert served[-1].model.origin.gpu_layers == with_gpu[-1] == number  # type: ignore[attr-defined]


def test_without_a_gpu_commands_say_what_to_do(predict: Run, here: Path) -> None:
    file = write_llama(here / "tiny.gguf", n_ctx=512)
    for named, words in ((FRUIT, ("--model", file)), (frozen_on_gpu(here, file), ())):
        done = predict(named, "a.jsonl", *words, "--gpu-layers", 3)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "3 layers on a GPU: llama.cpp was built without" in done.err
    done = predict(here / "a.promptkit", "a.jsonl")
    assert "2 layers on a GPU: llama.cpp was built without" in done.err
    assert "--gpu-layers 0 runs without one" in done.err
    assert predict(here / "a.promptkit", "a.jsonl", "--gpu-layers", 0).code == 0
    assert "--gpu-layers" in predict(FRUIT, "b.jsonl", "--gpu-layers", "all").err


def frozen_on_gpu(folder: Path, file: Path) -> Path:
    """Return a predictor that was frozen where there is a GPU."""
    task, model = pk.load_task(FRUIT), pk.load_model(file, weights="as-is")
    model.origin = replace(model.origin, gpu_layers=2)
    return pk.freeze(pk.Predictor(task, pk.Template.of(task), model), folder / "a.promptkit")


# Ray.


def test_actors_reserve_gpus_where_layers_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    machines: list[dict[str, float]] = []
    nodes = lambda: [{"Alive": True, "Resources": one} for one in machines]  # noqa: E731
    monkeypatch.setattr(ray, "nodes", nodes)
    machines[:] = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 4.0}, {"CPU": 4.0}]
    assert ActorPool.of(None) == ActorPool(3, 1, 4, 0)
    assert ActorPool.of(None, on_gpu=True) == ActorPool(2, 1, 8, 2)
    assert ActorPool.of(3, on_gpu=True) == ActorPool(3, 2, 4, 1)
    assert ActorPool.of(6, on_gpu=True) == ActorPool(6, 3, 2, 0.6666)
    machines[:] = [{"CPU": 4.0}]
    with pytest.raises(TaskError, match="--gpu-layers 0"):
        ActorPool.of(None, on_gpu=True)


def test_the_number_travels_with_the_predictor(with_gpu: list[int], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    file = write_llama(tmp_path / "tiny.gguf", n_ctx=512)
    task, model = pk.load_task(FRUIT), pk.load_model(file, weights="as-is", gpu_layers=2)
    predictor = pk.Predictor(task, pk.Template.of(task), model)
    recipe = SentPredictor.of(predictor, task)
    made, _ = recipe.made(1)
    assert recipe.gpu_layers == with_gpu[-1] == 2
    assert made.identity.key == model.identity.key
    other = replace(recipe, identity={**recipe.identity, "settings": "on 3 GPUs"})
    with pytest.raises(ModelError, match="not on 3 GPUs, so that its scores may differ; name the"):
        other.made(1)
