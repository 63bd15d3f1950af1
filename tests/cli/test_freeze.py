"""`promptkit freeze`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from tiny_gguf import write_bert, write_llama

import promptkit as pk
from promptkit.selection.strategies import Similar

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


@pytest.mark.model
def test_a_run_of_the_bundled_model_is_frozen_and_used(
    run: Run, smollm2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = run(
        *("compare", FRUIT, "--shots", "0,2", "--seeds", 1, "--limit", 6, "--calibrate", "batch"),
        *("--out", "run", "--no-lint", "--weights", "as-is"),
    )
    assert asked.code == 0
    made = run("freeze", "run", "--cell", "shots=2,calibration=batch", "--out", "fruit.promptkit")
    assert made.code == 0
    assert "Written to fruit.promptkit" in made.out
    assert "differ" not in made.err
    frozen = pk.load_predictor("fruit.promptkit")
    from promptkit.experiments.saved_runs import read_run

    own = [p for p in read_run("run").predictions if p.shots == 2]
    with pk.Store(".promptkit/predictions.sqlite") as store:
        answers = frozen.predict(list(pk.load_task(FRUIT).tests)[:6], store=store)
    assert [one.probs for one in answers] == [one.calibrated["batch"] for one in own]


def test_what_cannot_be_frozen_is_one_line(run: Run, tmp_path: Path) -> None:
    result = pk.compare(
        pk.load_task(FRUIT), models=[pk.FakeModel()], shots=[0], limit=3, store=pk.Store()
    )
    saved = result.save(tmp_path / "run")
    out = tmp_path / "a.promptkit"
    for words, reason in (
        (("freeze", saved, "--out", out), "does not say how fake was loaded"),
        (("freeze", saved, "--out", out, "--cell", "shots"), "write a factor and its level"),
        (("freeze", saved, "--out", out, "--cell", "shots=9"), "no cell has it"),
        (("freeze", tmp_path / "none", "--out", out), "a saved comparison is a folder"),
        (("freeze", saved, "--out", tmp_path), "a folder"),
    ):
        said = run(*words)
        assert said.code == 2
        assert reason in " ".join(said.err.split())
        assert not out.exists()


def test_a_run_with_an_embedder_is_frozen(run: Run, here: Path) -> None:
    model = pk.load_model(write_llama(here / "tiny.gguf", n_ctx=512), weights="as-is", threads=1)
    by = Similar(embed=pk.load_embedder(write_bert(here / "bert.gguf"), threads=1))
    task = pk.load_task(FRUIT)
    result = pk.compare(task, models=[model], selections=[by], shots=[2], limit=5, calibrations=[])
    result.save(here / "run")
    frozen = run("freeze", "run", "--out", "a.promptkit")
    assert (frozen.code, frozen.err) == (0, "")
    words = ("predict", "a.promptkit", f"{FRUIT}/tests.csv", "--limit", 5, "--out")
    assert run(*words, "a.jsonl").code == 0
    (here / "bert.gguf").rename("moved.gguf")
    missing = run(*words, "b.jsonl")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "name the file with --embedder" in missing.err
    assert run(*words, "b.jsonl", "--embedder", "moved.gguf").code == 0
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
