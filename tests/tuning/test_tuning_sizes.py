"""Adapters of growing numbers of examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run
from tiny_gguf import write_llama
from tuning_samples import OPTIONS, task

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.tasks.ranked_pool import ranked_pool
from promptkit.tuning.tuning_sizes import tune_sizes

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


def test_rows_are_the_first_ones_of_one_ranking() -> None:
    whole = ranked_pool(task(), 3)
    assert ranked_pool(task(), 3, 12) == whole[:12]
    assert {one.id for one in whole} == {one.id for one in task().demos}
    assert ranked_pool(task(), 4) != whole


@pytest.mark.slow
def test_adapters_that_are_there_are_kept(tmp_path: Path) -> None:
    model = write_llama(tmp_path / "base.gguf", words=[" citrus"])
    told: list[tuple[int, int, int, int]] = []

    def tell(number: int, of: int, one: object, step: object) -> None:
        told.append((number, of, *one))  # type: ignore[misc]

    how = {"model": model, "threads": 1, "progress": tell}
    options = pk.TuningOptions(epochs=1, rank=2, layers=1)
    place = tmp_path / "lora"
    made = tune_sizes(task(), place, [16, 8], seeds=2, options=options, **how)
    names = ["lora-8", "lora-8-seed1", "lora-16", "lora-16-seed1"]
    assert [Path(one.path).stem for one in made] == names
    assert [one.card["labels"] for one in made] == [8, 8, 16, 16]
    assert {*told} == {(1, 4, 8, 0), (2, 4, 8, 1), (3, 4, 16, 0), (4, 4, 16, 1)}
    told.clear()
    again = tune_sizes(task(), place, [8, 16, 24], options=options, **how)
    assert {one[0] for one in told} == {3}
    assert again[0].card["seconds"] == made[0].card["seconds"]
    with pytest.raises(TaskError, match="made with another options"):
        tune_sizes(task(), place, [8], options=OPTIONS, **how)
    with pytest.raises(TaskError, match="400 examples are asked for, and the pool has 40"):
        tune_sizes(task(), place, [8, 400], options=options, **how)


@pytest.mark.slow
def test_they_are_compared_as_a_line(run: Run, tmp_path: Path) -> None:
    model = write_llama(tmp_path / "base.gguf")
    asked = ("tune", FRUIT, "--out", "fruit-lora", "--model", model, "--threads", 1, "--epochs", 1)
    made = run(*asked, "--rank", 2, "--layers", 1, "--examples", "16,32", "--seeds", 2)
    assert made.code == 0, made.err
    table = [line.split() for line in made.out.splitlines() if line.startswith("fruit-lora-")]
    assert [row[:2] for row in table] == [
        ["fruit-lora-16.gguf", "16"],
        ["fruit-lora-16-seed1.gguf", "16"],
        ["fruit-lora-32.gguf", "32"],
        ["fruit-lora-32-seed1.gguf", "32"],
    ]
    assert f"--model {model} --learning-curve --with fruit-lora" in made.out
    run("distill", FRUIT, "--gold-only", "--examples", "16,32", "--out", "fruit-student")
    compared = run(
        *("compare", FRUIT, "--model", model, "--shots", "0,2", "--limit", 8, "--no-lint"),
        *("--seeds", 2, "--threads", 1, "--learning-curve", "--with", "fruit-lora,fruit-student"),
    )
    assert compared.code == 0, compared.err
    head = next(line for line in compared.out.splitlines() if line.startswith("labelled rows"))
    assert head.split()[-2:] == ["LoRA", "student"]
    assert "+fruit-lora-32-seed1: " in compared.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--out", "a.gguf", "--examples", "8,16"), "several adapters are put into a folder"),
        (("--out", "a.gguf", "--examples", "8,x"), "write numbers of 4 or more"),
        (("--out", "a.gguf", "--seeds", 2), "--seeds: with --examples N"),
        (("--out", "a", "--examples", "8,160"), "160 examples are asked for, and the pool has 51"),
    ],
)
def test_faults_are_said_in_a_line(run: Run, words: tuple[object, ...], reason: str) -> None:
    made = run("tune", FRUIT, *words)
    assert (made.code, made.out) == (2, "")
    assert reason in " ".join(made.err.split())
