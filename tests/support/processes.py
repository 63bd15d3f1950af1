"""Code that may end or hang its process, run in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import promptkit

TESTS = Path(__file__).parent


def python(code: str, *arguments: object, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs code that imports promptkit and the helpers of the tests."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=seconds,
    )


def environment() -> dict[str, str]:
    """The environment of this process, with promptkit and the helpers on the path."""
    path = [str(Path(promptkit.__file__).parents[1]), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "GGML_NO_BACKTRACE": "1"}
