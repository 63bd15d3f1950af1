"""`promptkit check` and `promptkit optimise`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran, Run
from samples import CountingModel

import promptkit
from promptkit.inference.store import Store

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


def model(name: str) -> Any:
    """`good` is right, `bad` says the first label, others say anything."""
    if name not in ("good", "bad"):
        return CountingModel(name=name)
    golds = {e.input.name: e.output for e in promptkit.load_task(FRUIT).tests}

    def answer(prompt: promptkit.Prompt) -> str:
        return golds[prompt.text.splitlines()[-1].removesuffix(" ->")] if name == "good" else ""

    return CountingModel(answer, name=name)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that were loaded, none of them real."""
    names: list[str] = []

    def load(name: str = "smollm2", **_: Any) -> Any:
        names.append(name)
        return model(name)

    monkeypatch.setattr(promptkit, "load_model", load)
    return names


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved run of the good model."""
    task = promptkit.load_task(FRUIT)
    result = promptkit.compare(task, models=[model("good")], shots=[0, 2], store=Store())
    return result.save(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def last(here: Path, saved: Path, loaded: list[str]) -> str:
    """The saved run, in the working folder."""
    return str(shutil.copytree(saved, "last"))


def check(run: Run, *words: object, model: str = "good") -> Ran:
    return run("check", FRUIT, "--model", model, "--shots", 2, "--seeds", 2, *words)


@pytest.mark.slow
def test_gates_that_pass(run: Run, last: str) -> None:
    done = check(run, "--min", "accuracy=0.9", "--max", "log_loss=1.2", "--no-worse-than", last)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("fruit · good · arrow.j2 · balanced shots · 2 shots")
    assert [line.split(":")[0] for line in lines[1:4]] == [
        "  pass  accuracy at least 90 %",
        "  pass  log loss at most 1.2",
        "  pass  not worse than last",
    ]
    assert lines[4:] == ["Brackets are 98.33 % intervals."]


@pytest.mark.slow
def test_a_gate_that_fails(run: Run, last: str) -> None:
    done = check(run, "--no-worse-than", last, "--min", "accuracy=0.5", model="bad")
    assert done.code == 1
    assert "  FAIL  accuracy at least 50 %: 13.7 % [" in done.out
    assert "  FAIL  not worse than last: -86.3 points [" in done.out
    assert "significantly worse (then model good); broke " in done.out
    assert "Traceback" not in done.err
    assert "error" not in done.err


@pytest.mark.slow
def test_the_most_shots_of_the_other_run_are_asked(run: Run, last: str) -> None:
    done = run("check", FRUIT, "--model", "good", "--no-worse-than", last)
    assert done.code == 0
    assert "2 shots" in done.out
    assert "8 shots" in run("check", FRUIT, "--model", "good", "--min", "accuracy=0.5").out


@pytest.mark.slow
def test_json_and_a_run_to_hold_the_next_against(run: Run, last: str, here: Path) -> None:
    done = check(run, "--no-worse-than", last, "--json", "-", "--out", "next", model="bad")
    data = json.loads(done.out)
    assert (done.code, data["passed"], done.err) == (1, False, "")
    assert len(data["gates"][0]["broke"]) == 44
    done = check(run, "--no-worse-than", "next", "--json", "c.json", model="bad")
    assert done.code == 0
    assert json.loads((here / "c.json").read_text("utf-8"))["passed"] is True


def test_strict_passes_only_what_is_sure(run: Run, loaded: list[str]) -> None:
    bound = ("--min", "accuracy=0.97")
    assert check(run, *bound).code == 0
    done = check(run, *bound, "--strict")
    assert done.code == 1
    assert "100.0 % [93.0, 100.0] of 51 queries and 2 seeds: may be below 97 %" in done.out


def damaged(folder: str) -> None:
    file = Path(folder) / "predictions.jsonl"
    file.write_bytes(file.read_bytes()[:-30])


def of_another_task(folder: str) -> None:
    file = Path(folder) / "predictions.jsonl"
    text = re.sub(r'"id": "', '"id": "x', file.read_text("utf-8"))
    file.write_text(text, "utf-8")
    comparison = Path(folder) / "comparison.json"
    data = json.loads(comparison.read_text("utf-8"))
    del data["files"]  # the digests of what was saved
    comparison.write_text(json.dumps(data), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "nothing to check"),
        (["--min", "accuracy"], "--min 'accuracy': write a metric and a number"),
        (["--min", "accuracy=high"], "--min 'accuracy=high'"),
        (["--min", "accuracy=50"], "50 is not a share from 0 to 1"),
        (["--min", "acc=0.5"], "metric 'acc': .*accuracy, macro_f1, log_loss"),
        (["--min", "accuracy=0.5", "--min", "accuracy=0.6"], "accuracy is bounded twice"),
        (["--no-worse-than", "gone"], r"gone/comparison\.json: No such file.*--out writes it"),
        (["--no-worse-than", "last", "--margin", "2"], "margin 2"),
        (["--no-worse-than", "last", "--strict"], "strict: .*margin"),
        (["--no-worse-than", "last", "--out", "./last"], "compared with; save it elsewhere"),
        (["--min", "accuracy=0.5", "--shots", "x"], "--shots 'x'"),
        (["--min", "accuracy=0.5", "--out", "file"], "--out file: file is no folder"),
        ([damaged, "--no-worse-than", "last"], r"last/predictions\.jsonl:816: the file is cut"),
        ([of_another_task, "--no-worse-than", "last"], "none of the queries stands in last"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_loaded(
    words: list[Any], reason: str, run: Run, last: str, loaded: list[str], here: Path
) -> None:
    (here / "file").write_text("")
    if words and callable(words[0]):
        words[0](last)
        words = words[1:]
    loaded.clear()
    done = run("check", FRUIT, *words)
    assert (done.code, done.out) == (2, "")
    assert re.match(f"(?s)error: .*({reason})", done.err), done.err
    assert len(done.err.splitlines()) == 1
    assert loaded == []


def test_a_cell_that_the_other_run_lacks(run: Run, last: str) -> None:
    done = check(run, "--no-worse-than", last, "--shots", "1")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(
        "error: last has no good · arrow.j2 · balanced shots · 1 shot; it has good · arrow.j2"
    )


# optimise


@pytest.mark.slow
def test_shots_are_found_and_are_a_selection(run: Run, loaded: list[str], here: Path) -> None:
    words = ("--shots", 2, "--budget", 400, "--model", "other")
    done = run("optimise", FRUIT, *words)
    assert done.code == 0, done.err
    assert re.match(r"note: greedy: 2 rounds of \d+ of the \d+ candidates on 17 held", done.err)
    assert "found: " in done.out
    assert "looks better than it is: compare it on the tests." in done.out
    assert f"Written to shots.json. Now: promptkit compare {FRUIT} --selection" in done.out
    shots = json.loads((here / "shots.json").read_text("utf-8"))["shots"]
    done = run(
        "compare",
        FRUIT,
        "--selection",
        "shots.json",
        "--selection",
        "balanced",
        "--shots",
        "1,2",
        "--seeds",
        1,
        "--limit",
        3,
        "--json",
        "-",
    )
    assert done.code == 0, done.err
    lines = (here / "runs" / "fruit" / "predictions.jsonl").read_text("utf-8").splitlines()
    seen = {
        (record["shots"], tuple(record["shot_ids"]))
        for record in map(json.loads, lines)
        if record["selection"] == "shots.json"
    }
    assert seen == {(1, tuple(shots[:1])), (2, tuple(shots))}
    again = run(
        "optimise", FRUIT, *words, "--method", "bootstrap", "--json", "-", "--out", "b.json"
    )
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == json.loads((here / "b.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--method", "best"], "--method 'best': choose greedy or bootstrap"),
        (["--budget", 30], "a budget of 30 prompts is too small"),
        (["--held-out", 51], "51 of 51 examples of the pool cannot be held out"),
        (["--shots", 50, "--held-out", 10], "50 shots asked, but beside the 10"),
        (["--out", "shots.txt"], r"--out shots.txt: write a file name that ends in \.json"),
        (["--out", "gone/shots.json"], "--out gone/shots.json"),
        (["--template", "nosuch"], "unknown template 'nosuch'"),
    ],
)
def test_what_cannot_be_searched(
    words: list[Any], reason: str, run: Run, loaded: list[str]
) -> None:
    done = run("optimise", FRUIT, *words)
    assert (done.code, done.out) == (2, "")
    assert re.search(f"error: .*({reason})", done.err), done.err
    assert loaded == [] or "--template" in words


def test_tests_may_be_missing(run: Run, loaded: list[str], here: Path) -> None:
    shutil.copytree(FRUIT, here / "t")
    (here / "t" / "tests.csv").unlink()
    file = here / "t" / "task.toml"
    file.write_text(file.read_text("utf-8").replace('tests = "tests.csv"\n', ""), "utf-8")
    assert run("optimise", "t", "--shots", 1, "--budget", 100, "--held-out", 5).code == 0
