from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tiny_gguf import write_llama

from promptkit.models.library import errors, forget_errors, library, runtime


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
