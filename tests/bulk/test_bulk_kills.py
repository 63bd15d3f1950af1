"""Bulk prediction under everything that ends it: no row is lost, and none is doubled."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from bulk_child import CHUNK, ByDigest, write_rows
from processes import environment

from promptkit import Store, predict
from promptkit.bulk.bulk_assembly import BulkResult, beside
from promptkit.errors import PromptkitError, TaskError

CHILD = Path(__file__).parents[1] / "support" / "bulk_child.py"
ROWS = 3000
KILLS = int(os.environ.get("PROMPTKIT_KILLS", "16"))
"""Kills of the long test; 50 with PROMPTKIT_KILLS=50."""


def started(inputs: Path, out: Path, pause: float) -> subprocess.Popen[str]:
    """Start a process that predicts; return when it begins."""
    words = [sys.executable, str(CHILD), str(inputs), str(out), str(pause)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, env=environment(), stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def whole(inputs: Path, out: Path) -> BulkResult:
    return predict(ByDigest(), inputs, out=out, chunk_rows=CHUNK, store=Store())


def files_of(out: Path) -> dict[str, bytes]:
    """Return the files of a complete prediction."""
    ends = ("rejects.jsonl", "manifest.json")
    return {file.suffix: file.read_bytes() for file in (out, *(beside(out, end) for end in ends))}


def check_rows(out: Path, count: int) -> None:
    """Check that every row of the input is in one of both files, once and in order."""
    lines = [json.loads(line)["line"] for line in out.read_text("utf-8").splitlines()]
    rejects = beside(out, "rejects.jsonl").read_text("utf-8").splitlines()
    assert lines == sorted(lines)
    assert Counter(lines + [json.loads(line)["line"] for line in rejects]) == Counter(
        range(2, count + 2)
    )


@pytest.mark.parametrize(
    ("kills", "suffix"),
    [
        (5, ".jsonl"),
        pytest.param(KILLS, ".jsonl", marks=pytest.mark.slow),
        pytest.param(KILLS // 2, ".parquet", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, kills: int, suffix: str
) -> None:
    inputs, out = tmp_path / "in.csv", tmp_path / f"out{suffix}"
    write_rows(inputs, ROWS)
    whole(inputs, tmp_path / f"whole{suffix}")
    expected = files_of(tmp_path / f"whole{suffix}")
    if suffix == ".jsonl":
        check_rows(tmp_path / "whole.jsonl", ROWS)
    draw, ends = random.Random(kills), Counter[str]()
    while ends.total() - ends["complete"] < kills:
        process = started(inputs, out, pause=0.005)
        time.sleep(draw.uniform(0.0, 0.8))
        process.send_signal(draw.choice([signal.SIGKILL] * 4 + [signal.SIGHUP]))
        _, said = process.communicate()
        assert said == ""
        if process.returncode < 0:
            parts = len([*out.with_name(f"{out.name}.parts").glob("part-*")])
            ends["in front of the first part" if not parts else "between parts"] += 1
            assert not out.exists() or files_of(out) == expected
        else:
            ends["complete"] += 1
            assert files_of(out) == expected
            out.unlink()
    done = whole(inputs, out)
    print(f"\n{suffix}: {dict(ends)}; {done.before} of {ROWS} rows done before the last run")
    assert files_of(out) == expected
    assert sorted(path.name for path in tmp_path.glob("*.parts")) == []


class Full:
    """A disk that is full from some write on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, number: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._fsync(number)


def test_a_disk_that_is_full_at_any_write_is_an_error_from_which_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = tmp_path / "in.csv"
    write_rows(inputs, 5 * CHUNK)
    whole(inputs, tmp_path / "whole.jsonl")
    expected = files_of(tmp_path / "whole.jsonl")
    failed = 0
    for left in range(40):
        out = tmp_path / f"out{left}.jsonl"
        with monkeypatch.context() as patch:
            disk = Full(patch, left)
            error = None
            try:
                whole(inputs, out)
            except OSError as caught:
                error = caught
        if error is not None:
            failed += 1
            assert "No space left on device" in str(error)
            assert error.filename is not None
        assert not out.exists() or files_of(out) == expected
        whole(inputs, out)
        assert files_of(out) == expected
        assert not [*tmp_path.glob("out*.parts")], [*tmp_path.glob(".promptkit-*")]
        if disk.left >= 0:
            break
    print(f"\nfull at each of {failed} writes")
    assert failed > 8


