"""`--model http://…`: every command that asks a model, on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from fake_servers import Served, Toy, chat_only, llama_cpp, openai, served, zeros

TOY = Toy()


@pytest.fixture
def server() -> Iterator[Served]:
    with served(llama_cpp(TOY)) as one:
        yield one


@pytest.fixture
def task(here: Path) -> str:
    (here / "mood").mkdir()
    (here / "mood" / "task.toml").write_text(
        'name = "mood"\n[input]\ntext = "str"\n[output]\nlabels = ["good", "bad"]\n'
        '[files]\ndemos = "demos.csv"\ntests = "tests.csv"\n'
    )
    for name in ("demos", "tests"):
        rows = [f"{name} {number},{('good', 'bad')[number % 2]}" for number in range(6)]
        (here / "mood" / f"{name}.csv").write_text("text,output\n" + "\n".join(rows) + "\n")
    return "mood"


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_comparison(run: Run, server: Served, task: str, here: Path) -> None:
    words = ("compare", task, "--model", server.url, "--shots", "0,2", "--seeds", "2", "--no-lint")
    done = run(*words, "--calibrate", "batch")
    assert done.code == 0, done.err
    said = one_line(done.err)
    assert "toy-Q4_1 on llama.cpp server b1-toy; labels are scored by forced tokens" in said
    assert f"toy-Q4_1@{server.url.removeprefix('http://')}" in done.out
    count = len([path for path in server.paths() if path == "POST /completion"])
    assert ": 0 prompts to ask" in one_line(run(*words).err)
    again = len([path for path in server.paths() if path == "POST /completion"])
    assert again - count < 6  # what the probe asks
    data = json.loads((here / "runs" / "mood" / "comparison.json").read_text())
    assert "secret" not in json.dumps(data)


def test_secrets_are_in_no_file_of_a_run(
    run: Run, server: Served, task: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTKIT_API_KEY", "sk-hidden-key")
    url = server.url.replace("http://", "http://me:hidden-word@")
    done = run("compare", task, "--model", url, "--shots", "0", "--seeds", "1", "--no-lint")
    assert done.code == 0, done.err
    found = run(
        *("optimise", task, "--model", url, "--shots", "1", "--budget", "20"),
        *("--held-out", "2", "--out", "found.json", "--no-lint"),
    )
    assert found.code == 0, found.err
    assert f"--model {server.url}" in found.out
    files = [path for path in here.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in files)
    written = (
        b"".join(path.read_bytes() for path in files) + (done.out + done.err + found.out).encode()
    )
    assert b"hidden-key" not in written
    assert b"hidden-word" not in written


def test_checks_searches_lint_and_previews(run: Run, server: Served, task: str) -> None:
    url = server.url
    checked = run("check", task, "--model", url, "--shots", "0", "--min", "accuracy=0", "--no-lint")
    assert checked.code == 0, checked.err
    shown = run("render", task, "--model", url, "--tokens")
    assert shown.code == 0, shown.err
    assert "b'" in shown.out
    linted = run("lint", task, "--model", url)
    assert linted.code in (0, 1), linted.err
    assert "error:" not in linted.err


def test_what_a_server_cannot_do_is_said(run: Run, task: str) -> None:
    words = ("--shots", "0", "--seeds", "1", "--no-lint")
    with served(zeros(openai(TOY))) as server:
        done = run("compare", task, "--model", server.url, *words)
        assert done.code == 2
        assert "it is refused" in one_line(done.err)
    with served(chat_only(TOY)) as server:
        done = run("compare", task, "--model", server.url, *words)
        assert done.code == 2
        assert "this server takes turns only" in one_line(done.err)
        done = run("lint", task, "--model", server.url)
        assert done.code == 2
        assert "does not show its tokens, which lint reads" in one_line(done.err)
    done = run("compare", task, "--model", "http://127.0.0.1:9?key=abc", *words)
    assert done.code == 2
    assert "abc" not in done.err


@pytest.mark.parametrize("option", [("--threads", "2"), ("--exact",)])
def test_settings_of_a_server_are_its_own(
    run: Run, server: Served, task: str, option: tuple[str, ...]
) -> None:
    done = run("compare", task, "--model", server.url, *option)
    assert done.code == 2
    assert f"{option[0]}: a server has its own" in done.err


def test_a_frozen_predictor_finds_its_server_again(run: Run, server: Served, task: str) -> None:
    words = ("--shots", "1", "--seeds", "1", "--no-lint")
    assert run("compare", task, "--model", server.url, *words).code == 0
    frozen = run("freeze", "runs/mood", "--out", "mood.promptkit")
    assert frozen.code == 0, frozen.err
    import promptkit

    predictor = promptkit.load_predictor("mood.promptkit")
    predictions = predictor.predict(promptkit.load_task(task).tests)
    assert len(predictions) == 6
    assert all(one.label in ("good", "bad") for one in predictions)
