from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import promptkit
from promptkit.tasks.task_file import tomllib

pytestmark = pytest.mark.slow

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]

# By its module, and not twice where the package is installed with its entry point.
PLUGIN = ("-p", "no:promptkit", "-p", "promptkit.pytest_plugin", "-p", "no:cacheprovider")

SUITE = """
from typing import Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, FakeModel, Store, Task, compare


class Word(BaseModel):
    word: str


task = Task[Word, Literal["even", "odd"]](
    name="parity",
    demos=[Example(input=Word(word="d" * n), output=("even", "odd")[n % 2]) for n in (1, 2, 3, 4)],
    tests=[Example(input=Word(word="t" * n), output=("even", "odd")[n % 2]) for n in range(1, 41)],
)
good = FakeModel(lambda p: ("even", "odd")[len(p.text.splitlines()[-1].split(":")[0]) % 2])
bad = FakeModel(lambda p: "even", name="bad")
grid = {"shots": [2], "seeds": 1}


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def last(tmp_path, store):
    return compare(task, models=[good], store=store, **grid).save(tmp_path / "last")


def test_good(gate, store, last):
    checked = gate(
        task, models=[good], store=store, min={"accuracy": 0.9}, no_worse_than=last, **grid
    )
    assert checked.passed


def test_bad(gate, store, last):
    gate(task, models=[bad], store=store, no_worse_than=last, **grid)


def test_wrong(gate, store):
    gate(task, models=[good], store=store, min={"acuracy": 0.9})


def test_names(gate, store, monkeypatch):
    loaded = []
    monkeypatch.setattr("promptkit.load_model", lambda name: loaded.append(name) or good)
    for _ in range(2):
        gate(task, models=["mine.gguf"], store=store, min={"accuracy": 0.9}, **grid)
    assert loaded == ["mine.gguf"]
    gate(task, models=["yours.gguf"], store=store, min={"accuracy": 0.9}, **grid)
    assert loaded == ["mine.gguf", "yours.gguf"]
"""


# What docs/gates.md shows, with a model that needs no file.
DOCUMENTED = """
import pytest

import promptkit
from promptkit.models import llama


@pytest.fixture(autouse=True)
def small(monkeypatch):
    fake = promptkit.FakeModel()
    for place in (promptkit, llama):
        monkeypatch.setattr(place, "load_model", lambda *_: fake)
    task = promptkit.load_task("examples/fruit")
    promptkit.compare(task, models=[fake], shots=[4]).save("runs/release")
"""


def test_a_gate_in_a_test_suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(ROOT / "examples", pytester.path / "examples")
    page = (ROOT / "docs" / "gates.md").read_text("utf-8")
    suite, script = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = "def test_script():\n" + textwrap.indent(script, "    ")
    pytester.makepyfile(test_suite=SUITE, test_page=DOCUMENTED + suite + "\n\n" + script)
    done = pytester.runpytest_subprocess(*PLUGIN, "-W", "error", "-rA")
    done.assert_outcomes(passed=4, failed=2)
    text = done.stdout.str()
    assert "FAIL  not worse than " in text
    assert "over 40 common queries" in text
    assert ": significantly worse (then model fake); broke t-" in text
    assert "metric 'acuracy': these answers have no such metric" in text
    assert "pass  accuracy at least 90 %: 100.0 % [" in text
    # The reason, and nothing of the machinery behind it.
    assert "Traceback" not in text
    assert "pytest_plugin.py" not in text
    assert "gates/check.py" not in text


def test_the_plugin_costs_a_session_nothing() -> None:
    source = (
        "import sys, pytest; before = set(sys.modules); import promptkit.pytest_plugin; "
        "print(sorted(m for m in set(sys.modules) - before if m.startswith('promptkit')), "
        "[m for m in ('numpy', 'pydantic', 'jinja2', 'rich') if m in set(sys.modules) - before])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "['promptkit', 'promptkit.pytest_plugin'] []\n"


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"promptkit": "promptkit.pytest_plugin"}
    assert callable(promptkit.check)
