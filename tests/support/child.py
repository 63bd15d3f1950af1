"""A process that renders hostile templates, with little memory and a time limit."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Child:
    """A process that renders, with little memory and a time limit."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "hostile.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def ask(self, seconds: float = 60, **asked: Any) -> dict[str, Any]:
        """What became of a template; the test fails where that takes long, or kills it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asked).encode() + b"\n")
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], seconds)
        if not ready:
            self.end()
            pytest.fail(f"it still renders after {seconds:.0f} seconds")
        line = stdout.readline()
        assert line, "the process that renders has died"
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def lives(self) -> bool:
        """Whether the process can be asked."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()
