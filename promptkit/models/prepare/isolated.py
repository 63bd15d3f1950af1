"""llama.cpp in a process of its own, for what could end the process that does it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from promptkit.errors import PromptkitError
from promptkit.translation import language, tr, use


class FailedError(Exception):
    """The reason, in one line, why a process of its own could not do its work."""


def run(module: str, *arguments: str, seconds: float, doing: str) -> str:
    """Return what a module of `promptkit.models.prepare` prints, given these arguments.

    Raises `FailedError` where it refuses or crashes, or `doing` it takes longer than `seconds`.
    """
    command = [sys.executable, "-m", f"promptkit.models.prepare.{module}", *arguments]
    source = str(Path(__file__).parents[3])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([source, *filter(None, sys.path)]),
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # a refusal may be in any script
        "PROMPTKIT_LANGUAGE": language(),
        "GGML_NO_BACKTRACE": "1",  # printing one takes longer than the work
    }
    lifeline, kept = os.pipe()  # it closes with this process, however that ends
    try:
        done = subprocess.run(
            command,
            stdin=lifeline,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(
            tr("{doing} took over {seconds} seconds", doing=doing, seconds=seconds)
        ) from None
    finally:
        os.close(lifeline)
        os.close(kept)
    printed = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        # A crash says its reason, if any, on stderr; a refusal prints it.
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        crash = tr(
            "llama.cpp crashes on it ({last})", last=" ".join(last) or _signal(done.returncode)
        )
        raise FailedError(printed.splitlines()[-1] if printed else crash)
    return printed


def _signal(code: int) -> str:
    """Return the cause of death of a process that printed none itself."""
    if code == -4:  # SIGILL, which Windows has not
        return tr(
            "illegal instruction: it was compiled for another processor, or with AMX "
            "by a compiler that gets it wrong, such as GCC 12; install "
            'llama-cpp-python again, with CMAKE_ARGS="-DGGML_NATIVE=OFF"'
        )
    return tr("killed")


def serve(work: Callable[..., str]) -> NoReturn:
    """Do the work of a process that `run` started: print the answer, or the reason of a failure."""
    _end_with_parent()
    use(os.environ.get("PROMPTKIT_LANGUAGE", "en"))
    try:
        answer, code = work(*sys.argv[1:]), 0
    except PromptkitError as error:
        reason = getattr(error, "reason", str(error))  # without the file's name
        answer, code = reason.replace("\n", " "), 1
    print(answer, flush=True)
    sys.exit(code)


def _end_with_parent() -> None:
    """Have this process end when the one that started it does, even if that is killed."""
    if sys.platform == "linux":  # at once, and where a fork of the parent holds the pipe open
        set_parent_death_signal = 1  # as Linux numbers what prctl does
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
