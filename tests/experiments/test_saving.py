"""Results on a full disk, after a kill at any moment, over an earlier run, and where they cannot
go."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from samples import COLON, parity_task

import promptkit
from promptkit import Comparison, FakeModel, Store, compare
from promptkit.cli import app
from promptkit.errors import DataError
from promptkit.experiments.comparison import FILES
from promptkit.experiments.saved_runs import read_run
from promptkit.files import saving

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str]]

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def run_of(task: Any = None, **changed: Any) -> Comparison:
    arguments: dict[str, Any] = {"models": [FakeModel()], "templates": [COLON], "store": Store()}
    return compare(task or parity_task(), **{**arguments, "shots": (0, 2), "seeds": 2, **changed})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Lets the disk be full from the nth call of a function of `os` on."""

    def full(name: str, calls: int) -> None:
        real, left = getattr(os, name), iter(range(calls))

        def call(*args: Any, **more: Any) -> Any:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **more)

        monkeypatch.setattr(os, name, call)

    return full


@pytest.mark.parametrize("calls", range(4))
def test_a_full_disk_leaves_the_earlier_run(
    calls: int, tmp_path: Path, full: Callable[[str, int], None]
) -> None:
    run_of().save(tmp_path)
    before = contents(tmp_path)
    later = run_of(models=[FakeModel(name="later")])
    full("fsync", calls)
    with pytest.raises(OSError, match="No space left on device; what was there before is unch"):
        later.save(tmp_path)
    assert contents(tmp_path) == before
    assert read_run(tmp_path).predictions[0].model == "fake"


@posix
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    import resource

    run_of().save(tmp_path)
    before = contents(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            run_of(models=[FakeModel(name="later")]).save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Path(raised.value.filename).parent == tmp_path
    assert contents(tmp_path) == before


SAVE = """
import sys, promptkit
from promptkit import FakeModel, Store, compare, load_task
task = load_task(sys.argv[1])
runs = [
    compare(task, models=[FakeModel(name=name)], store=Store(), shots=(0, 2), seeds=2)
    for name in ("one", "two")
]
print("ready", flush=True)
while True:
    for run in runs:
        run.save(sys.argv[2])
"""


@posix
def test_a_process_killed_while_it_saves_leaves_a_run_or_what_is_seen_to_be_none(
    tmp_path: Path,
) -> None:
    fruit = Path(__file__).parents[2] / "examples" / "fruit"
    whole = 0
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE, str(fruit), str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        child.stdout.readline()
        while not (tmp_path / "run" / "comparison.json").exists():
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        child.kill()
        child.wait()
        child.stdout.close()
        with passing_mixed():
            run = read_run(tmp_path / "run")
            assert {p.model for p in run.predictions} == {r["model"] for r in run.data["rows"]}
            whole += 1
    assert whole


@contextmanager
def passing_mixed() -> Iterator[None]:
    """Lets pass what is said of a kill between two renames."""
    try:
        yield
    except DataError as error:
        if "saving a later run was interrupted" not in str(error):
            raise


def test_files_of_two_runs_are_told_apart(tmp_path: Path, cli: Cli) -> None:
    run_of(models=[FakeModel(lambda prompt: "odd")]).save(tmp_path / "one")
    run_of(models=[FakeModel(lambda prompt: "even")]).save(tmp_path / "two")
    for name in ("predictions.jsonl", "prompts.json"):
        shutil.copytree(tmp_path / "one", tmp_path / "mix", dirs_exist_ok=True)
        later = (tmp_path / "two" / name).read_bytes()
        if later == (tmp_path / "one" / name).read_bytes():
            later = later.replace(b"Even or odd?", b"Odd or even?") + b" "
        (tmp_path / "mix" / name).write_bytes(later)
        code, error = cli("report", tmp_path / "mix")
        assert (code, f"mix/{name}: not the file that was saved with" in error) == (2, True), error
    shutil.copy(tmp_path / "two" / "predictions.jsonl", tmp_path / "mix")
    code, error = cli("check", FRUIT, "--no-worse-than", tmp_path / "mix")
    assert (code, "predictions.jsonl: not the file that was saved with" in error) == (2, True)


def test_line_ends_of_a_checkout_do_not_matter(tmp_path: Path) -> None:
    result = run_of()
    result.save(tmp_path)
    file = tmp_path / "predictions.jsonl"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_run(tmp_path).predictions == result.predictions


def test_runs_without_digests_are_read(tmp_path: Path) -> None:
    result = run_of()
    result.save(tmp_path)
    data = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    del data["files"]
    (tmp_path / "comparison.json").write_text(json.dumps(data))
    assert read_run(tmp_path).predictions == result.predictions


# Files.


def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    saving.write(tmp_path / "link", "new\udcff")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new\\udcff"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    saving.write(tmp_path / "other", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "other").stat().st_mode & 0o777 == 0o666 & ~umask
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link", "other"}


@posix
def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    saving.write("/dev/null", "x")
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    saving.write(tmp_path / "pipe", "through")
    assert reader.communicate()[0] == b"through"


def test_what_a_killed_process_left_is_tidied_up(tmp_path: Path) -> None:
    old, new = tmp_path / ".promptkit-aa.partial", tmp_path / ".promptkit-bb.partial"
    for left in (old, new):
        left.write_text("half")
    os.utime(old, (0, 0))
    saving.write(tmp_path / "file", "x")
    assert (old.exists(), new.exists()) == (False, True)


# Where results cannot go.

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def load(name: str = "smollm2", **_: Any) -> FakeModel:
        names.append(name)
        return FakeModel(name=name)

    monkeypatch.setattr(promptkit, "load_model", load)
    return names


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], loaded: Any
) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)

    def run(*words: object) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([*map(str, words)], prog_name="promptkit")
        return int(ended.value.code or 0), capfd.readouterr().err

    return run


