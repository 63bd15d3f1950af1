"""Task folders that come from anybody: what they may name, and what they cannot make wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran
from tiny_gguf import write_llama

from promptkit import Template, load_task, save_task
from promptkit.errors import PromptkitError, TaskError, TemplateError
from promptkit.files.paths import is_inside

TOML = """
name = "t"
{template}
[input]
word = "str"
[output]
{output}
[files]
{files}
"""
SOURCE = "{{% example %}}\n{mark} {{{{ input.word }}}}: {{{{ output }}}}\n{{% endexample %}}\n"


def task(
    folder: Path,
    template: str = "own.j2",
    output: str = 'labels = ["a", "b"]',
    files: str = 'demos = "demos.csv"\ntests = "tests.csv"',
) -> Path:
    templates = folder / "templates"
    templates.mkdir(parents=True)
    (templates / "own.j2").write_text(SOURCE.format(mark="own"))
    (folder / "beside.j2").write_text(SOURCE.format(mark="beside"))
    (folder / "sub").mkdir()
    (folder / "sub" / "below.j2").write_text(SOURCE.format(mark="below"))
    (folder / "demos.csv").write_text("word,output\nx,a\ny,b\n")
    (folder / "tests.csv").write_text("word,output\nz,a\n")
    named = f"template = {template!r}"
    (folder / "task.toml").write_text(
        TOML.format(template=named, output=output, files=files), "utf-8"
    )
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of somebody's that is nobody's business."""
    path = tmp_path / "secret.j2"
    path.write_text(SOURCE.format(mark="secret"))
    (tmp_path / "secret.json").write_text('{"type": "string", "title": "secret"}')
    (tmp_path / "secret.csv").write_text("word,output\nhidden,a\nother,b\n")
    return path


def link(at: Path, to: Path) -> None:
    if at.is_dir():
        for child in at.iterdir():
            child.unlink()
        at.rmdir()
    at.unlink(missing_ok=True)
    at.symlink_to(to)


OUTSIDE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "absolute": ("{secret}", lambda folder: None),
    "above": ("../secret.j2", lambda folder: None),
    "above and back": ("templates/../../secret.j2", lambda folder: None),
    "current folder": ("secret.j2", lambda folder: os.chdir(folder.parent)),
    "without suffix": ("../secret", lambda folder: None),
    "a link": ("sub/l.j2", lambda folder: link(folder / "sub/l.j2", folder.parent / "secret.j2")),
    "a linked template": (
        "l.j2",
        lambda folder: link(folder / "templates/l.j2", folder.parent / "secret.j2"),
    ),
    "a linked folder": ("sub/secret.j2", lambda folder: link(folder / "up", folder.parent)),
    "a linked folder of templates": (
        "secret.j2",
        lambda folder: link(folder / "templates", folder.parent),
    ),
    "a device": ("/dev/zero", lambda folder: None),
    "a nul": ("a\\u0000.j2", lambda folder: None),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.mark.slow
