"""What models that share their memory have in common: the memory, and what their work cost."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

from promptkit.models.base import Usage
from promptkit.models.runtime.access import Access
from promptkit.models.runtime.context import Context
from promptkit.models.runtime.watched_file import WatchedFile


class Usages(threading.local):
    """What the work of each thread cost: a comparison says what its own did."""

    def __init__(self) -> None:
        self.usage = Usage()


class Resources:
    """The memory that models share; freed when the last of them goes away, or at once."""

    def __init__(self, lib: Any, model: Any, name: str, file: WatchedFile) -> None:
        """`model` is llama.cpp's pointer, `name` for messages, `file` what was loaded."""
        self._contexts: list[Context] = []
        self.file = file
        free = partial(_free, lib, model, self._contexts, file)
        self.access = Access(name, free, forks=not lib.llama_supports_gpu_offload())
        weakref.finalize(self, self.access.close)

    def add(self, context: Context) -> Context:
        """Have the context freed first."""
        self._contexts.append(context)
        return context


def _free(lib: Any, model: Any, contexts: Sequence[Context], file: WatchedFile) -> None:
    file.close()
    for context in contexts:
        context.close()
    lib.llama_model_free(model)
