"""Files of others are bounded, and never code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import Task
from promptkit.errors import MissingExtraError, PromptkitError, TaskError
from promptkit.importing import jinja, plain_values
from promptkit.importing.plain_values import PythonFunction, read
from promptkit.importing.tools import import_file
from promptkit.templating.template import Template


def write(folder: Path, text: str | bytes, name: str = "f.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 500))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "more than 200,000 values"),
        ("a: &a [*a]\n", "1: an alias that contains itself"),
        (CHAIN, "nested more than 64 levels deep"),
        ("[" * 5000, "nested more than 64 levels deep"),
        ("{a: " * 5000, "nested more than 64 levels deep"),
        ("".join(f"{' ' * i}a:\n" for i in range(100)), "nested more than 64 levels deep"),
        ("x" * (plain_values.MAX_BYTES + 1), "larger than 2 MB"),
        ("a: !!python/object/apply:os.system ['touch owned']\n", "1: could not determine"),
        ("a: !!python/name:os.system\n", "1: could not determine"),
        ("a: !Other {}\n", "1: could not determine a constructor for the tag '!Other'"),
        ("a: b: c\n", "1: mapping values are not allowed here"),
        ("a: 2024-99-99\n", "month must be in 1..12"),
        ("a: {[1]: 2}\n", "unhashable"),
        (b"a: \xff\n", "1: "),
        ("", "empty"),
        ("- 1\n", "is not a mapping of keys to values"),
        ("a: 1\n", "unknown kind of file; promptkit imports a FewShotPromptTemplate"),
        ("!function os.system\n", "is not a mapping"),
    ],
)
def test_a_file_that_is_not_read(
    text: str | bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match=reason):
        import_file(write(tmp_path, text))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested more than 64"),
        ("[" * 100 + "]" * 100, "nested more than 64"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested more than 64"),
        ("{", "1: not JSON"),
        ('{\n"a": x}', "2: not JSON"),
        ("9" * 10_000, "digits|no mapping"),
        ("3", "is not a mapping"),
    ],
)
def test_a_json_file_that_is_not_read(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=reason):
        import_file(write(tmp_path, text, "f.json"))


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"not a \.json, \.yaml or \.yml file"):
        import_file(write(tmp_path, "import os", "f.py"))
    with pytest.raises(TaskError, match="No such file"):
        import_file(tmp_path / "none.yaml")


def test_aliases_and_known_tags_are_read(tmp_path: Path) -> None:
    text = "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: !function m.f\nf: !Template {jinja: j}\n"
    source = read(write(tmp_path, text))
    assert source.value == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": {"b": 1, "e": PythonFunction("m.f")},
        "f": {"jinja": "j"},
    }
    assert (source.line("d", "e"), source.line("d", "e", "x"), source.line("g")) == (5, 5, None)


def test_yaml_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"promptkit-fewshot\[import\]"):
        read(write(tmp_path, "a: 1\n"))


class Pair(BaseModel):
    a: str
    b: str


PAIR = Task[Pair, str](name="t")


@given(st.text(alphabet="{}%# \n\r\tab\\\"'", max_size=40))
def test_a_text_is_written_so_that_it_comes_out_as_it_is(text: str) -> None:
    source = f"x{jinja.literal(text)}" + "{{ task.name }}{{ query.a }}"
    assert Template(source).render(PAIR, query={"a": ".", "b": ""}).text == f"x{text}t."


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "promptkit", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


FILES = Path(__file__).parent


@pytest.mark.slow
def test_the_command_writes_a_task_that_renders(tmp_path: Path) -> None:
    done = run(tmp_path, "import", str(FILES / "antonyms.json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == [
        "antonyms/task.toml",
        "antonyms/demos.jsonl",
        "antonyms/templates/prompt.j2",
    ]
    assert "- " + str(FILES / "antonyms.json") + ": examples: the file does not say" in done.stdout
    shown = run(tmp_path, "render", "antonyms", "--shots", "1", "--query", "big")
    assert shown.stdout.endswith("\n\nInput: big\nOutput:")
    again = run(tmp_path, "import", str(FILES / "antonyms.json"))
    assert (again.returncode, again.stdout) == (2, "")
    assert "antonyms exists already; name a new folder with --out" in again.stderr


@pytest.mark.slow
def test_the_command_says_all_of_it_as_json(tmp_path: Path) -> None:
    done = run(tmp_path, "import", str(FILES / "ticket.yaml"), "--out", "here", "--json", "-")
    data = json.loads(done.stdout)
    assert data["tool"] == "lm-evaluation-harness"
    assert data["files"] == ["here/task.toml", "here/templates/prompt.j2"]
    assert {"what", "file", "line", "why", "do"} == set(data["lost"][0])


@pytest.mark.slow
def test_an_error_has_no_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "import", str(write(tmp_path, LAUGHS)))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


KEYS = [
    *("_type", "templates", "doc_to_text", "doc_to_choice", "doc_to_target", "prefix", "suffix"),
    *("examples", "example_prompt", "description", "fewshot_config", "dataset", "include"),
    *("target_delimiter", "template_format"),
]
TEXTS = ["few_shot", "{{ a }}", "{a} {b}", "{a}", "jinja2", "{{ a }} ||| b", "a"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(TEXTS)
INNER = st.sampled_from(["template", "jinja", "a", "b", "samples", "name"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_whatever_a_file_says_is_an_error_or_a_task(value: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), json.dumps(value), "f.json")
        try:
            import_file(path).write(Path(folder) / "out")
        except PromptkitError:
            return
        assert list((Path(folder) / "out").iterdir())