@pytest.mark.parametrize("case", OUTSIDE)
def test_a_template_outside_the_folder_is_not_read(
    case: str, tiny: Path, tmp_path: Path, secret: Path, run: Callable[..., Ran], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    name, arrange = OUTSIDE[case]
    folder = task(
        tmp_path / "t", template=name.format(secret=secret).replace("sub/secret", "up/secret")
    )
    toml = (folder / "task.toml").read_text().replace("'", '"')
    (folder / "task.toml").write_text(toml.replace("\\\\u", "\\u"))
    arrange(folder)
    for words in (
        ("render", folder),
        ("compare", folder, "--model", tiny, "--weights", "as-is"),
        ("lint", folder),
        ("render", folder / "task.toml"),
    ):
        done = run(*words)
        assert done.code in (1, 2), done
        assert "secret z" not in done.out + done.err
        assert "Traceback" not in done.err
    with pytest.raises(TemplateError):
        Template.of(load_task(folder))


def test_a_template_inside_the_folder_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (name, mark) in enumerate(
        [
            *(("own", "own"), ("own.j2", "own"), ("./beside.j2", "beside"), ("colon.j2", "z: ")),
            *(("sub/below.j2", "below"), ("templates/own.j2", "own"), ("sub/../beside.j2", "besi")),
        ]
    ):
        folder = task(Path(f"t{number}"), template=name)
        for where in (folder, folder.absolute(), folder / "task.toml"):
            loaded = load_task(where)
            text = str(Template.of(loaded).render(loaded, query=loaded.tests[0]))
            assert mark.rstrip() in text, (name, text)


def test_a_template_of_the_command_line_may_stand_anywhere(
    tmp_path: Path, secret: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = task(tmp_path / "t")
    monkeypatch.chdir(tmp_path)
    for name in (secret, "secret.j2", "./secret.j2", "t/../secret.j2"):
        assert run("render", folder, "--shots", 0, "--template", name).out == "secret z:"


@pytest.mark.parametrize(
    "how",
    [
        "{% include 'l.j2' %}",
        "{% extends 'l.j2' %}",
        "{% include '../secret.j2' %}",
        "{% include '../../secret.j2' %}",
        "{% import 'l.j2' as l %}{{ l }}",
    ],
)
def test_what_a_template_loads_stays_inside_too(how: str, tmp_path: Path, secret: Path) -> None:
    folder = task(tmp_path / "t")
    (folder / "templates" / "own.j2").write_text(how + SOURCE.format(mark="own"))
    link(folder / "templates" / "l.j2", secret)
    loaded = load_task(folder)
    with pytest.raises(TemplateError, match=r"leads out|not found|no template|l\.j2|secret"):
        Template.of(loaded).render(loaded, query=loaded.tests[0])


@pytest.mark.parametrize(
    "name", ["../secret.json", "{folder}/../secret.json", "linked.json", "/dev/zero"]
)
def test_a_schema_outside_the_folder_is_not_read(name: str, tmp_path: Path, secret: Path) -> None:
    folder = task(tmp_path / "t", output=f'schema = "{name.format(folder=tmp_path / "t")}"')
    link(folder / "linked.json", secret.with_suffix(".json"))
    with pytest.raises(TaskError, match=r"output\.schema: '.*' leads out of the task's folder"):
        load_task(folder)


@pytest.mark.parametrize("name", ["../secret.csv", "{folder}/../secret.csv", "linked.csv"])
def test_data_outside_the_folder_is_named(
    name: str,
    tmp_path: Path,
    secret: Path,
    run: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    name = name.format(folder=tmp_path / "t")
    folder = task(Path("t"), files=f'demos = "{name}"\ntests = "tests.csv"')
    link(folder / "linked.csv", secret.with_suffix(".csv"))
    said: list[str] = []
    load_task(folder, notify=said.append)
    assert said == [f"t/task.toml reads data outside its folder: {name}"]
    done = run("render", folder, "--shots", 1)
    assert (done.code, done.err) == (0, f"note: {said[0]}\n")
    assert f"note: {said[0]}\n" in run("lint", folder).err


HANGS = r"a folder, a pipe or a device, not a file|GB, where at most|embedded null|null byte"


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def device(path: Path) -> None:
    link(path, Path("/dev/zero"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
@pytest.mark.parametrize("make", [pipe, huge, folder, device])
@pytest.mark.parametrize(
    "file",
    ["demos.csv", "tests.jsonl", "tests.parquet", "task.toml", "schema.json", "templates/own.j2"],
)
def test_what_would_be_waited_for_is_an_error(
    make: Callable[[Path], None], file: str, tmp_path: Path
) -> None:
    tests = file if file.startswith("tests") else "tests.csv"
    output = 'schema = "schema.json"' if file == "schema.json" else 'labels = ["a", "b"]'
    path = task(tmp_path / "t", output=output, files=f'demos = "demos.csv"\ntests = "{tests}"')
    make(path / file)
    code = (
        "import sys; from promptkit.cli import app; "
        "app([sys.argv[1], sys.argv[2]], prog_name='promptkit')"
    )
    for command in ("render", "lint"):
        done = subprocess.run(
            [sys.executable, "-c", code, command, str(path)],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert done.returncode in (1, 2), done
        assert "Traceback" not in done.stderr
        assert Path(file).name in done.stderr + done.stdout


@pytest.mark.parametrize(
    "name", ["a\\u0000.csv", "\\u0000.jsonl", "x" * 300 + ".csv", "é" * 200 + ".csv"]
)
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    folder = task(tmp_path / "t", files=f'tests = "{name}"')
    with pytest.raises(PromptkitError):
        load_task(folder)


def test_inside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "inner").mkdir()
    assert is_inside(tmp_path / "in" / "x", tmp_path / "in")
    assert is_inside(tmp_path / "in", tmp_path / "in")
    assert not is_inside(tmp_path / "inner" / "x", tmp_path / "in")
    assert not is_inside(tmp_path / "in" / ".." / "x", tmp_path / "in")
    assert not is_inside(Path("a\0"), tmp_path)


def test_a_saved_task_copies_nothing_from_outside(tmp_path: Path, secret: Path) -> None:
    folder = task(tmp_path / "t")
    (folder / "templates" / "link.j2").symlink_to(secret)
    save_task(load_task(folder), tmp_path / "saved")
    names = sorted(path.name for path in (tmp_path / "saved" / "templates").iterdir())
    assert names == ["own.j2"]
    elsewhere = load_task(folder).model_copy(update={"template": str(secret)})
    with pytest.raises(TaskError, match="a task folder holds its own templates"):
        save_task(elsewhere, tmp_path / "again")
