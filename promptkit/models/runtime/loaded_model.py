"""A model in llama.cpp's memory: loaded, shared by those that use it, and freed after them."""

from __future__ import annotations

import os
import re
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.gguf.file_size import AdapterSize
from promptkit.models.runtime.access import Access
from promptkit.models.runtime.library import errors, forget_errors, held_interrupts, library
from promptkit.translation import tr


class WatchedFile:
    """A model file that is watched for changes: llama.cpp maps it into memory.

    A file that is deleted or replaced later on stays what it was to those that have it open.
    """

    def __init__(self, path: Path, since: os.stat_result | None = None) -> None:
        """Open a file whose status was `since` when it was verified. Raises `ModelFileError`."""
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
            self.close = weakref.finalize(self, os.close, self._file)
            """Close the file."""
            self._before = since or os.fstat(self._file)
        except OSError as error:
            raise ModelFileError(
                path, tr("cannot be read: {strerror}", strerror=error.strerror or error)
            ) from None

    def check_loaded(self) -> None:
        """Check that what was loaded by this path is this file. Raises `ModelFileError`."""
        self.check()
        try:
            same = os.path.samestat(os.stat(self._path), self._before)
        except OSError:
            same = False
        if not same:
            raise ModelFileError(
                self._path, tr("it was replaced while it was loaded; load it again")
            )

    def check(self) -> None:
        """Check that nothing was written to it. Raises `ModelFileError`."""
        now, before = os.fstat(self._file), self._before
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise ModelFileError(self._path, tr("it changed while it was in use; load it again"))


class LoadedModel:
    """A model that llama.cpp has loaded, with the contexts that were opened on it.

    All of its memory is freed when the last object that refers to it goes away, or by
    `access.close()`.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        since: os.stat_result | None = None,
        check: bool = False,
        gpu_layers: int = 0,
    ) -> None:
        """Load a file that llama.cpp is known to survive, or one in a process of its own.

        Args:
            path: The model file.
            name: The model's name in messages; by default the file's.
            since: The file's status when it was verified, which may be some time ago.
            check: Have llama.cpp look at every weight.
            gpu_layers: The layers that run on a GPU.

        Raises:
            ModelFileError: The file cannot be read or loaded, or changed meanwhile.
        """
        lib = library()
        self.path = path
        self.file = WatchedFile(path, since)
        self.pointer = _load(path, check, gpu_layers)
        self._contexts: list[Any] = []
        free = partial(_free, self.pointer, self._contexts, self.file)
        self.access = Access(name or path.name, free, forks=not lib.llama_supports_gpu_offload())
        weakref.finalize(self, self.access.close)
        self.file.check_loaded()
        self.trained_length: int = lib.llama_model_n_ctx_train(self.pointer)
        """The longest sequence that the model was trained for, in tokens."""

    def context_length(self, asked: int | None, default: int) -> int:
        """Return the tokens of a context: as asked, else the default where the model allows it.

        Raises `ModelError` where the model was not trained for so many.
        """
        length = min(self.trained_length, default) if asked is None else asked
        if not 0 < length <= self.trained_length:
            raise ModelError(
                tr(
                    "a context of {length} tokens: {name} was trained for {trained_length}",
                    length=length,
                    name=self.path.name,
                    trained_length=self.trained_length,
                )
            )
        return length

    def open_context(self, params: Any, length: int, *, note: str = "") -> Any:
        """Return llama.cpp's pointer to a new context, which is freed with the model.

        Args:
            params: llama.cpp's parameters of the context.
            length: The longest sequence, in tokens, for the message of a failure.
            note: The end of the message of a failure.

        Raises:
            ModelError: There is not the memory, or llama.cpp cannot run the model so.
        """
        params.kv_unified = params.swa_full = params.no_perf = True
        forget_errors()
        with held_interrupts():
            context = library().llama_init_from_model(self.pointer, params)
        if not context:
            raise ModelError(
                tr(
                    "llama.cpp cannot make a context of {length} tokens: {errors}{note}",
                    length=length,
                    errors=errors() or tr("no reason given"),
                    note=note,
                )
            )
        self._contexts.append(context)
        return context


_UNSIZED = AdapterSize(0, 0)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that is loaded beside its model: a low-rank change (Hu et al. 2021).

    llama.cpp applies it while it decodes, so one loaded model serves with and without it.
    """

    pointer: Any
    """llama.cpp's pointer to it; it lives as long as the model."""
    sha256: str
    scale: float
    size: AdapterSize = _UNSIZED

    @property
    def identity(self) -> str:
        """The digest of its bytes, and the scale where it is not 1."""
        return self.sha256 if self.scale == 1 else f"{self.sha256} x {self.scale:g}"


def new_adapter(model: LoadedModel, path: Path) -> Any:
    """Return llama.cpp's pointer to an adapter; a damaged file can end the process.

    Raises `ModelFileError` where llama.cpp cannot load it.
    """
    forget_errors()
    pointer = library().llama_adapter_lora_init(model.pointer, os.fsencode(path))
    if not pointer:
        reason = errors() or tr("no reason given")
        raise ModelFileError(path, tr("llama.cpp cannot load the adapter: {reason}", reason=reason))
    return pointer


def _load(path: Path, check: bool, gpu_layers: int) -> Any:
    lib = library()
    params = lib.llama_model_default_params()
    params.check_tensors, params.n_gpu_layers = check, gpu_layers
    forget_errors()
    with held_interrupts() as interrupted:
        goes_on = lib.llama_progress_callback(lambda _share, _data: not interrupted())
        params.progress_callback = goes_on
        model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if model:
        return model
    reason = errors() or tr("no reason given")
    if damaged := re.search(r"tensor '([^']*)' has invalid data", reason):
        raise ModelFileError(
            path,
            tr(
                "tensor {damaged} holds numbers that are not finite; its weights are "
                "damaged: copy, download or convert it again",
                damaged=damaged[1],
            ),
        )
    raise ModelFileError(path, tr("llama.cpp cannot load it: {reason}", reason=reason))


def _free(model: Any, contexts: list[Any], file: WatchedFile) -> None:
    lib = library()
    file.close()
    for context in contexts:
        lib.llama_free(context)
    lib.llama_model_free(model)
