"""The header of a GGUF file, read before llama.cpp is given the file.

llama.cpp answers many kinds of damage by aborting the whole process, out of Python's reach.
`read_header` therefore walks the header with every count and length checked against the size
of the file. Whether a well-formed header describes a model that llama.cpp survives is for
`promptkit.models.gguf.checks` to judge.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
_MIN_ENTRY, _MIN_TENSOR = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8


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


@dataclass(frozen=True, slots=True)
class Header:
    """A GGUF file's description of itself. Sizes and offsets are in bytes."""

    path: Path
    version: int
    metadata: Mapping[str, object] = field(repr=False)
    """Scalars as Python values, arrays as lists. Strings that are not UTF-8, as token strings
    may be, carry their odd bytes as surrogates: `.encode("utf-8", "surrogateescape")` undoes it."""
    types: Mapping[str, str] = field(repr=False)
    """The stored type of each metadata value: "u32", "str", "arr[f32]"."""
    tensors: tuple[TensorInfo, ...] = field(repr=False)
    data_offset: int
    file_size: int

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the model's architecture, like "llama" or "gemma3"."""
        return str(self.metadata["general.architecture"])

    @property
    def cache_width(self) -> int:
        """The numbers that attention keeps for a token, over all layers; 0 where unknown."""
        layers = self._number("block_count")
        heads = self.metadata.get(f"{self.architecture}.attention.head_count_kv")
        if heads is None:
            heads = self._number("attention.head_count")
        queries = max(self._number("attention.head_count"), 1)
        head = self._number("embedding_length") // queries
        per_head = self._number("attention.key_length", head)
        per_head += self._number("attention.value_length", head)
        in_all = sum(map(int, heads)) if isinstance(heads, list) else layers * int(str(heads))
        return in_all * per_head

    @property
    def layers(self) -> int:
        """The layers that can run on a GPU, the output's included."""
        return self._number("block_count") + 1

    def _number(self, key: str, default: int = 0) -> int:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        return value if isinstance(value, int) else default

    @property
    def elements(self) -> int:
        """The number of weights of the model."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def weight_type(self) -> str:
        """The ggml type that holds the most weights of the matrices, like "Q4_1"."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.type] += tensor.elements if len(tensor.shape) > 1 else 0
        return counts.most_common(1)[0][0]


class _Cursor:
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


def read_header(path: str | Path) -> Header:
    """Return the header of the GGUF file at `path`, without reading tensor data.

    Raises:
        ModelFileError: The file is missing, unreadable, no GGUF file of version 2 or 3, cut short,
            one part of a split model, or contradicts itself or its own size.
    """
    path = Path(path)
    try:
        # Asked before opening, since opening a pipe could wait for ever.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ModelFileError(path, tr("this is a folder, not a GGUF file"))
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(path, tr("this is a device or a pipe, not a GGUF file"))
        with path.open("rb") as file:
            return _read(_Cursor(file, path, status.st_size))
    except FileNotFoundError:
        raise ModelFileError(path, tr("there is no such file")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, tr("cannot be read: {reason}", reason=reason)) from error


