"""The machine's processors and memory."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from functools import cache
from pathlib import Path


def cores(*, physical: bool = False) -> int:
    """Return the number of cores that this process may use, as affinity and containers limit it."""
    import psutil

    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    count = max(1, min(count, container_limit() or count))
    return min(count, psutil.cpu_count(logical=False) or count) if physical else count


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the cores that the control group of this process may keep busy, or None."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = (int(word) for n in names for word in (root / n).read_text().split())
        except (OSError, ValueError):  # not there, or "max"
            continue
        if quota > 0 < period:
            return math.ceil(quota / period)
    return None


def free_memory() -> int:
    """Return the bytes of memory that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


@cache
def processor() -> str:
    """Return the name of the processor."""
    try:
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
