from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_gguf import write_llama

from promptkit.models.llama import LlamaModel
from promptkit.models.runtime import library as module
from promptkit.models.runtime.library import (
    SPINS,
    errors,
    forget_errors,
    held_interrupts,
    library,
    runtime,
)


def test_what_llama_cpp_says_goes_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    lib = library()
    caplog.set_level(logging.DEBUG, "promptkit.llama")
    params = lib.llama_model_default_params()
    model = lib.llama_model_load_from_file(str(write_llama(tmp_path / "m.gguf")).encode(), params)
    lib.llama_model_free(model)
    assert caplog.records
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert errors() == ""

    (tmp_path / "bad.gguf").write_bytes(b"GGUF\3\0\0\0")
    assert not lib.llama_model_load_from_file(str(tmp_path / "bad.gguf").encode(), params)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG, logging.WARNING}
    assert "failed" in errors()
    forget_errors()
    assert errors() == ""
    assert capfd.readouterr() == ("", "")


def test_runtime() -> None:
    name, version = runtime().split()
    assert name == "llama-cpp-python"
    assert version[0].isdigit()


def test_an_interrupt_waits_until_llama_cpp_returns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A handler of the log stands for the key press: it runs while llama.cpp loads.
    path = write_llama(tmp_path / "m.gguf")

    class Presses(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            signal.raise_signal(signal.SIGINT)

    caplog.set_level(logging.DEBUG, "promptkit.llama")
    handler = Presses()
    logging.getLogger("promptkit.llama").addHandler(handler)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            LlamaModel(path)
    finally:
        logging.getLogger("promptkit.llama").removeHandler(handler)
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupts_are_left_alone_outside_the_main_thread() -> None:
    def ask() -> None:
        with held_interrupts() as interrupted:
            told.append(interrupted())

    told: list[bool] = []
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert told == [False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({}, f"{SPINS} None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 7"),
        ({"OMP_WAIT_POLICY": "active"}, "None None"),
    ],
)
def test_threads_that_wait_sleep_soon_unless_told_otherwise(
    variables: dict[str, str], seen: str
) -> None:
    source = """
import os, sys

class Seen:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "llama_cpp":
            print(os.environ.get("GOMP_SPINCOUNT"), end=" ")

sys.meta_path.insert(0, Seen)
from promptkit.models.runtime.library import library
library()
print(os.environ.get("GOMP_SPINCOUNT"))
"""
    unset = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"PYTHONPATH": str(Path(module.__file__).parents[3]), **variables}
    command = [sys.executable, "-c", source]
    assert subprocess.check_output(command, env=environment, text=True) == f"{seen}\n"
