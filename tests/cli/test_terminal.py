"""Texts, names and values full of control characters, in every command, on a terminal and in a
pipe."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import FORBIDDEN, OWN
from terminal_runs import Run, Shown, Terminal, run_on

import promptkit
from promptkit import FakeModel, Template, load_task
from promptkit.errors import PromptkitError, TaskError, escaped

pytestmark = pytest.mark.slow

EVIL = "a\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\x08\rb\u202ec\u2066d\u200fe\u2028f"
"""Clears the screen, sets the title, goes back, turns the direction."""
LINES = f"{EVIL}\n\nerror: made up\tx"
MARKUP = "[bold]m[/bold][link=http://x]:smile:[/]"
NAMED = LINES
"""As the name of a file, which may be anything without a slash."""


@pytest.fixture(params=["terminal", "pipe"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with its streams on a terminal or in a pipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    monkeypatch.setenv("PROMPTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TERM", "xterm-256color")
    kind = Terminal if request.param == "terminal" else io.TextIOWrapper

    def run(*words: object) -> Shown:
        return run_on(kind, monkeypatch, *words)

    return run


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    load = promptkit.load_model

    def fake(name: str = "smollm2", **more: Any) -> Any:
        return load(name, **more) if name.startswith("no") else FakeModel(name=name)

    monkeypatch.setattr(promptkit, "load_model", fake)


def task(folder: Path, **files: str) -> Path:
    """A task in which everything has a name that nobody would wish for."""
    toml = {
        "name": LINES + MARKUP,
        "instruction": LINES,
        "template": f"own{NAMED}.j2",
        "input": {"word": "str"},
        "output": {"labels": [f"x{LINES}", MARKUP]},
        "files": {"demos": f"demos{NAMED}.jsonl", "tests": "tests.jsonl"},
    }

    def rows(name: str, count: int) -> str:
        made = [
            {
                "id": f"{name}{i}\n{LINES}",
                "word": f"{i} {name} {LINES}",
                "output": (MARKUP, f"x{LINES}")[i % 2],
            }
            for i in range(count)
        ]
        return "".join(json.dumps(row) + "\n" for row in made)

    import tomli_w

    contents = {
        "task.toml": tomli_w.dumps(toml),
        f"demos{NAMED}.jsonl": rows("demo", 20),
        "tests.jsonl": rows("test", 4),
        f"templates/own{NAMED}.j2": "{# x #}{{ task.instruction }}\n{% example %}\n"
        "{{ input.word }}: {{ output }}\n{% endexample %}\n",
    }
    for name, text in {**contents, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def check(shown: Shown, *, exact: bool = False) -> None:
    """Whether a person can read what was shown without harm."""
    for text in (shown.err, *(() if exact else (shown.out,))):
        found = FORBIDDEN.search(OWN.sub("", text))
        assert found is None, text[max(0, found.start() - 200) : found.end() + 50]
        assert not re.search(r"^error: made up", text, re.M), text
    assert "Traceback" not in shown.err


QUICK = ("--shots", "0,2", "--seeds", 1)

COMMANDS: Mapping[str, tuple[object, ...]] = {
    "lint": ("lint", "T"),
    "lint of a model": ("lint", "T", "--ignore", EVIL),
    "render": ("render", "T", "--shots", 2, "--whitespace"),
    "render spans": ("render", "T", "--shots", 2, "--spans"),
    "render tokens": ("render", "T", "--shots", 2, "--tokens"),
    "render all": ("render", "T", "--shots", "0,2", "--all", "--whitespace"),
    "render json": ("render", "T", "--json", "-"),
    "render a page": ("render", "T", "--html", f"p{NAMED}.html"),
    "compare": ("compare", "T", *QUICK, "--model", f"m{LINES}", "--model", MARKUP),
    "compare json": ("compare", "T", *QUICK, "--json", "-"),
    "compare selections": ("compare", "T", *QUICK, "--selection", "first", "--out", f"o{NAMED}"),
    "compare calibrated": ("compare", "T", *QUICK, "--calibrate", "all"),
    "check": ("check", "T", *QUICK, "--min", "accuracy=0.0", "--model", f"m{LINES}"),
    "check fails": ("check", "T", *QUICK, "--min", "accuracy=1", "--strict"),
    "optimise": ("optimise", "T", "--shots", 2, "--budget", 60, "--out", f"s{NAMED}.json"),
    "new": ("new", f"n{NAMED}"),
    "new again": ("new", "T"),
    "models": ("models",),
    "no such command": (f"no{LINES}",),
    "no such option": ("render", "T", f"--no{LINES}"),
    "no number": ("render", "T", "--seed", f"1{EVIL}"),
    "no task": ("render", f"no{NAMED}"),
    "no module": ("render", f"no{LINES}:x"),
    "no template": ("render", "T", "--template", f"no{LINES}"),
    "no template file": ("render", "T", "--template", f"./no{NAMED}"),
    "no shots": ("render", "T", "--shots", EVIL),
    "too many shots": ("render", "T", "--shots", 70),
    "an odd query": ("render", "T", "--query", "{" + EVIL, "--spans"),
    "a query": ("render", "T", "--shots", 0, "--query", LINES, "--spans"),
    "no selection": ("render", "T", "--selection", EVIL),
    "no selection file": ("render", "T", "--selection", f"no{NAMED}.json"),
    "no order": ("render", "T", "--order", EVIL),
    "no verbalizer": ("render", "T", "--verbalizer", EVIL),
    "no model": ("compare", "T", *QUICK, "--model", f"no{LINES}.gguf"),
    "no adapter": ("compare", "T", *QUICK, "--calibrate", EVIL),
    "no fit": ("compare", "T", *QUICK, "--fit", EVIL),
    "no folder for results": ("compare", "T", *QUICK, "--out", "FILE"),
    "no folder for json": ("compare", "T", *QUICK, "--json", f"no{NAMED}/x"),
    "no bound": ("check", "T", "--min", EVIL),
    "no run": ("report", f"no{NAMED}"),
    "no file to import": ("import", f"no{NAMED}.yaml"),
    "no kind to import": ("import", "T/task.toml"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_commands_show_control_characters_as_escapes(
    run: Run, tmp_path: Path, words: tuple[object, ...]
) -> None:
    folder = task(tmp_path / f"t{NAMED}")
    named: dict[object, object] = {"T": folder.name, "FILE": f"{folder.name}/task.toml/x"}
    shown = run(*(named.get(word, word) for word in words))
    check(shown)
    assert shown.code in (0, 1, 2)


def test_a_prompt_in_a_pipe_is_exact_and_on_a_terminal_shown(run: Run, tmp_path: Path) -> None:
    folder = task(tmp_path / f"t{NAMED}")
    loaded = load_task(folder)
    prompt = Template.of(loaded).render(loaded, shots=2, query=loaded.tests[0])
    shown = run("render", folder.name, "--shots", 2)
    check(shown, exact="\x1b[" not in shown.out.replace(EVIL, ""))
    on_terminal = shown.out != str(prompt)
    assert on_terminal == ("▯" in shown.out)
    if on_terminal:
        check(shown)
        assert "a␛[2J␛]0;owned␇⟨U+009B⟩31m␡␈␍b⟨U+202E⟩c" in OWN.sub("", shown.out)


def test_pages_show_them_as_marks_or_escapes(run: Run, tmp_path: Path) -> None:
    folder = task(tmp_path / f"t{NAMED}")
    run("compare", folder.name, *QUICK, "--out", "o", "--model", f"m{LINES}")
    run("render", folder.name, "--shots", 2, "--html", "p.html")
    for page in (tmp_path / "o" / "report.html", tmp_path / "p.html"):
        text = page.read_text("utf-8")
        found = FORBIDDEN.search(text)
        assert found is None, text[found.start() - 200 : found.end() + 50]
        assert "&lt;U+202E" not in text


def test_a_comparison_in_python_is_read_without_harm(tmp_path: Path) -> None:
    loaded = load_task(task(tmp_path / "t"))
    result = promptkit.compare(loaded, models=[FakeModel(name=LINES)], shots=(0, 2), seeds=1)
    for text in (str(result), str(TaskError(f"no {LINES}")), repr(PromptkitError(EVIL))):
        assert FORBIDDEN.search(text) is None
        assert "\nerror" not in text


def test_escapes_are_those_of_python_and_what_is_kept_stays() -> None:
    assert escaped("a\x1b\x9b\u202e\n\t\udc80é") == "a\\x1b\\x9b\\u202e\\n\\t\\udc80é"
    assert escaped("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"
    assert str(TaskError("a:\n  b\nc")) == "a:\n  b\\nc"


SCRIPT = (
    "import promptkit; from promptkit import FakeModel; "
    "promptkit.load_model = lambda name, **_: FakeModel(name=name); "
    "from promptkit.cli import main; main()"
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    "words",
    [
        ["render", "t"],
        ["compare", "t", "--shots", "0", "--model", LINES],
        ["render", "t", "--query", EVIL, "--shots", "99"],
    ],
)
def test_on_a_pseudo_terminal(words: list[str], tmp_path: Path) -> None:
    import pty

    task(tmp_path / "t")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    streams: Any = dict.fromkeys(("stdin", "stdout", "stderr"), follower)
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words], cwd=tmp_path, env=environment, **streams
    )
    os.close(follower)
    raw = b""
    with suppress(OSError):  # the end of a terminal is an error
        while part := os.read(leader, 65536):
            raw += part
    assert child.wait() in (0, 2)
    os.close(leader)
    text = OWN.sub("", raw.decode("utf-8").replace("\r\n", "\n"))
    found = FORBIDDEN.search(text)
    assert found is None, text[max(0, found.start() - 200) : found.end() + 50]
    assert "owned" in text
