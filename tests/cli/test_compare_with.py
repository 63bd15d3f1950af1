"""`promptkit compare --with`: other predictors beside prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from tiny_gguf import write_llama, write_lora

import promptkit as pk

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_llama(tmp_path / "tiny.gguf")
    return tmp_path


def compared(run: Run, *words: Any) -> Any:
    return run(
        *("compare", FRUIT, "--model", "tiny.gguf", "--weights", "as-is", "--no-lint"),
        "--no-baselines",
        *("--shots", "0,1", "--seeds", 1, "--limit", 4, *words),
    )


def test_a_table_a_frozen_prompt_and_an_adapter_stand_in_one_table(run: Run, here: Path) -> None:
    pytest.importorskip("lmdb")
    task, model = pk.load_task(FRUIT), pk.load_model("./tiny.gguf", weights="as-is")
    names = [test.input.name for test in task.tests]
    pk.build_lookup([{"input": {"name": name}, "label": "pome"} for name in names], "pome.lookup")
    pk.freeze(pk.Predictor(task, pk.Template.of(task), model, 1), "one.promptkit")
    card = json.dumps({"trained": 77, "seconds": 61, "teacher_tokens": 500, "labels": 9})
    write_lora(Path("lora.gguf"), edit=lambda w: w.add_string("promptkit.card", card))
    files = "pome.lookup,one.promptkit,lora.gguf"
    ran = compared(run, "--with", files, "--json", "out.json")
    assert ran.code == 0, ran.err
    assert "Costs, accuracy beside them" in ran.out
    rows = {
        (row["model"].rpartition("/")[2], row["shots"]): row
        for row in json.loads(Path("out.json").read_text())["rows"]
        if row["seed"] is None
    }
    assert [*rows] == [
        *(("tiny.gguf", 0), ("tiny.gguf", 1), ("tiny.gguf+lora", 0), ("tiny.gguf+lora", 1)),
        *(("pome.lookup", 0), ("one", 1)),
    ]
    own = ("trained_parameters", "making_seconds", "making_tokens", "making_labels")
    assert [rows["tiny.gguf+lora", 1][name] for name in own] == [77, 61, 500, 9 + 1]
    table = rows["pome.lookup", 0]
    assert (table["parameters"], table["bytes"]) == (0, Path("pome.lookup").stat().st_size)
    assert table["making_seconds"] is None
    size = Path("tiny.gguf").stat().st_size
    assert rows["one", 1]["bytes"] == rows["tiny.gguf", 0]["bytes"] == size


def test_costs_are_shown_where_they_are_asked_for(run: Run, here: Path) -> None:
    assert "Costs" not in compared(run).out
    ran = compared(run, "--costs")
    assert ran.code == 0
    assert "Costs, accuracy beside them" in ran.out


def test_what_cannot_be_compared_is_one_line(run: Run, here: Path) -> None:
    Path("text.lookup").write_text("no table")
    for name, reason in (
        ("none.lookup", "--with none.lookup: no such file or folder"),
        ("text.lookup", "not a lookup table"),
        ("none.promptkit", "none.promptkit"),
        ("none.gguf", "none.gguf"),
        ("tiny.gguf", "no LoRA adapter"),
    ):
        ran = compared(run, "--with", name)
        assert (ran.code, ran.out) == (2, ""), name
        assert reason in ran.err.replace("\n", " ")
        assert "Traceback" not in ran.err