def namespaces() -> bool:
    """Return whether a file system can be mounted for a process alone."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


FILL = """
mkdir "$1/disk" && mount -t tmpfs -o size=40k none "$1/disk" || exit 9
run() { "$2" "$3" "$1/in.csv" "$1/disk/out.jsonl" 0; echo "size $size: $?"; }
for size in 40k 90k 160k 250k 350k 500k 700k 1000k 1600k 2500k; do
  mount -o remount,size=$size "$1/disk"; run "$@"
  [ -e "$1/disk/out.jsonl" ] && break
done
mount -o remount,size=40m "$1/disk"
mount -o remount,ro "$1/disk"; size=ro; rm -f "$1/disk/out.jsonl"; run "$@"
mount -o remount,rw "$1/disk"; size=40m; run "$@"
cp "$1/disk/"out* "$1"
"""


@pytest.mark.skipif(not namespaces(), reason="no file system can be mounted here")
def test_a_small_disk_that_grows_and_one_that_is_read_only(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", ROWS)
    whole(tmp_path / "in.csv", tmp_path / "whole.jsonl")
    words = ["unshare", "-rm", "sh", "-c", FILL, "sh", str(tmp_path), sys.executable, str(CHILD)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    print(f"\n{done.stdout}{done.stderr}")
    assert done.returncode == 0
    codes = dict(line.split(": ") for line in done.stdout.splitlines() if line.startswith("size"))
    assert codes["size 40k"] == codes["size 250k"] == "1"
    assert codes["size 40m"] == "0"
    errors = done.stderr.splitlines()
    assert len(errors) >= 3
    said = ("No space left", "disk is full", "disk I/O error", "Read-only", "readonly", "rm: ")
    assert all(any(one in line for one in said) for line in errors)
    assert files_of(tmp_path / "out.jsonl") == files_of(tmp_path / "whole.jsonl")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", CHUNK)
    (tmp_path / "out.jsonl.parts").write_text("")
    with pytest.raises((OSError, PromptkitError), match=r"out\.jsonl\.parts"):
        whole(tmp_path / "in.csv", tmp_path / "out.jsonl")


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    inputs, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    write_rows(inputs, ROWS)
    process = started(inputs, out, pause=5)
    lock = tmp_path / "out.jsonl.parts" / "manifest.json"
    while not lock.exists():
        time.sleep(0.01)
    with pytest.raises(TaskError, match=r"out\.jsonl: another process is writing it; wait until"):
        whole(inputs, out)
    process.kill()
    process.communicate()
    whole(inputs, out)
    check_rows(out, ROWS)


@pytest.mark.parametrize("jump", [-1e9, 1e6])
def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    inputs, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    write_rows(inputs, 3 * CHUNK)
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (jump if next(calls) % 3 else 0))
    whole(inputs, out)
    monkeypatch.undo()
    check_rows(out, 3 * CHUNK)


def test_an_input_that_vanishes_is_one_error_and_the_run_goes_on(tmp_path: Path) -> None:
    inputs, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    write_rows(inputs, ROWS)
    process = started(inputs, out, pause=0.05)
    parts = tmp_path / "out.jsonl.parts"
    while not [*parts.glob("part-*")]:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    inputs.rename(tmp_path / "away.csv")
    with pytest.raises(TaskError, match=r"in\.csv: No such file"):
        whole(inputs, out)
    done = whole(tmp_path / "away.csv", out)
    assert done.before > 0
    check_rows(out, ROWS)
