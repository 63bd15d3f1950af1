"""Ctrl-C, SIGTERM and SIGKILL at any time: a line, no traceback, nothing that is left over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from gguf.constants import GGMLQuantizationType
from processes import environment, python
from tiny_gguf import write_llama

from promptkit.inference.store import Store
from promptkit.models.llama import load_model
from promptkit.models.prepare import isolated
from promptkit.models.prepare.model_files import digest
from promptkit.models.prepare.record import place, sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them"),
]

TASK = """
name = "parity"
instruction = "Even or odd?"
template = "colon.j2"
[input]
word = "str"
[output]
labels = ["even", "odd"]
[files]
demos = "demos.csv"
tests = "tests.csv"
"""


def command(*words: object, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptkit", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | more,
    )


def wait_for(what: Callable[[], object], child: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while child.poll() is None and not what():
        assert time.monotonic() < end
        time.sleep(0.003)


@pytest.mark.parametrize("module", ["promptkit.cli.commands", "typer", "rich.text", "jinja2"])
@pytest.mark.parametrize("way", ["module", "script"])
def test_an_interrupt_while_the_command_line_is_imported(module: str, way: str) -> None:
    start = {
        "module": "import runpy; runpy.run_module('promptkit', run_name='__main__')",
        "script": "from promptkit.cli import main; sys.exit(main())",
    }[way]
    done = python(
        f"""
import signal, sys

class Presses:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Presses)
sys.argv = ["promptkit", "lint", "nothing"]
{start}
"""
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert re.fullmatch("interrupted[^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_comparison_that_is_stopped_keeps_what_was_computed(
    number: signal.Signals, code: int, last: str, tmp_path: Path
) -> None:
    model = write_llama(tmp_path / "m.gguf", n_ctx=1024, width=64, hidden=128, layers=4)
    words = ["word," + "output", *(f"w{n},{'odd' if n % 2 else 'even'}" for n in range(400))]
    (tmp_path / "task.toml").write_text(TASK)
    (tmp_path / "demos.csv").write_text("\n".join(words[:101]) + "\n")
    (tmp_path / "tests.csv").write_text("\n".join([words[0], *words[101:]]) + "\n")
    load_model(model, threads=1).close()  # tried, so that the command is at work soon
    store = tmp_path / "s.sqlite"
    words = ["compare", str(tmp_path), "--model", str(model), "--store", str(store)]
    words += ["--seeds", "20", "--shots", "1,2,4,8", "--threads", "1", "--out", str(tmp_path / "r")]
    child = command(*words)

    def begun() -> bool:
        if not store.exists():
            return False
        with Store(store) as opened:
            return len(opened) > 0

    wait_for(begun, child)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (
        code,
        f"{last}; what was computed is stored",
    )
    assert "Traceback" not in err
    with Store(store) as opened:
        assert 0 < len(opened) < 20 * 4 * 300


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMPTKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_llama(
        tmp_path / "m.gguf",
        weight_type=GGMLQuantizationType.Q8_0,
        width=512,
        hidden=1024,
        layers=12,
        heads=8,
        kv_heads=8,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_preparing_that_is_stopped_leaves_no_child_and_no_file(
    number: signal.Signals, model: Path, cache: Path
) -> None:
    load_model(model, threads=1, weights="as-is").close()
    folder = place(digest(model))
    child = command("models", "prepare", model, "--weights", "f16")
    wait_for(lambda: [*folder.glob("partial-*/*.gguf")], child)
    children = psutil.Process(child.pid).children()
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert (
        child.returncode
        == {
            signal.SIGKILL: -9,
            signal.SIGTERM: 143,
            signal.SIGINT: 130,
        }[number]
    )
    assert "Traceback" not in err
    assert psutil.wait_procs(children, timeout=5)[1] == []
    if number == signal.SIGKILL:
        assert [*folder.glob("partial-*")]  # nobody could delete it
    load_model(model, threads=1, weights="as-is").close()
    assert [*folder.glob("partial-*")] == []


def test_what_a_live_process_is_writing_stays(cache: Path) -> None:
    folders = [cache / "prepared" / name / "partial-x" for name in ("ab", "cd")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "F16.gguf").write_bytes(bytes(10))
    with FileLock(folders[0].parent / "lock"):
        sweep()
    assert [folder.exists() for folder in folders] == [True, False]
    sweep()
    assert not folders[0].exists()


@pytest.mark.parametrize("prctl", [True, False])
def test_a_child_ends_with_its_parent(prctl: bool, tmp_path: Path) -> None:
    """By the pipe alone as well, as elsewhere than on Linux."""
    told = tmp_path / "child"
    work = f"open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(100)"
    ours = "" if prctl else "sys.platform = 'other'; "
    served = f"import os, sys, time\n{ours}from promptkit.models.prepare.isolated import serve\n"
    (tmp_path / "worker.py").write_text(f"{served}def main():\n    {work}\nserve(main)\n")
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from promptkit.models.prepare import isolated\n"
            f"whole = isolated.subprocess.run\n"
            f"command = [sys.executable, {str(tmp_path / 'worker.py')!r}]\n"
            "isolated.subprocess.run = lambda _, **more: whole(command, **more)\n"
            "isolated.run('x', seconds=100, doing='x')\n",
        ],
        env=environment(),
    )
    end = time.monotonic() + 60
    while not (told.exists() and told.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    child = psutil.Process(int(told.read_text()))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([child], timeout=5)[1] == []


def test_an_illegal_instruction_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = isolated.subprocess.run
    command = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})"]
    monkeypatch.setattr(isolated.subprocess, "run", lambda _, **more: whole(command, **more))
    with pytest.raises(isolated.FailedError, match=r"illegal instruction: .*GGML_NATIVE=OFF"):
        isolated.run("x", seconds=20, doing="x")
