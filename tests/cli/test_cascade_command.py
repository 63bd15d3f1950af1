"""`promptkit cascade`, and the commands that take its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from pupils import moods, pupil

import promptkit as pk


@pytest.fixture
def steps(here: Path) -> None:
    """A task, and two students of it: one that knows little, and one that knows it all."""
    task = moods(tests=300)
    pk.save_task(task, "moods")
    good = pupil(name="good")
    weights = good.weights.copy()
    weights[np.random.default_rng(0).random(len(weights)) < 0.5] = 0
    replace(good, weights=weights, name="little").save("little")
    good.save("good")


@pytest.mark.usefixtures("steps")
def test_a_cascade_is_made_and_used(run: Run) -> None:
    words = ("--task", "moods", "--max-error", 0.15, "--out", "both.cascade")
    made = run("cascade", "little", "good", *words, "--json", "both.json")
    assert (made.code, made.err) == (0, "")
    for line in ("little", "good", "cascade", "good alone", "Keeps an error of at most 15 %"):
        assert line in made.out
    assert made.out.endswith("Written to both.cascade\n")
    said = json.loads(Path("both.json").read_text())
    assert [one["name"] for one in said["steps"]] == ["little", "good"]
    assert 0 < said["steps"][0]["answered"] < said["rows"]
    Path("rows.csv").write_text("text\nthing1 dull thing2\nthing1 warm thing2\n")
    predicted = run("predict", "both.cascade", "rows.csv", "--out", "out.jsonl")
    assert (predicted.code, predicted.err) == (0, "")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == ["bad", "good"]


@pytest.mark.usefixtures("steps")
def test_rows_of_a_file_choose_the_thresholds(run: Run) -> None:
    task = pk.load_task("moods")
    lines = [f"{test.input.text},{test.output}" for test in task.tests[:150]]
    Path("rows.csv").write_text("\n".join(["text,output", *lines]) + "\n")
    words = ("--task", "moods", "--max-error", 0.2, "--rows", "rows.csv", "--json", "-")
    made = run("cascade", "little", "good", *words, "--out", "both.cascade")
    assert made.code == 0, made.err
    said = json.loads(made.out)
    assert said["rows"] + said["learnt"] == 150


@pytest.mark.usefixtures("steps")
def test_what_cannot_be_is_refused(run: Run) -> None:
    for words, reason in (
        (("--out", "both.zip"), "is named like reviews.cascade"),
        (("--out", "both.cascade", "--max-error", 1), "error is 1.0"),
        (("--out", "both.cascade", "--max-error", 0.001), "no thresholds are shown"),
    ):
        refused = run("cascade", "little", "good", "--task", "moods", *words)
        assert refused.code == 2
        assert reason in refused.err
    missing = run("cascade", "none", "--task", "moods", "--out", "a.cascade")
    assert "none: not found" in missing.err
