"""Adapters that learn what a frozen prompt answers, on tiny random models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_gguf import write_llama, write_lora
from tuning_samples import OPTIONS, rows, task

import promptkit as pk
from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import TaskError
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.tuning.adapter_output import adapter_card
from promptkit.tuning.tuning_progress import TuningStep

pytestmark = pytest.mark.slow


def frozen(tmp_path: Path, **how: Any) -> FrozenPredictor:
    base = write_llama(tmp_path / "base.gguf", words=[" citrus"], n_ctx=1024)
    model = pk.load_model(base, threads=1)
    own = task(20)
    file = tmp_path / "fruit.promptkit"
    pk.freeze(pk.Predictor(own, pk.Template.of(own), model, **{"shots": 6, **how}), file)
    return pk.load_predictor(file)


def files(tmp_path: Path) -> tuple[Path, Path]:
    """A pool without labels, and tests with labels, one of which is in the pool too."""
    others = [row for row in rows(100) if row not in rows(20)]
    pool, tests = tmp_path / "pool.jsonl", tmp_path / "tests.csv"
    pool.write_text("".join(json.dumps(row["input"]) + "\n" for row in others[:61]))
    lines = [f"{row['input']['name']},{row['output']}" for row in others[60:]]
    tests.write_text("\n".join(["name,output", *lines]) + "\n")
    return pool, tests


def test_an_adapter_answers_as_the_long_prompt_did(tmp_path: Path) -> None:
    teacher, (pool, tests) = frozen(tmp_path), files(tmp_path)
    out, steps = tmp_path / "short.gguf", list[TuningStep]()
    options = replace(OPTIONS, epochs=8)
    made = pk.tune_from(
        teacher,
        pool,
        out,
        tests=tests,
        options=options,
        threads=1,
        store=pk.Store(),
        progress=steps.append,
    )
    figures = made.card["figures"]
    assert figures["compared"] == 20
    assert made.card["examples"] + made.card["held_out"] == 60  # one of the pool is a test
    assert figures["tokens_after"] < 0.5 * figures["tokens_before"]
    assert figures["loss"] < figures["loss_before"]
    assert figures["accuracy_bound"] <= figures["accuracy_difference"]
    assert adapter_card(out) == json.loads(json.dumps(made.card))
    assert "teacher" in {step.phase for step in steps}
    assert "one-sided 95 % bound" in str(made)
    adapted = pk.load_model(tmp_path / "base.gguf", threads=1, adapter=out)
    queries = [teacher.query({"name": name}) for name in ("xabc", "yabd", "zaex", "xyyy")]
    long = np.array([[*one.probs.values()] for one in teacher.predict(queries) if one.probs])
    own = replace(teacher, shots=0)
    plain, short = (
        np.array([[*one.probs.values()] for one in replace(own, model=m).predict(queries)])  # type: ignore[union-attr]
        for m in (teacher.model, adapted)
    )
    assert np.abs(short - long).mean() < 0.5 * np.abs(plain - long).mean()


def test_draws_are_averaged_and_verbalizers_kept(tmp_path: Path) -> None:
    words = Verbalizer("fruity", {"drupe": "stone", "pome": "apple", "citrus": "lemon"})
    teacher, (pool, _) = frozen(tmp_path, verbalizer=words), files(tmp_path)
    made = pk.tune_from(
        teacher,
        pool,
        tmp_path / "a.gguf",
        draws=2,
        options=replace(OPTIONS, epochs=1, examples=20),
        threads=1,
        store=pk.Store(),
    )
    assert (made.card["teacher_draws"], made.card["figures"]["compared"]) == (2, 2)
    assert "teacher_accuracy" not in made.card["figures"]


def test_teachers_without_labels_or_with_an_adapter_are_refused(tmp_path: Path) -> None:
    teacher, (pool, _) = frozen(tmp_path), files(tmp_path)
    out = tmp_path / "a.gguf"
    with pytest.raises(TaskError, match="so it has one draw only"):
        pk.tune_from(replace(teacher, shots=0), pool, out, draws=2)
    with pytest.raises(TaskError, match=r"nowhere\.csv: No such file"):
        pk.tune_from(teacher, tmp_path / "nowhere.csv", out)
    write_lora(tmp_path / "lora.gguf")
    model: Any = teacher.model
    adapted = replace(teacher, model=model.adapted(tmp_path / "lora.gguf"))
    with pytest.raises(TaskError, match="its model has an adapter already"):
        pk.tune_from(adapted, pool, out)