def places(folder: Path) -> Iterator[tuple[str, str]]:
    """Names at which no folder can be made, and what is said of them."""
    (folder / "file").write_text("")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere/else")
    yield "file", "file is no folder"
    yield "file/below", "file is no folder"
    yield "loop", "loop is no folder"
    yield "loop/below", "Too many levels of symbolic links|loop is no folder"
    yield "dangling", "dangling is no folder"
    yield "x" * 300, "File name too long"
    yield "/proc/none", "proc cannot be written|proc is no folder"


@posix
def test_where_no_run_can_be_saved_is_said_before_the_work(
    tmp_path: Path, cli: Cli, loaded: list[str]
) -> None:
    quick = ("--shots", 0, "--seeds", 1, "--limit", 1)
    for name, reason in places(tmp_path):
        for words in (("compare", FRUIT, *quick), ("check", FRUIT, "--min", "accuracy=0", *quick)):
            code, error = cli(*words, "--out", name)
            assert code == 2
            assert re.match(rf"error: --out {name}: .*({reason}).*; name another\n$", error), error
    assert loaded == []


@posix
@pytest.mark.parametrize(
    "words",
    [
        ("compare", FRUIT),
        ("check", FRUIT, "--min", "accuracy=0"),
        ("optimise", FRUIT),
        ("render", FRUIT, "--model", "m"),
        ("lint", FRUIT, "--model", "m"),
        ("models",),
        ("models", "prepare", "m"),
        ("import", f"{FRUIT}/task.toml"),
    ],
)
def test_where_no_json_can_be_written_is_said_before_the_work(
    words: tuple[str, ...], tmp_path: Path, cli: Cli, loaded: list[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "loop", "no/such", "x" * 300, f"{FRUIT}/task.toml/x"):
        code, error = cli(*words, "--json", name)
        assert (code, error[:16]) == (2, f"error: --json {name}"[:16]), error
    assert loaded == []


def test_a_file_among_the_results_that_is_a_folder(
    tmp_path: Path, cli: Cli, loaded: list[str]
) -> None:
    for name in FILES:
        (tmp_path / name / name).mkdir(parents=True)
        code, error = cli("compare", FRUIT, "--out", name)
        assert (code, error) == (
            2,
            f"error: --out {name}: {name} is a folder there; name another\n",
        )
    assert loaded == []


def test_optimised_shots_and_pages_name_their_file(
    tmp_path: Path, cli: Cli, full: Callable[[str, int], None]
) -> None:
    run_of().save(tmp_path / "run")
    (tmp_path / "page.html").write_text("old")
    full("fsync", 0)
    code, error = cli("report", tmp_path / "run", "--html", "page.html")
    assert code == 2
    assert error == (
        "error: page.html: No space left on device; what was there before is unchanged\n"
    )
    assert (tmp_path / "page.html").read_text() == "old"


# Standard output.


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = (
        "import promptkit; from promptkit import FakeModel; "
        "promptkit.load_model = lambda name='smollm2', **_: FakeModel(name=name); "
        "from promptkit.cli import main; main()"
    )
    command = f'promptkit() {{ "{sys.executable}" -c "{script}" "$@"; }}; {line}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@posix
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("promptkit render F --shots 8 | head -c 1; echo ${PIPESTATUS[0]} >&2", "0"),
        ("promptkit check F --min accuracy=1 --strict --shots 0 --seeds 1 | head -c 1;"
         " echo ${PIPESTATUS[0]} >&2", "1"),
        ("promptkit compare F --shots 0 --seeds 1 --json c.json 2>&1 | head -c 1;"
         " test -s c.json; echo $? >&2", "0"),
        ("promptkit --help > /dev/full; echo $? >&2", "2"),
        ("promptkit render F > /dev/full; echo $? >&2", "2"),
        ("promptkit compare F --shots 0 --seeds 1 > /dev/full; echo $? >&2", "2"),
        ("promptkit render F >&-; echo $? >&2", "0"),
        ("promptkit render F 2>&- >&- <&-; echo $? >&2", "0"),
        ("promptkit render no 2>&-; echo $? >&2", "2"),
        ("promptkit render no 2> /dev/full; echo $? >&2", "2"),
        ("promptkit render F --no > /dev/full 2>&1; echo $? >&2", "2"),
    ],
)  # fmt: skip
def test_streams_that_are_full_closed_or_not_read(line: str, code: str, tmp_path: Path) -> None:
    done = shell(line.replace(" F", f" {FRUIT}"), tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.splitlines()[-1] == code, done.stderr
    if "/dev/full" in line and "2>" not in line:
        assert "error: standard output: No space left on device" in done.stderr
