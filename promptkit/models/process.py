"""llama.cpp in a process of its own, for what could end the process that does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from promptkit.errors import PromptkitError


class FailedError(Exception):
    """What a process of our own could not do, and why, in one line."""


def run(module: str, *arguments: str, seconds: float, doing: str) -> str:
    """What the module of `promptkit.models` prints, given these arguments.

    Raises `FailedError` for a refusal, a crash, or where `doing` it takes longer than `seconds`.
    """
    command = [sys.executable, "-m", f"promptkit.models.{module}", *arguments]
    source = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([source, *filter(None, sys.path)]),
        "GGML_NO_BACKTRACE": "1",  # printing one takes longer than the work
    }
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"{doing} took over {seconds} seconds") from None
    printed = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        # A crash says its reason, if any, on stderr; a refusal prints it.
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        crash = f"llama.cpp crashes on it ({' '.join(last) or 'killed'})"
        raise FailedError(printed.splitlines()[-1] if printed else crash)
    return printed


def serve(work: Callable[..., str]) -> NoReturn:
    """Does, in a process that `run` started, what was asked: prints the answer or the reason."""
    code = 0
    try:
        answer = work(*sys.argv[1:])
    except PromptkitError as error:
        answer, code = str(error).replace("\n", " "), 1
    print(answer)
    sys.stdout.flush()
    sys.exit(code)
