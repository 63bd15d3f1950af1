"""Writes a model file with other weights.

`python -m promptkit.models.convert SOURCE TARGET TYPE` does it, in a process of its own. llama.cpp
converts the matrices and copies the rest, vocabulary and chat template included.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from promptkit.errors import ModelError
from promptkit.models.gguf import Header, read_header
from promptkit.models.library import errors, forget_errors, library
from promptkit.models.machine import cores
from promptkit.models.process import FailedError, run, serve
from promptkit.models.weights import ModelFile, verify

FTYPES: Mapping[str, int] = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
"""What matrices can be converted to, as `llama_ftype` numbers it."""

SECONDS = 900
"""How long that may take."""

_EXPONENT = 0x7C00
"""The bits of an F16 number that are all set where it is infinite or none."""

_AT_ONCE = 2**24
_RENEWED = ("general.file_type", "general.quantization_version")


def convert(file: ModelFile, kind: str, target: Path) -> ModelFile:
    """Writes the model to `target` with its matrices as `kind`, one of `FTYPES`, and verifies it.

    Raises `FailedError` where llama.cpp refuses, and `ModelFileError` for what it wrote.
    """
    source = file.header
    run("convert", str(source.path), str(target), kind, seconds=SECONDS, doing="converting it")
    made = verify(target)
    if _described(source) != _described(made.header):
        raise FailedError(f"llama.cpp changes more than its weights when it makes it {kind}")
    return made


def _described(header: Header) -> object:
    """All that a header says except for how the weights are stored."""
    metadata = {key: value for key, value in header.metadata.items() if key not in _RENEWED}
    types = {key: value for key, value in header.types.items() if key not in _RENEWED}
    return metadata, types, {tensor.name: tensor.shape for tensor in header.tensors}


def main(source: str, target: str, kind: str) -> str:
    """Writes `target`. Raises `ModelError`."""
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype = FTYPES[kind]
    params.allow_requantize = True
    params.nthread = cores()
    forget_errors()
    code = lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if code != 0:
        raise ModelError(f"llama.cpp cannot convert it to {kind}: {errors() or 'no reason given'}")
    _check_finite(read_header(target))
    return ""


def _check_finite(header: Header) -> None:
    """Refuses a file in which a weight was too large for half precision."""
    for tensor in header.tensors:
        if tensor.type != "F16":
            continue
        bits = np.memmap(header.path, np.uint16, "r", tensor.offset, (tensor.elements,))
        for start in range(0, len(bits), _AT_ONCE):
            if (bits[start : start + _AT_ONCE] & _EXPONENT == _EXPONENT).any():
                raise ModelError(f"the weights of {tensor.name} are too large for F16")


if __name__ == "__main__":
    serve(main)
