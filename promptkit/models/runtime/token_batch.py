"""A batch of tokens in llama.cpp's form, over numpy arrays."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from promptkit.models.planning.branches import Ints


class Batch:
    """A `llama_batch` over numpy arrays that are filled anew for every call."""

    def __init__(self, lib: Any, size: int) -> None:
        self._kinds = dict(lib.llama_batch._fields_)
        self._struct = lib.llama_batch()
        self._ones = np.ones(size, np.int32)
        self._token = self._array("token", np.zeros(size, np.int32))
        self._position = self._array("pos", np.zeros(size, np.int32))
        self._counts = self._array("n_seq_id", np.ones(size, np.int32))
        self._pointers = self._array("seq_id", np.zeros(size, np.uintp))
        self._output = self._array("logits", np.zeros(size, np.int8))

    def _array(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Let a field of the batch point to an array, which is returned."""
        setattr(self._struct, name, ctypes.cast(array.ctypes.data, self._kinds[name]))
        return array

    def fill(
        self,
        tokens: Ints,
        positions: Ints,
        sequences: Ints,
        outputs: Ints,
        counts: Ints | None = None,
    ) -> Any:
        """Return llama.cpp's batch of these tokens, with logits after those at `outputs`.

        `counts` has the number of sequences of each token; without it each has one.
        """
        count = len(tokens)
        each = self._ones[:count] if counts is None else counts
        self._sequences = np.ascontiguousarray(sequences, np.int32)  # the pointers lead there
        first = np.cumsum(each) - each
        self._token[:count] = tokens
        self._position[:count] = positions
        self._counts[:count] = each
        self._pointers[:count] = self._sequences.ctypes.data + self._sequences.itemsize * first
        self._output[:count] = 0
        self._output[outputs] = 1
        self._struct.n_tokens = count
        return self._struct

    def add(self, count: int, sequence: int) -> None:
        """Add so many tokens of a sequence that holds none, without logits."""
        start = self._struct.n_tokens
        end = start + count
        self._filling = np.array([sequence], np.int32)  # the pointers lead there
        self._token[start:end] = 0
        self._position[start:end] = np.arange(count)
        self._counts[start:end] = 1
        self._pointers[start:end] = self._filling.ctypes.data
        self._output[start:end] = 0
        self._struct.n_tokens = end
