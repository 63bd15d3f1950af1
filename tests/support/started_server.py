"""Programs that serve a model, started on a free port and ended again."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx2


@contextmanager
def started(words: Sequence[str], folder: Path, seconds: float = 120) -> Iterator[str]:
    """Yield the URL of a server once it answers; `--port` is added to its words."""
    port = free_port()
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*words, "--port", str(port)], stdout=output, stderr=output, cwd=folder
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log, seconds)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    start = monotonic()
    while monotonic() - start < seconds:
        assert process.poll() is None, log.read_text("utf-8", "replace")[-2000:]
        try:
            # While it loads, llama.cpp's answers with 503.
            if httpx2.get(f"{url}/v1/models", timeout=5).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        sleep(0.2)
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])
