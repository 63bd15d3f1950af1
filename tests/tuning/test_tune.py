"""Training of adapters of tiny random models: files, figures, checkpoints and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from tiny_gguf import CHATML, write_gemma3_swa, write_llama, write_mamba, write_qwen
from tuning_samples import OPTIONS, Family, Fruit, rows, task

import promptkit as pk
from promptkit.errors import MissingExtraError, ModelError, ModelFileError, TaskError
from promptkit.models.gguf.header import read_header
from promptkit.tasks.label_sets import ManyLabels
from promptkit.tuning import tune as module
from promptkit.tuning.adapter_output import adapter_card
from promptkit.tuning.tuning_progress import TuningStep

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "base.gguf", words=[" citrus"])


def scored(task: Any, model: Path, adapter: Path | None = None, shots: int = 0) -> Any:
    loaded = pk.load_model(model, threads=1, adapter=adapter)
    predictor = pk.Predictor(task, pk.Template.of(task), loaded, shots)
    made = predictor.predict([task.as_query({"name": name}) for name in ("xabc", "yabc", "zabc")])
    return np.array([[*one.logprobs.values()] for one in made if one.logprobs])


@pytest.mark.parametrize(
    "write",
    [
        write_llama,
        lambda path: write_qwen(path, generation=2),
        lambda path: write_qwen(path, generation=3),
        write_gemma3_swa,
    ],
)
def test_an_adapter_learns_and_is_checked(write: Callable[[Path], Path], tmp_path: Path) -> None:
    base, steps = write(tmp_path / "base.gguf"), list[TuningStep]()
    made = pk.tune(
        task(),
        tmp_path / "fruit.gguf",
        model=base,
        threads=1,
        options=OPTIONS,
        progress=steps.append,
    )
    card = made.card
    assert card["figures"]["loss"] < card["figures"]["loss_before"]
    assert card["figures"]["difference"] < 0.01
    assert (card["examples"], card["held_out"], card["labels"]) == (36, 4, 40)
    assert card["trained"] == made.profile.trained > 1000
    assert adapter_card(tmp_path / "fruit.gguf") == json.loads(json.dumps(card))
    assert not (tmp_path / "fruit.gguf.tuning").exists()
    assert {step.phase for step in steps} >= {"train", "hold-out"}
    before, after = scored(task(), base), scored(task(), base, tmp_path / "fruit.gguf")
    assert np.abs(before - after).max() > 0.1
    assert "largest difference from llama.cpp" in str(made)


def test_a_run_that_was_killed_goes_on(model: Path, tmp_path: Path) -> None:
    """Every prompt is trained on once, in the same order, whatever comes between."""
    whole = pk.tune(task(), tmp_path / "whole.gguf", model=model, threads=1, options=OPTIONS)

    class KilledError(Exception):
        pass

    def kill(step: TuningStep) -> None:
        if step.phase == "train" and step.epoch == 3:
            raise KilledError

    out = tmp_path / "parts.gguf"
    with pytest.raises(KilledError):
        pk.tune(task(), out, model=model, threads=1, options=OPTIONS, progress=kill)
    assert (tmp_path / "parts.gguf.tuning" / "state.npz").is_file()
    assert not out.exists()
    epochs = set[int]()
    made = pk.tune(
        task(),
        out,
        model=model,
        threads=1,
        options=OPTIONS,
        progress=lambda step: epochs.add(step.epoch) if step.phase == "train" else None,
    )
    assert epochs == {3, 4}
    np.testing.assert_allclose(
        made.card["figures"]["held_out_losses"],
        whole.card["figures"]["held_out_losses"],
        atol=1e-5,
    )
    np.testing.assert_allclose(
        scored(task(), model, out), scored(task(), model, tmp_path / "whole.gguf"), atol=1e-4
    )


def test_the_same_call_again_trains_nothing(model: Path, tmp_path: Path) -> None:
    out, steps = tmp_path / "a.gguf", list[TuningStep]()
    options = pk.TuningOptions(epochs=1)
    first = pk.tune(task(), out, model=model, threads=1, options=options)
    again = pk.tune(task(), out, model=model, threads=1, options=options, progress=steps.append)
    assert steps == []
    assert again.card["figures"] == json.loads(json.dumps(first.card))["figures"]
    other = pk.TuningOptions(epochs=1, seed=1)
    with pytest.raises(TaskError, match=r"made with another options; name another --out"):
        pk.tune(task(), out, model=model, threads=1, options=other)
    assert (
        pk.tune(task(), out, model=model, threads=1, options=other, overwrite=True).card["options"][
            "seed"
        ]
        == 1
    )


def test_a_training_of_something_else_is_not_gone_on_with(model: Path, tmp_path: Path) -> None:
    def stop(step: TuningStep) -> None:
        if step.epoch == 2:
            raise KeyboardInterrupt

    out = tmp_path / "a.gguf"
    with pytest.raises(KeyboardInterrupt):
        pk.tune(task(), out, model=model, threads=1, options=OPTIONS, progress=stop)
    with pytest.raises(TaskError, match=r"a training with another shots was not finished"):
        pk.tune(task(), out, model=model, threads=1, options=OPTIONS, shots=1)
    (tmp_path / "a.gguf.tuning" / "state.npz").write_bytes(b"PK")
    with pytest.raises(TaskError, match=r"a\.gguf\.tuning: damaged"):
        pk.tune(task(), out, model=model, threads=1, options=OPTIONS)


def test_prompts_with_shots_and_upper_layers(model: Path, tmp_path: Path) -> None:
    options = pk.TuningOptions(epochs=2, learning_rate=0.02, layers=1)
    made = pk.tune(task(80), tmp_path / "a.gguf", model=model, threads=1, shots=3, options=options)
    names = {tensor.name for tensor in read_header(tmp_path / "a.gguf").tensors}
    assert {name.split(".")[1] for name in names} == {"1"}
    assert made.card["layers"] == 1
    assert made.card["figures"]["loss"] < made.card["figures"]["loss_before"]


def test_generated_answers_are_learnt_with_their_end(tmp_path: Path) -> None:
    model = write_llama(tmp_path / "base.gguf", chat_template=CHATML)
    class_of = pk.Task[Fruit, str]
    rows_of = [{**row, "output": row["output"]} for row in rows(40)]
    for template in ("colon.j2", "chat.j2"):
        made = pk.tune(
            class_of(name="fruit", demos=rows_of, template=template),
            tmp_path / f"{template}.gguf",
            model=model,
            threads=1,
            options=replace(OPTIONS, epochs=10),
        )
        assert made.card["figures"]["accuracy"] is None
        assert made.card["figures"]["loss"] < made.card["figures"]["loss_before"] - 0.5
        loaded = pk.load_model(model, threads=1, adapter=tmp_path / f"{template}.gguf")
        own = class_of(name="fruit", demos=rows_of, template=template)
        predictor = pk.Predictor(own, pk.Template.of(own), loaded, sampling=pk.Sampling(8))
        (answer,) = predictor.predict([own.as_query({"name": "xabc"})])
        assert answer.failure is None  # it ends, which the model alone does not


def test_near_duplicates_of_tests_are_left_out(model: Path, tmp_path: Path) -> None:
    long = "The quick brown fox jumps over the lazy dog and eats a cherry on the way home"
    tests = [{"input": {"name": long}, "output": "drupe"}]
    near = {"input": {"name": long.upper() + "!"}, "output": "drupe"}
    own = pk.Task[Fruit, Family](name="fruit", demos=[*rows(20), near], tests=tests)
    made = pk.tune(
        own, tmp_path / "a.gguf", model=model, threads=1, options=pk.TuningOptions(epochs=1)
    )
    assert made.card["labels"] == 20


# What is refused.


def test_models_and_tasks_that_cannot_be_trained(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.gguf"
    mamba = write_mamba(tmp_path / "mamba.gguf")
    with pytest.raises(ModelFileError, match="for the architecture 'mamba'"):
        pk.tune(task(), out, model=mamba)
    with pytest.raises(TaskError, match="3 labelled examples in the pool"):
        pk.tune(task(3), out, model=model, threads=1)
    with pytest.raises(TaskError, match="50 examples are asked for, and the pool has 40"):
        pk.tune(task(), out, model=model, threads=1, options=pk.TuningOptions(examples=50))
    folds = {demo.id: number % 2 for number, demo in enumerate(task().demos)}
    with pytest.raises(TaskError, match="with folds every demonstration is also a test"):
        pk.tune(task(folds=folds), out, model=model, threads=1)
    topics = Annotated[list[Literal["a", "b"]], ManyLabels()]
    many = pk.Task[Fruit, topics](  # type: ignore[valid-type]
        name="many", demos=[{**row, "output": ["a"]} for row in rows(20)]
    )
    with pytest.raises(TaskError, match="its answers are lists of labels"):
        pk.tune(many, out, model=model, threads=1)
    with pytest.raises(TaskError, match=r"promptkit export fruit --out train\.jsonl"):
        module.refuse_full("fruit")
    assert not out.exists()


def test_a_missing_extra_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"promptkit-fewshot\[lora\]"):
        pk.tune(task(), tmp_path / "a.gguf", model=model, threads=1)


def test_an_adapter_that_llama_cpp_reads_otherwise_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptkit.tuning import tuning_job

    def wrong(path: Path, tensors: Any, **how: Any) -> None:
        how["alpha"] *= 4
        write(path, tensors, **how)

    write = tuning_job.write_adapter
    monkeypatch.setattr(tuning_job, "write_adapter", wrong)
    with pytest.raises(ModelError, match=r"a\.gguf: not written: with the adapter, llama\.cpp's"):
        pk.tune(task(), tmp_path / "a.gguf", model=model, threads=1, options=OPTIONS)
    assert not (tmp_path / "a.gguf").exists()
    monkeypatch.undo()
    steps = list[TuningStep]()
    pk.tune(
        task(), tmp_path / "a.gguf", model=model, threads=1, options=OPTIONS, progress=steps.append
    )
    assert "train" not in {step.phase for step in steps}
