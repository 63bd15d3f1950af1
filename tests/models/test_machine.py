from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from promptkit.models import machine

ROOT = Path(machine.__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not for us to choose")
def test_cores_that_this_process_may_use() -> None:
    source = (
        "import os; from promptkit.models.machine import cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores())"
    )
    command = [sys.executable, "-c", source]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output(command, env=environment, text=True) == "1\n"
    assert 1 <= machine.cores(physical=True) <= machine.cores() <= len(os.sched_getaffinity(0))


def test_what_a_machine_has() -> None:
    assert machine.free_memory() > 2**20
    assert machine.processor().strip() == machine.processor() != ""
