"""What this machine has: processors and memory."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path


def cores(*, physical: bool = False) -> int:
    """The cores that this process may use, as affinity and containers limit them."""
    import joblib
    import psutil

    count: int = joblib.cpu_count()
    return min(count, psutil.cpu_count(logical=False) or count) if physical else count


def free_memory() -> int:
    """Bytes of memory that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


@cache
def processor() -> str:
    """The name of the processor."""
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
