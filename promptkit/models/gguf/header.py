"""The header of a GGUF file, read before llama.cpp is given the file.

llama.cpp answers many kinds of damage by aborting the whole process, out of Python's reach.
`read_header` therefore walks the header with every count and length checked against the size
of the file. Whether a well-formed header describes a model that llama.cpp survives is for
`promptkit.models.gguf.checks` to judge.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from promptkit.errors import ModelFileError, shorten
from promptkit.models.gguf.header_cursor import MIN_ENTRY, MIN_TENSOR, HeaderCursor, TensorInfo
from promptkit.translation import tr


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
            return _read(HeaderCursor(file, path, status.st_size))
    except FileNotFoundError:
        raise ModelFileError(path, tr("there is no such file")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, tr("cannot be read: {reason}", reason=reason)) from error


def _read(cursor: HeaderCursor) -> Header:
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


def _read_start(cursor: HeaderCursor) -> tuple[int, int, int]:
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
    if n_entries * MIN_ENTRY + n_tensors * MIN_TENSOR > size - cursor.pos:
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


def _alignment(
    cursor: HeaderCursor, metadata: Mapping[str, object], types: Mapping[str, str]
) -> int:
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
    cursor: HeaderCursor, entries: Sequence[TensorInfo], data_offset: int, alignment: int
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
