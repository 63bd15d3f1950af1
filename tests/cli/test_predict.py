"""`promptkit predict`, `merge` and `store` as a user sees them."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from processes import environment

import promptkit as pk
from promptkit.cli import arguments

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"
TESTS = FRUIT / "tests.csv"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a model without weights, whatever is named."""

    def models_named(*_: Any, **__: Any) -> list[Any]:
        return [pk.FakeModel()]

    monkeypatch.setattr(arguments, "models_named", models_named)


@pytest.mark.usefixtures("fake")
def test_a_file_is_predicted_once(run: Run, here: Path) -> None:
    first = run("predict", FRUIT, TESTS, "--out", "fruit.jsonl")
    assert (first.code, first.err) == (0, "")
    assert first.out == "Written to fruit.jsonl: 51 rows predicted\n"
    again = run("predict", FRUIT, TESTS, "--out", "fruit.jsonl")
    assert again.out == "Complete already: fruit.jsonl, 51 rows predicted\n"
    other = run("predict", FRUIT, TESTS, "--out", "fruit.jsonl", "--shots", 1)
    assert other.code == 2
    assert "something else (the predictor, under the same name)" in other.err
    replaced = run("predict", FRUIT, TESTS, "--out", "fruit.jsonl", "--shots", 1, "--overwrite")
    assert replaced.code == 0
    names = sorted(path.name for path in here.iterdir())
    assert names == [".promptkit", "fruit.jsonl", "fruit.jsonl.manifest.json"]


@pytest.mark.usefixtures("fake")
def test_rejects_and_equal_rows_are_told(run: Run, here: Path) -> None:
    (here / "in.csv").write_text("title,key\nplum,1\n plum,2\npear,3,4\n")
    words = ("predict", FRUIT, "in.csv", "--out", "a.csv", "--column", "name=title,id=key")
    assert run(*words).out == (
        "Written to a.csv: 2 rows predicted, 1 of them asked\n"
        "Rejected: 1 row, with reasons in a.csv.rejects.jsonl\n"
    )
    strict = run(*words[:4], "b.csv", *words[5:], "--strict")
    assert strict.code == 2
    assert "in.csv:4, value 'pear,3,4': 3 fields, but the header names 2" in strict.err
    assert "write a field and its column" in run(*words[:4], "c.csv", "--column", "name").err


@pytest.mark.usefixtures("fake")
def test_the_best_label_alone(run: Run, here: Path) -> None:
    words = ("predict", FRUIT, TESTS, "--limit", 9)
    run(*words, "--out", "all.jsonl")
    assert run(*words, "--out", "best.jsonl", "--scores", "best").code == 0
    every, best = (
        [json.loads(line) for line in (here / name).read_text().splitlines()]
        for name in ("all.jsonl", "best.jsonl")
    )
    assert [row["label"] for row in best] == [row["label"] for row in every]
    assert {(row["probs"], row["margin"], row["coverage"]) for row in best} == {(None,) * 3}
    again = run(*words, "--out", "all.jsonl", "--scores", "best")
    assert "predicted from something else" in again.err
    wrong = run(*words, "--out", "top.jsonl", "--scores", "top")
    assert (wrong.code, "--scores 'top': choose all or best" in wrong.err) == (2, True)


@pytest.mark.usefixtures("fake")
def test_shards_are_merged(run: Run) -> None:
    words = ("predict", FRUIT, TESTS, "--out", "a.jsonl", "--chunk-rows", 10)
    assert run(*words, "--shard", "2/2").out == (
        "Shard 2/2: 21 rows predicted. When all are done: promptkit merge a.jsonl\n"
    )
    assert "3 parts of 6 missing (number 1, 3, 5)" in run("merge", "a.jsonl").err
    run(*words, "--shard", "1/2")
    assert run("merge", "a.jsonl").out == "Written to a.jsonl: 51 rows predicted\n"
    assert run("merge", "a.jsonl").out == "Complete already: a.jsonl, 51 rows predicted\n"


@pytest.mark.usefixtures("fake")
def test_a_dry_run_writes_nothing(run: Run, here: Path) -> None:
    done = run("predict", FRUIT, TESTS, "--out", "a.jsonl", "--dry-run", "--limit", 40)
    assert done.out.startswith("Rows: 40, about 40 of them distinct\nTokens: about ")
    assert "Time: about 1 s, from 40 rows measured now" in done.out
    assert [*here.iterdir()] == []


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([FRUIT, "no.csv", "--out", "a.jsonl"], "no.csv: no such file"),
        ([FRUIT, TESTS, "--out", "a.xlsx"], "ends in .jsonl, .ndjson, .csv, .parquet"),
        ([FRUIT, TESTS, "--out", "no/a.jsonl"], "name a file in a folder that exists"),
        ([FRUIT, TESTS, "--out", "a.jsonl", "--shard", "3/2"], "such as 2/4"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(run: Run, words: list[Any], reason: str) -> None:
    done = run("predict", *words)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert reason in done.err
    assert done.err.count("\n") == 1


def test_a_terminal_shows_rows_rate_and_tokens_saved(here: Path) -> None:
    code = (
        "import promptkit as pk; from promptkit.cli import arguments, app\n"
        "arguments.models_named = lambda *_, **__: [pk.FakeModel()]\n"
        f"app(['predict', {str(FRUIT)!r}, 'in.csv', '--out', 'a.jsonl', '--chunk-rows', '400'])"
    )
    rows = "".join(f"fruit {i % 500}\n" for i in range(2000))
    (here / "in.csv").write_text(f"name\n{rows}")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**environment(), "COLUMNS": "150", "TERM": "xterm"},
        stderr=theirs,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0
    text = shown.decode()
    assert "2,000 rows" in text
    assert "% of tokens saved" in text


