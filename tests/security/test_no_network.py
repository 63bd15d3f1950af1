"""Nothing is sent anywhere that nobody asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment
from pupils import pupil

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

WITHOUT = """
import socket, sys, urllib.request

def refuse(*words, **more):
    sys.stderr.write(f"CONNECTS {words}\\n")
    raise OSError("no network here")

class Refused(socket.socket):
    def connect(self, address):
        refuse(address)
    connect_ex = sendto = connect

socket.socket = Refused
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse

from promptkit.cli import main
import promptkit
if MODEL == "fake":
    promptkit.load_model = lambda name="fake", **_: promptkit.FakeModel(name=name)
sys.argv = ["promptkit", *sys.argv[1:]]
main()
"""


def offline(folder: Path, *words: str, model: str = "fake") -> str:
    """Run a command in a process in which no socket connects, and no name is resolved."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.replace("MODEL", repr(model)), *words],
        cwd=folder,
        env=environment() | {"PROMPTKIT_CACHE": os.environ["PROMPTKIT_CACHE"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "CONNECTS" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_way_of_a_prompt_works_without_a_network(tmp_path: Path) -> None:
    fruit = str(ROOT / "examples" / "fruit")
    tests, demos = (str(ROOT / "examples" / "fruit" / name) for name in ("tests.csv", "demos.csv"))
    quick = ("--shots", "0,2", "--seeds", "1", "--limit", "4")
    for words in (
        ("compare", fruit, *quick, "--out", "run"),
        ("report", "run", "--svg", "plots"),
        ("lint", fruit),
        ("render", fruit, "--html", "p.html"),
        ("check", fruit, *quick, "--min", "accuracy=0"),
        ("predict", fruit, tests, "--out", "p.jsonl", "--limit", "4"),
        ("lookup", "build", "p.jsonl", "--out", "fruit.lookup"),
        ("lookup", "info", "fruit.lookup"),
        ("distill", fruit, "--out", "student", "--pool", demos, "--shots", "2"),
        ("export", fruit, "--out", "e.jsonl"),
    ):
        offline(tmp_path, *words)


@pytest.mark.model
def test_a_real_model_needs_none_either(tmp_path: Path) -> None:
    words = ("--shots", "0", "--seeds", "1", "--limit", "2", "--model", "smollm2")
    offline(tmp_path, "compare", str(ROOT / "examples" / "fruit"), *words, model="real")


def test_an_import_opens_nothing() -> None:
    code = "import promptkit; [getattr(promptkit, name) for name in promptkit.__all__]"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.split("from promptkit.cli")[0] + code],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ray_and_the_hub_are_told_to_report_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would tell their makers that, and how, they are used."""
    import ray

    import promptkit as pk
    from promptkit.errors import ModelError, TaskError
    from promptkit.models.prepare import model_files

    names = ("RAY_USAGE_STATS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.setenv(name, "x")  # restored at the end
        monkeypatch.delenv(name)

    def refused(*_: object, **__: object) -> None:
        raise ConnectionError("no network here")

    monkeypatch.setattr(ray, "init", refused)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    student = pupil()
    with pytest.raises(TaskError, match="no Ray cluster"):
        next(pk.RayWorkers("local").asked(student, student.task, iter([]), None))
    with pytest.raises(ModelError, match="no network here"):
        model_files.find("hf:a/b/c.gguf")
    assert [os.environ[name] for name in names] == ["0", "1"]
