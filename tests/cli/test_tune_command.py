"""`promptkit tune`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import Run
from tiny_gguf import write_llama, write_mamba

from promptkit.tuning.adapter_output import adapter_card

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


@pytest.mark.slow
def test_an_adapter_is_trained_said_and_compared(run: Run, tmp_path: Path) -> None:
    model = write_llama(tmp_path / "base.gguf")
    out = tmp_path / "fruit.gguf"
    asked = ("tune", FRUIT, "--out", out, "--model", model, "--threads", 1, "--epochs", 2)
    made = run(*asked, "--rank", 2, "--examples", 30, "--held-out", 0.2, "--layers", 1)
    assert made.code == 0, made.err
    assert re.search(r"^trained on 24 examples with 0 shots in \d+ s, 2 epochs; 6 held out$",
                     made.out, re.MULTILINE)  # fmt: skip
    assert f"promptkit compare {FRUIT} --shots 0 --model {model} --adapter {out}" in made.out
    card = adapter_card(out)
    assert card is not None
    assert (card["task"], card["options"]["rank"], card["layers"]) == ("fruit", 2, 1)
    compared = run(
        *("compare", FRUIT, "--model", model, "--adapter", out, "--shots", 0, "--limit", 3),
        *("--no-lint", "--threads", 1),
    )
    assert compared.code == 0, compared.err
    again = run(*asked)
    assert again.code == 2
    assert "is there, made with another options; name another --out" in again.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((FRUIT, "--out", "a.bin"), "the file of an adapter is named like fruit.gguf"),
        ((FRUIT, "--out", f"{FRUIT}/task.toml/a.gguf"), "task.toml is no folder"),
        (("--out", "a.gguf"), "give a TASK, or --from FROZEN --pool FILE"),
        (("--out", "a.gguf", "--from", "x.promptkit"), "--from needs --pool FILE"),
        ((FRUIT, "--out", "a.gguf", "--pool", "x.csv"), "--pool and --tests are for --from"),
        ((FRUIT, "--out", "a.gguf", "--from", "x", "--pool", "y"), "give one of them"),
        ((FRUIT, "--out", "a.gguf", "--full"), f"promptkit export {FRUIT} --out train.jsonl"),
        ((FRUIT, "--out", "a.gguf", "--held-out", 1), "held_out is 1.0; it is above 0 and below 1"),
        ((FRUIT, "--out", "a.gguf", "--model", "http://127.0.0.1:1"), "not from a server"),
        ((FRUIT, "--out", "a.gguf", "--model", "mamba.gguf"), "for the architecture 'mamba'"),
    ],
)
def test_faults_are_said_in_a_line(
    run: Run,
    words: tuple[object, ...],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "mamba.gguf" in words:
        write_mamba(tmp_path / "mamba.gguf")
    made = run("tune", *words)
    assert made.code == 2
    assert reason in " ".join(made.err.split())
    assert "Traceback" not in made.err
    assert not (tmp_path / "a.gguf").exists()
