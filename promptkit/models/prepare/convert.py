"""The conversion of a model file to another type of weights, in a process of its own.

llama.cpp converts the matrices and copies the rest, vocabulary and chat template included.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from promptkit.errors import ModelError
from promptkit.models.gguf.header import Header
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.isolated import FailedError, run, serve
from promptkit.models.prepare.model_files import ModelFile, verify
from promptkit.models.runtime.library import errors, forget_errors, library
from promptkit.translation import tr

FTYPES: Mapping[str, int] = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
"""The types that matrices can be converted to, with their numbers in `llama_ftype`."""

_RENEWED = ("general.file_type", "general.quantization_version")


def convert(file: ModelFile, kind: str, target: Path) -> ModelFile:
    """Write the model to `target` with its matrices as `kind`, one of `FTYPES`, and verify it.

    Raises `FailedError` where llama.cpp refuses, `ModelFileError` for a file that is not usable.
    """
    source = file.header
    run("convert", str(source.path), str(target), kind, seconds=900, doing=tr("converting it"))
    made = verify(target)
    if _described(source) != _described(made.header):
        raise FailedError(
            tr("llama.cpp changes more than its weights when it makes it {kind}", kind=kind)
        )
    return made


def _described(header: Header) -> object:
    """Return all of a header except for the storage of the weights."""
    metadata = {key: value for key, value in header.metadata.items() if key not in _RENEWED}
    types = {key: value for key, value in header.types.items() if key not in _RENEWED}
    # Dimensions of 1 at the end are not written again.
    shapes = {tensor.name: [*reversed(tensor.shape)] for tensor in header.tensors}
    for shape in shapes.values():
        while len(shape) > 1 and shape[0] == 1:
            del shape[0]
    return metadata, types, shapes


def main(source: str, target: str, kind: str) -> str:
    """Write `target`. Raises `ModelError`, also where a weight is too large for its new type."""
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.ftype = FTYPES[kind]
    params.allow_requantize = True
    params.nthread = cores()
    forget_errors()
    code = lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if code != 0:
        raise ModelError(
            tr(
                "llama.cpp cannot convert it to {kind}: {errors}",
                kind=kind,
                errors=errors() or tr("no reason given"),
            )
        )
    return ""


if __name__ == "__main__":
    serve(main)
