"""Servers in processes of their own, on loopback, with a model that takes its time.

python tests/support/serving.py '{"delay": 0.1}'
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx2
from processes import environment
from pydantic import BaseModel

import promptkit as pk

EXAMPLE = Path(__file__).parents[2] / "examples" / "fruit"


class SlowModel(pk.FakeModel):
    """A fake model that sleeps for each batch, and fails for prompts about a word."""

    def __init__(self, delay: float, fails: str, context: int) -> None:
        super().__init__(context=context)
        self._delay, self._fails = delay, fails

    def score(self, prompts: Any) -> Iterator[Any]:
        if self._fails and any(self._fails in one.prompt.text for one in prompts):
            raise RuntimeError("this model fails")
        time.sleep(self._delay)
        yield from super().score(prompts)


def predictor(delay: float = 0.0, fails: str = "", context: int = 100_000) -> pk.Predictor:
    """The predictor of a server, which is the same in any process."""
    task = pk.load_task(EXAMPLE)
    return pk.Predictor(task, pk.Template.of(task), SlowModel(delay, fails, context), shots=2)


class Number(BaseModel):
    number: int


def scores() -> pk.Task[Any, Any]:
    """A task whose labels are levels."""
    return pk.Task[Number, Literal[2, 0, 1]](name="levels")


def truths() -> pk.Task[Any, Any]:
    """A task whose labels are true and false."""
    return pk.Task[Number, bool](name="truths")


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen[str]
    address: str

    def post(self, data: Any, path: str = "/predict", **more: Any) -> httpx2.Response:
        return httpx2.post(self.address + path, json=data, timeout=60, **more)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return httpx2.get(self.address + path, timeout=60, **more)

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and what was written to standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@contextmanager
def started(command: list[str]) -> Iterator[Server]:
    """Run a command that prints an address when it listens, and stop it at the end."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        address = next((word for word in words if word.startswith("http://")), "")
        assert address, process.communicate(timeout=60)
        yield Server(process, address)
    finally:
        process.kill()
        process.communicate(timeout=60)


@contextmanager
def serving(limits: Mapping[str, Any] | None = None, **settings: Any) -> Iterator[Server]:
    """Serve the predictor of these settings within limits."""
    options = json.dumps({"limits": limits or {}, "predictor": settings})
    with started([sys.executable, __file__, options]) as server:
        yield server


def main() -> None:
    from promptkit.serving.http_server import run_server
    from promptkit.serving.service_limits import ServiceLimits

    options = json.loads(sys.argv[1])
    run_server(
        predictor(**options["predictor"]),
        port=0,
        limits=ServiceLimits(**options["limits"]),
        ready=lambda address: print(address, flush=True),
        notify=lambda message: print(message, file=sys.stderr),
    )


if __name__ == "__main__":
    main()
