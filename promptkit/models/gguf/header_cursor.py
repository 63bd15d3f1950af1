"""A place in a GGUF file, from which the parts of its header are read one after the other."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from promptkit.errors import ModelFileError, shorten
from promptkit.translation import tr

MAX_HEADER_BYTES = 128 * 1024 * 1024
"""Larger headers are refused; those of real models, vocabulary and all, stay below 32 MB."""
MAX_ARRAY_ITEMS = 4 * 1024 * 1024
"""Longer metadata arrays are refused; the largest real ones hold half a million merges."""

GGML_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
    42: ("Q2_0", 64, 18),
}
"""ggml's tensor types by number: name, weights in a block, bytes in a block."""

_STRING, _ARRAY = 8, 9
_VALUE_TYPES: Mapping[int, tuple[str, str]] = {
    0: ("u8", "B"),
    1: ("i8", "b"),
    2: ("u16", "H"),
    3: ("i16", "h"),
    4: ("u32", "I"),
    5: ("i32", "i"),
    6: ("f32", "f"),
    7: ("bool", "B"),
    _STRING: ("str", ""),
    10: ("u64", "Q"),
    11: ("i64", "q"),
    12: ("f64", "d"),
}
# The least a metadata entry and a tensor entry can take: what bounds their promised numbers.
MIN_ENTRY, MIN_TENSOR = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as the header describes it; `offset` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    """Fastest-varying dimension first, as in the file."""
    type: str
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        """The number of weights in the tensor."""
        return prod(self.shape)


class HeaderCursor:
    """A position in a file, which is read ahead in growing steps, never past its end."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file, self.path, self.size = file, path, size
        self.data, self.pos = b"", 0

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.path, reason)

    def skip(self, count: int, what: str) -> int:
        """Move on by `count` bytes, all of them in `data` afterwards; return the old position."""
        start, end = self.pos, self.pos + count
        if end > self.size:
            raise self.error(
                tr(
                    "cut short or damaged: {what} needs {end:,} bytes, the file has {size:,}",
                    what=what,
                    end=end,
                    size=self.size,
                )
            )
        if end > MAX_HEADER_BYTES:
            raise self.error(
                tr(
                    "damaged: {what} reaches {end:,} bytes into the file, too far",
                    what=what,
                    end=end,
                )
            )
        if end > len(self.data):
            self.data += self.file.read(max(2 * end, 1 << 20) - len(self.data))
            if end > len(self.data):
                raise self.error(tr("it changed while it was being read"))
        self.pos = end
        return start

    def number(self, code: str, what: str) -> int:
        layout = struct.Struct("<" + code)
        start = self.skip(layout.size, what)
        return int(layout.unpack_from(self.data, start)[0])

    def name(self, what: str) -> str:
        """Return a key or a tensor's name: UTF-8, not empty, no NUL."""
        length = self.number("Q", what)
        start = self.skip(length, what)
        raw = self.data[start : self.pos]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise self.error(
                tr("damaged: {what} is not UTF-8: {raw}", what=what, raw=shorten(raw))
            ) from None
        if not text or "\0" in text:
            raise self.error(tr("damaged: {what} is {text}", what=what, text=shorten(text)))
        return text

    def strings(self, count: int, what: str) -> list[str]:
        # This loop runs half a million times for a large vocabulary, hence the local names.
        texts: list[str] = []
        unpack, data, pos = struct.Struct("<Q").unpack_from, self.data, self.pos
        for _ in range(count):
            end = pos + 8
            if end <= len(data):
                end += unpack(data, pos)[0]
            if end > len(data):
                self.pos = pos
                self.skip(self.number("Q", what), what)
                data, end = self.data, self.pos
            texts.append(data[pos + 8 : end].decode("utf-8", "surrogateescape"))
            pos = end
        self.pos = pos
        return texts

    def value(self, key: str) -> tuple[object, str]:
        """Return one metadata value and the name of its type."""
        what = tr("the value of {key}", key=shorten(key))
        kind, count, is_array = self.number("I", what), 1, False
        if kind == _ARRAY:
            kind, count, is_array = self.number("I", what), self.number("Q", what), True
        if kind not in _VALUE_TYPES:
            raise self.error(
                tr("damaged: {what} has the unknown value type {kind}", what=what, kind=kind)
            )
        if count > MAX_ARRAY_ITEMS:
            raise self.error(tr("damaged: {what} claims {count:,} items", what=what, count=count))
        name, code = _VALUE_TYPES[kind]
        items: list[object]
        if kind == _STRING:
            items = [*self.strings(count, what)]
        else:
            layout = f"<{count}{code}"
            start = self.skip(struct.calcsize(layout), what)
            items = [*struct.unpack_from(layout, self.data, start)]
            if name == "bool":
                items = [item != 0 for item in items]
        return (items, f"arr[{name}]") if is_array else (items[0], name)

    def tensor(self, index: int) -> TensorInfo:
        """Return one tensor's entry; its offset is still relative to the tensor data."""
        what = tr("the entry of tensor {index}", index=index + 1)
        name = self.name(what)
        if len(name.encode()) >= 64:
            raise self.error(tr("damaged: a tensor's name is too long: {name}", name=shorten(name)))
        dims = self.number("I", what)
        if not 1 <= dims <= 4:
            raise self.error(
                tr("damaged: tensor {name} has {dims} dimensions, not 1 to 4", name=name, dims=dims)
            )
        shape = tuple(self.number("q", what) for _ in range(dims))
        if min(shape) < 1 or prod(shape) >= 2**63:
            raise self.error(
                tr(
                    "damaged: tensor {name} has the impossible shape {shape}",
                    name=name,
                    shape=shape,
                )
            )
        kind, offset = self.number("I", what), self.number("Q", what)
        if kind not in GGML_TYPES:
            raise self.error(
                tr(
                    "tensor {name} has the ggml type {kind}, which is unknown or no longer "
                    "supported",
                    name=name,
                    kind=kind,
                )
            )
        type_name, block, block_bytes = GGML_TYPES[kind]
        if shape[0] % block:
            raise self.error(
                tr(
                    "damaged: the rows of tensor {name} are {shape} wide, not a multiple of "
                    "the {block} of {type_name}",
                    name=name,
                    shape=shape[0],
                    block=block,
                    type_name=type_name,
                )
            )
        return TensorInfo(name, shape, type_name, offset, prod(shape) // block * block_bytes)