def test_a_frozen_predictor_is_used_as_it_is(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, model = pk.load_task(FRUIT), pk.FakeModel()
    predictor = pk.Predictor(task, pk.Template.of(task), model, shots=3, threshold=0.25)
    pk.freeze(predictor, "fruit.promptkit")
    monkeypatch.setattr(arguments, "model_named", lambda *_, **__: model)
    words = ("predict", "fruit.promptkit", TESTS, "--out", "a.jsonl", "--model", "fake")
    assert "--shots: a saved predictor has its own" in run(*words, "--shots", 2).err
    assert "--context: a saved" in run(*words, "--context", 99).err
    assert "and a threshold needs them" in run(*words, "--scores", "best").err
    assert run(*words).out == "Written to a.jsonl: 51 rows predicted\n"
    made = [json.loads(line) for line in (here / "a.jsonl").read_text("utf-8").splitlines()]
    expected = predictor.predict(task.tests)
    assert [row["label"] for row in made] == [one.label for one in expected]
    held = [row["abstained"] for row in made]
    assert held == [one.abstained for one in expected]
    assert 0 < sum(held) < 51
    assert (
        json.loads((here / "a.jsonl.manifest.json").read_text())["made_of"]["predictor"] == "fruit"
    )


def test_a_store_is_shown_checked_and_pruned(run: Run, here: Path) -> None:
    assert "no prediction store" in run("store").err
    task = pk.load_task(FRUIT)
    with pk.Store(".promptkit/predictions.sqlite") as store:
        pk.Predictor(task, pk.Template.of(task), pk.FakeModel()).predict(task.tests, store=store)
    shown = run("store")
    assert "51 predictions (51 scored, 0 generated)" in shown.out
    assert run("store", "check").out.endswith("Nothing in it is damaged.\n")
    with sqlite3.connect(".promptkit/predictions.sqlite") as database:
        database.execute("UPDATE predictions SET result = '{}'")
        database.execute("INSERT INTO predictions VALUES (x'00', '{\"text\": 1}')")
    database.close()
    damaged = run("store", "check", ".promptkit/predictions.sqlite")
    assert damaged.code == 1
    assert "52 damaged rows" in damaged.out
    assert "Deleted: 52 damaged rows" in run("store", "prune").out
    assert run("store", "check").code == 0
    (here / "text.sqlite").write_bytes(b"SQLite format 3\0" + b"no" * 5000)
    assert run("store", "check", "text.sqlite").code in (1, 2)
    (here / "other.txt").write_text("text")
    assert "error: other.txt" in run("store", "show", "other.txt").err


@pytest.mark.model
@pytest.mark.slow
def test_a_command_that_is_killed_loses_and_doubles_nothing(here: Path, smollm2: Any) -> None:
    """The command itself, with SmolLM2, killed at some moments and once more to its end."""
    names = [test.input.name for test in pk.load_task(FRUIT).tests] * 2
    rows = "".join(f"{number},{name} {number % 80}\n" for number, name in enumerate(names))
    (here / "in.csv").write_text(f"id,name\n{rows}")
    words = ["predict", str(FRUIT), "in.csv", "--out", "a.jsonl", "--chunk-rows", "10"]
    command = [sys.executable, "-m", "promptkit", *words, "--weights", "as-is", "--threads", "1"]
    draw, kills, store = random.Random(0), 0, here / ".promptkit" / "predictions.sqlite"
    for _ in range(6):
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
        parts = len([*(here / "a.jsonl.parts").glob("part-*")])
        while process.poll() is None and len([*here.glob("*/part-*")]) == parts:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        kills += process.returncode < 0
        assert "error" not in said
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    print(f"\n{kills} kills; {done.stdout}")
    made = [json.loads(line) for line in (here / "a.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in made] == [str(number) for number in range(len(names))]
    assert kills >= 1
    assert "before it was interrupted" in done.stdout
    with pk.Store(store) as kept:
        assert len(kept) >= len({(row["input"]["name"]) for row in made})
