"""Scales and numbers between bounds from lint to optimise, with the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from walkthrough import ROOT

from promptkit import LlamaModel, Store, check, compare, load_task, optimise

WORDS = {"rose": 1, "fell": -1}
ROWS = [(f"{town} {word} by {n / 20:.2f} percent", sign * n / 20)
        for n, town in enumerate(("Oslo", "Cairo", "Lima", "Rome", "Quito", "Athens"), 1)
        for word, sign in WORDS.items()]  # fmt: skip


@pytest.fixture(params=["scale", "float", "int"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "scale":
        return ROOT / "examples" / "ratings"
    size = 1 if request.param == "float" else 100
    for name, rows in (("demos", ROWS[:7]), ("tests", ROWS[7:])):
        lines = [
            f"{text},{value:g}" if size == 1 else f"{text},{round(size * value)}"
            for text, value in rows
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,output", *lines]) + "\n", "utf-8")
    (tmp_path / "task.toml").write_text(
        'name = "changes"\ninstruction = "Write the change as a number."\ntemplate = "colon.j2"\n'
        f'[input]\ntext = "str"\n[output]\ntype = "{request.param}"\nmin = {-size}\nmax = {size}\n'
        f'within = {size / 20 if size == 1 else 5}\n[files]\ndemos = "demos.csv"\n'
        'tests = "tests.csv"\n',
        "utf-8",
    )
    return tmp_path


def test_they_are_linted_and_rendered(folder: Path, run: Run) -> None:
    assert "no findings" in run("lint", str(folder)).out
    text = run("render", str(folder), "--shots", "2").out
    assert text.rstrip().endswith(":")
    assert text.count("\n") >= 3


@pytest.mark.model
def test_they_are_compared_checked_and_optimised(folder: Path, smollm2: LlamaModel) -> None:
    task, store = load_task(folder), Store()
    asked: dict[str, Any] = {"models": [smollm2], "limit": 3, "seeds": 1, "store": store}
    found = compare(task, shots=[0, 2], metric="mae", **asked)
    assert not any(one.failure for one in found.predictions)
    least, most = (1, 5) if task.labels else (-100, 100)
    assert all(least <= float(one.label) <= most for one in found.predictions)
    assert all(len(one.text or "") < 30 for one in found.predictions)
    assert any("would have MAE" in note for note in found.notes)
    checked = check(task, shots=[2], max={"mae": 150}, metric="mae", **asked)
    assert checked.gates[0].estimate >= 0
    searched = optimise(task, smollm2, shots=1, metric="mae", budget=9, held_out=2, store=store)
    assert searched.found.rank >= searched.usual.rank
    assert "MAE" in str(searched)
