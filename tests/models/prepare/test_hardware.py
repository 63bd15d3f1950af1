from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from promptkit.models.prepare import hardware

ROOT = Path(hardware.__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not for us to choose")
def test_cores_that_this_process_may_use() -> None:
    source = (
        "import os; from promptkit.models.prepare.hardware import cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores())"
    )
    command = [sys.executable, "-c", source]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output(command, env=environment, text=True) == "1\n"
    assert 1 <= hardware.cores(physical=True) <= hardware.cores() <= len(os.sched_getaffinity(0))


def test_what_a_machine_has() -> None:
    assert hardware.free_memory() > 2**20
    assert hardware.processor().strip() == hardware.processor() != ""


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_cores_that_a_container_may_use(
    files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert hardware.container_limit(tmp_path) == limit