def _read(cursor: _Cursor) -> Header:
    version, n_tensors, n_entries = _read_start(cursor)
    metadata: dict[str, object] = {}
    types: dict[str, str] = {}
    for index in range(n_entries):
        key = cursor.name(tr("the key of metadata entry {index}", index=index + 1))
        if key in metadata:
            raise cursor.error(tr("damaged: the metadata key {key} comes twice", key=shorten(key)))
        metadata[key], types[key] = cursor.value(key)
    alignment = _alignment(cursor, metadata, types)
    entries = [cursor.tensor(index) for index in range(n_tensors)]
    if not entries:
        raise cursor.error(tr("it holds no tensors: only a vocabulary, or metadata"))
    data_offset = -(-cursor.pos // alignment) * alignment
    tensors = _placed(cursor, entries, data_offset, alignment)
    return Header(cursor.path, version, metadata, types, tensors, data_offset, cursor.size)


def _read_start(cursor: _Cursor) -> tuple[int, int, int]:
    """Return the version and the promised numbers of tensors and metadata entries."""
    error, size = cursor.error, cursor.size
    cursor.data = start = cursor.file.read(512)
    if start[:4] != b"GGUF":
        raise error(_not_gguf(start))
    cursor.skip(4, tr("the header"))
    version = cursor.number("I", tr("the header"))
    if version & 0xFFFF == 0 and version:
        raise error(tr("written for big-endian machines; convert the model for little-endian ones"))
    if version not in (2, 3):
        raise error(tr("GGUF version {version}; versions 2 and 3 are supported", version=version))
    n_tensors, n_entries = (
        cursor.number("Q", tr("the header")),
        cursor.number("Q", tr("the header")),
    )
    if n_entries * _MIN_ENTRY + n_tensors * _MIN_TENSOR > size - cursor.pos:
        raise error(
            tr(
                "cut short or damaged: it promises {n_entries:,} metadata entries and "
                "{n_tensors:,} tensors, more than its {size:,} bytes can hold",
                n_entries=n_entries,
                n_tensors=n_tensors,
                size=size,
            )
        )
    return version, n_tensors, n_entries


def _alignment(cursor: _Cursor, metadata: Mapping[str, object], types: Mapping[str, str]) -> int:
    """Return the alignment of tensors; raise `ModelFileError` for a file that is not whole."""
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture.isascii() or not architecture:
        raise cursor.error(
            tr(
                "general.architecture is {architecture}: not a complete model file",
                architecture=shorten(architecture),
            )
        )
    parts = metadata.get("split.count", 1)
    if types.get("split.count", "u16") != "u16" or parts not in (0, 1):
        raise cursor.error(
            tr(
                "one of {parts} parts of a split model; join them first with llama.cpp's "
                "llama-gguf-split --merge, or take the model in one file",
                parts=shorten(parts),
            )
        )
    alignment = metadata.get("general.alignment", 32)
    if types.get("general.alignment", "u32") != "u32" or not isinstance(alignment, int):
        raise cursor.error(
            tr(
                "damaged: general.alignment is {alignment}, not an unsigned integer",
                alignment=shorten(alignment),
            )
        )
    if alignment == 0 or alignment & (alignment - 1):
        raise cursor.error(
            tr("damaged: general.alignment is {alignment}, not a power of two", alignment=alignment)
        )
    return alignment


def _placed(
    cursor: _Cursor, entries: Sequence[TensorInfo], data_offset: int, alignment: int
) -> tuple[TensorInfo, ...]:
    """Return the tensors with their offsets in the file, which must hold them all."""
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    expected = 0
    for entry in entries:
        if entry.name in names:
            raise cursor.error(tr("damaged: the tensor {name} comes twice", name=entry.name))
        names.add(entry.name)
        # llama.cpp takes nothing but tensors laid end to end, so this finds overlaps as well.
        if entry.offset != expected:
            raise cursor.error(
                tr(
                    "damaged: the data of tensor {name} is said to begin at {offset:,}, but "
                    "the tensors before it end at {expected:,} (alignment {alignment})",
                    name=entry.name,
                    offset=entry.offset,
                    expected=expected,
                    alignment=alignment,
                )
            )
        tensors.append(replace(entry, offset=data_offset + entry.offset))
        expected += -(-entry.nbytes // alignment) * alignment
    end = tensors[-1].offset + tensors[-1].nbytes
    if end > cursor.size:
        raise cursor.error(
            tr(
                "cut short: it promises {end:,} bytes and has {size:,}; copy or download it again",
                end=end,
                size=cursor.size,
            )
        )
    return tuple(tensors)


def _not_gguf(start: bytes) -> str:
    """Return a description of a file that begins with `start` and is not GGUF."""
    text = start.lstrip().lower()
    if not start:
        return tr("the file is empty")
    if b"GGUF".startswith(start):
        return tr("cut short: it has {count} bytes", count=len(start))
    if start.startswith(b"version https://git-lfs"):
        return tr("a Git LFS pointer, not the model itself; fetch it with: git lfs pull")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return tr("a web page, not a GGUF file; the download led to a page instead of the model")
    if start[8:10] == b'{"':
        return tr("a safetensors file; convert it to GGUF with llama.cpp's convert_hf_to_gguf.py")
    if start.startswith(b"PK\x03\x04"):
        return tr("a zip archive, perhaps a PyTorch checkpoint; convert the model to GGUF")
    if start[:4] in (b"lmgg", b"fmgg", b"tjgg", b"algg"):
        return tr("in a GGML format from before GGUF; convert or download the model anew")
    return tr("not a GGUF file: it begins with {start!r} instead of b'GGUF'", start=start[:8])
