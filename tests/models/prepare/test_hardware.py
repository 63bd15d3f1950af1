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
