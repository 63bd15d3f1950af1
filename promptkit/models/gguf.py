"""Reads and checks the header of a GGUF file before llama.cpp is given the file.

llama.cpp answers many kinds of damage by aborting the whole process, out of Python's reach.
`read_header` therefore walks the header with every count and length checked against the size
of the file, and `check_header` refuses what the file says in good order but llama.cpp would
abort on, while loading or later on while tokenizing and decoding. Both raise `ModelFileError`.

What is left to llama.cpp itself is what it reports without aborting: an architecture or a
tokenizer it does not know, a tensor that is missing or has another shape than it expects.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, prod
from pathlib import Path
from typing import BinaryIO

from promptkit.errors import ModelFileError, shorten

MAX_HEADER_BYTES = 128 * 1024 * 1024
"""Larger headers are refused; those of real models, vocabulary and all, stay below 32 MB."""
MAX_ARRAY_ITEMS = 4 * 1024 * 1024
"""Longer metadata arrays are refused; the largest real ones hold half a million merges."""
TENSOR_ALIGNMENT = 32
"""llama.cpp asserts that the tensor data it maps begins on a multiple of this many bytes."""

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
        """How many weights the tensor holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. Sizes and offsets are in bytes."""

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
    def weight_type(self) -> str:
        """The ggml type that holds the most weights of the matrices, like "Q4_1"."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.type] += tensor.elements if len(tensor.shape) > 1 else 0
        return counts.most_common(1)[0][0]


class _Cursor:
    """Moves forward over a file, reading ahead in growing steps, never past its end."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file, self.path, self.size = file, path, size
        self.data, self.pos = b"", 0

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(self.path, reason)

    def skip(self, count: int, what: str) -> int:
        """Moves on by `count` bytes, all of them in `data` afterwards; returns the old place."""
        start, end = self.pos, self.pos + count
        if end > self.size:
            raise self.error(
                f"cut short or damaged: {what} needs {end:,} bytes, the file has {self.size:,}"
            )
        if end > MAX_HEADER_BYTES:
            raise self.error(f"damaged: {what} reaches {end:,} bytes into the file, too far")
        if end > len(self.data):
            self.data += self.file.read(max(2 * end, 1 << 20) - len(self.data))
            if end > len(self.data):
                raise self.error("it changed while it was being read")
        self.pos = end
        return start

    def number(self, code: str, what: str) -> int:
        layout = struct.Struct("<" + code)
        start = self.skip(layout.size, what)
        return int(layout.unpack_from(self.data, start)[0])

    def name(self, what: str) -> str:
        """A key or a tensor's name: UTF-8, not empty, no NUL."""
        length = self.number("Q", what)
        start = self.skip(length, what)
        raw = self.data[start : self.pos]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise self.error(f"damaged: {what} is not UTF-8: {shorten(raw)}") from None
        if not text or "\0" in text:
            raise self.error(f"damaged: {what} is {shorten(text)}")
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
        """One metadata value and the name of its type."""
        what = f"the value of {shorten(key)}"
        kind, count, is_array = self.number("I", what), 1, False
        if kind == _ARRAY:
            kind, count, is_array = self.number("I", what), self.number("Q", what), True
        if kind not in _VALUE_TYPES:
            raise self.error(f"damaged: {what} has the unknown value type {kind}")
        if count > MAX_ARRAY_ITEMS:
            raise self.error(f"damaged: {what} claims {count:,} items")
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
        """One tensor's entry; its offset is still relative to the tensor data."""
        what = f"the entry of tensor {index + 1}"
        name = self.name(what)
        if len(name.encode()) >= 64:
            raise self.error(f"damaged: a tensor's name is too long: {shorten(name)}")
        dims = self.number("I", what)
        if not 1 <= dims <= 4:
            raise self.error(f"damaged: tensor {name} has {dims} dimensions, not 1 to 4")
        shape = tuple(self.number("q", what) for _ in range(dims))
        if min(shape) < 1 or prod(shape) >= 2**63:
            raise self.error(f"damaged: tensor {name} has the impossible shape {shape}")
        kind, offset = self.number("I", what), self.number("Q", what)
        if kind not in GGML_TYPES:
            raise self.error(
                f"tensor {name} has the ggml type {kind}, which is unknown or no longer supported"
            )
        type_name, block, block_bytes = GGML_TYPES[kind]
        if shape[0] % block:
            raise self.error(
                f"damaged: the rows of tensor {name} are {shape[0]} wide, "
                f"not a multiple of the {block} of {type_name}"
            )
        return TensorInfo(name, shape, type_name, offset, prod(shape) // block * block_bytes)


def read_header(path: str | Path) -> Header:
    """The header of the GGUF file at `path`; reads no tensor data.

    Raises `ModelFileError` if the file is missing, unreadable, no GGUF file of version 2 or 3,
    cut short, one part of a split model, or contradicts itself or its own size.
    """
    path = Path(path)
    try:
        # Asked before opening, since opening a pipe could wait for ever.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ModelFileError(path, "this is a folder, not a GGUF file")
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(path, "this is a device or a pipe, not a GGUF file")
        with path.open("rb") as file:
            return _read(_Cursor(file, path, status.st_size))
    except FileNotFoundError:
        raise ModelFileError(path, "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(path, f"cannot be read: {reason}") from error


def _read(cursor: _Cursor) -> Header:
    error, size = cursor.error, cursor.size
    start = cursor.file.read(512)
    cursor.data = start
    if start[:4] != b"GGUF":
        raise error(_not_gguf(start))
    cursor.skip(4, "the header")
    version = cursor.number("I", "the header")
    if version & 0xFFFF == 0 and version:
        raise error("written for big-endian machines; convert the model for little-endian ones")
    if version not in (2, 3):
        raise error(f"GGUF version {version}; versions 2 and 3 are supported")
    n_tensors, n_entries = cursor.number("Q", "the header"), cursor.number("Q", "the header")
    if n_entries * _MIN_ENTRY + n_tensors * _MIN_TENSOR > size - cursor.pos:
        raise error(
            f"cut short or damaged: it promises {n_entries:,} metadata entries and "
            f"{n_tensors:,} tensors, more than its {size:,} bytes can hold"
        )

    metadata: dict[str, object] = {}
    types: dict[str, str] = {}
    for index in range(n_entries):
        key = cursor.name(f"the key of metadata entry {index + 1}")
        if key in metadata:
            raise error(f"damaged: the metadata key {shorten(key)} comes twice")
        metadata[key], types[key] = cursor.value(key)
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture.isascii() or not architecture:
        raise error(f"general.architecture is {shorten(architecture)}: not a complete model file")
    parts = metadata.get("split.count", 1)
    if types.get("split.count", "u16") != "u16" or parts not in (0, 1):
        raise error(
            f"one of {shorten(parts)} parts of a split model; join them first with "
            "llama.cpp's llama-gguf-split --merge, or take the model in one file"
        )
    alignment = metadata.get("general.alignment", 32)
    if types.get("general.alignment", "u32") != "u32" or not isinstance(alignment, int):
        raise error(f"damaged: general.alignment is {shorten(alignment)}, not an unsigned integer")
    if alignment == 0 or alignment & (alignment - 1):
        raise error(f"damaged: general.alignment is {alignment}, not a power of two")

    entries = [cursor.tensor(index) for index in range(n_tensors)]
    if not entries:
        raise error("it holds no tensors: only a vocabulary, or metadata")
    data_offset = -(-cursor.pos // alignment) * alignment
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    expected = 0
    for entry in entries:
        if entry.name in names:
            raise error(f"damaged: the tensor {entry.name} comes twice")
        names.add(entry.name)
        # llama.cpp takes nothing but tensors laid end to end, so this finds overlaps as well.
        if entry.offset != expected:
            raise error(
                f"damaged: the data of tensor {entry.name} is said to begin at {entry.offset:,}, "
                f"but the tensors before it end at {expected:,} (alignment {alignment})"
            )
        first = data_offset + entry.offset
        tensors.append(TensorInfo(entry.name, entry.shape, entry.type, first, entry.nbytes))
        expected += -(-entry.nbytes // alignment) * alignment
    end = tensors[-1].offset + tensors[-1].nbytes
    if end > size:
        raise error(
            f"cut short: it promises {end:,} bytes and has {size:,}; copy or download it again"
        )
    return Header(cursor.path, version, metadata, types, tuple(tensors), data_offset, size)


def _not_gguf(start: bytes) -> str:
    """What a file that begins with `start` seems to be instead of GGUF."""
    text = start.lstrip().lower()
    if not start:
        return "the file is empty"
    if b"GGUF".startswith(start):
        return f"cut short: it has {len(start)} bytes"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the model itself; fetch it with: git lfs pull"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not a GGUF file; the download led to a page instead of the model"
    if start[8:10] == b'{"':
        return "a safetensors file; convert it to GGUF with llama.cpp's convert_hf_to_gguf.py"
    if start.startswith(b"PK\x03\x04"):
        return "a zip archive, perhaps a PyTorch checkpoint; convert the model to GGUF"
    if start[:4] in (b"lmgg", b"fmgg", b"tjgg", b"algg"):
        return "in a GGML format from before GGUF; convert or download the model anew"
    return f"not a GGUF file: it begins with {start[:8]!r} instead of b'GGUF'"


# -- What llama.cpp would abort on --------------------------------------------------------------

_RECURRENT = ("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")
_COUNT = 2**31 - 1
# Where each of these u32 is present, it must lie between the two bounds. An array instead, one
# number for each layer, is compared by llama.cpp itself.
_BOUNDS = (
    ("context_length", 1, _COUNT),
    ("embedding_length", 1, _COUNT),
    ("block_count", 1, 512),
    ("attention.head_count", 0, _COUNT),
    ("attention.head_count_kv", 0, _COUNT),
    ("attention.key_length", 1, _COUNT),
    ("attention.key_length_swa", 1, _COUNT),
    ("feed_forward_length", 0, _COUNT),
    ("expert_count", 0, 1024),
    ("expert_used_count", 0, 1024),
    ("expert_group_count", 0, 1024),
    ("expert_group_used_count", 0, 1024),
    ("nextn_predict_layers", 0, 512),
    ("rope.dimension_count", 0, _COUNT),
    ("rope.dimension_count_swa", 0, _COUNT),
)
# llama.cpp ignores other special ids that are out of range, such as padding, and published files
# have such ids. These decide how text becomes tokens and where generation ends.
_SPECIAL_IDS = ("bos", "eos", "eot", "eom", "unknown")
_ALWAYS_F32 = ("norm.weight", "rope_freqs.weight", ".ssm_a", ".ssm_d", ".ssm_conv1d.weight")
_NOT_FOR_MATRICES = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
# Every byte that occurs in valid UTF-8.
_TEXT_BYTES = (*range(0xC0), *range(0xC2, 0xF5))


def check_header(header: Header) -> None:
    """Refuses a header that llama.cpp would abort on, or that would make it misread text.

    Covers the sizes that most architectures share, the vocabulary and the types of the tensors.
    Raises `ModelFileError`.
    """
    _check_sizes(header)
    _check_vocabulary(header)
    for tensor in header.tensors:
        name, kind = tensor.name, tensor.type
        if tensor.offset % TENSOR_ALIGNMENT:
            raise _bad(header, f"the data of tensor {name} is not {TENSOR_ALIGNMENT}-byte aligned")
        # ggml's CPU code has nothing for these: it would abort, or call a null pointer.
        if len(tensor.shape) > 1 and kind in _NOT_FOR_MATRICES:
            raise _bad(header, f"tensor {name} is of type {kind}, which no matrix can have")
        is_bias = name.endswith(".bias") and len(tensor.shape) == 1
        if kind != "F32" and (is_bias or name.endswith(_ALWAYS_F32)):
            raise _bad(header, f"tensor {name} is of type {kind}; it must be F32")


def _bad(header: Header, reason: str) -> ModelFileError:
    return ModelFileError(header.path, f"llama.cpp could not use it safely: {reason}")


def _wrong(header: Header, key: str, want: str) -> ModelFileError:
    value, kind = header.metadata.get(key), header.types.get(key)
    shown = f"{shorten(value)} ({kind})" if kind else "missing"
    return _bad(header, f"{key} is {shown}; it must be {want}")


def _check_sizes(header: Header) -> None:
    metadata, types, arch = header.metadata, header.types, header.architecture
    sizes: dict[str, int] = {}
    for name, low, high in _BOUNDS:
        key = f"{arch}.{name}"
        value = metadata.get(key)
        if isinstance(value, int) and types[key] == "u32" and low <= value <= high:
            sizes[name] = value
        elif value is None and name not in ("context_length", "embedding_length", "block_count"):
            continue
        elif not isinstance(value, list) or low:
            raise _wrong(header, key, f"a u32 from {low} to {high}")

    heads, kv_heads = sizes.get("attention.head_count"), sizes.get("attention.head_count_kv")
    if arch not in _RECURRENT and not metadata.get(f"{arch}.attention.head_count"):
        raise _wrong(header, f"{arch}.attention.head_count", "positive")
    if heads and kv_heads and heads % kv_heads:
        raise _wrong(header, f"{arch}.attention.head_count", f"a multiple of {kv_heads} (_kv)")
    width = sizes.get("attention.key_length", sizes["embedding_length"] // (heads or 1))
    mixed = any(key.startswith((f"{arch}.ssm.", f"{arch}.attention.kv_lora")) for key in metadata)
    for suffix in ("", "_swa"):
        name = f"rope.dimension_count{suffix}"
        width, rotated = sizes.get(f"attention.key_length{suffix}", width), sizes.get(name)
        if rotated is not None and (rotated % 2 or rotated > width or not (rotated or mixed)):
            raise _wrong(header, f"{arch}.{name}", f"even, and at most {width}")
    if sizes.get("nextn_predict_layers", 0) > sizes["block_count"]:
        raise _wrong(header, f"{arch}.nextn_predict_layers", f"at most {sizes['block_count']}")

    experts, groups = sizes.get("expert_count", 0), sizes.get("expert_group_count", 0)
    used = metadata.get(f"{arch}.expert_used_count", 0)
    most = max((n for n in _list(used) if isinstance(n, int)), default=used)
    if not isinstance(most, int) or most > experts or (experts and not most):
        raise _wrong(header, f"{arch}.expert_used_count", f"fitting the {experts} experts")
    if groups and (groups >= experts or experts % groups):
        raise _wrong(header, f"{arch}.expert_group_count", f"fitting the {experts} experts")
    if groups > 1 and not 0 < sizes.get("expert_group_used_count", 0) < groups:
        raise _wrong(header, f"{arch}.expert_group_used_count", f"fitting the {groups} groups")

    for name in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        key = f"{arch}.attention.{name}"
        value = metadata.get(key, 0.0)
        if not isinstance(value, float) or not 0 <= value < 1:
            raise _wrong(header, key, "an f32 from 0 to 1")
    key = f"{arch}.rope.scaling.type"
    if metadata.get(key, "none") not in ("none", "linear", "yarn", "longrope"):
        raise _wrong(header, key, "none, linear, yarn or longrope")
    key = f"{arch}.attention.sliding_window_pattern"
    pattern = metadata.get(key)
    if arch.startswith("gemma") and (pattern == 1 or (pattern and not any(_list(pattern) or [1]))):
        raise _wrong(header, key, "a pattern with sliding layers")


def _check_vocabulary(header: Header) -> None:
    metadata, types = header.metadata, header.types
    prefix = "tokenizer.ggml."
    model, pre = metadata.get(prefix + "model"), metadata.get(prefix + "pre")
    if not isinstance(model, str) or model in ("", "none", "no_vocab"):
        raise _wrong(header, prefix + "model", "the kind of its vocabulary")
    if model == "gpt2" and pre == "whitespace":
        raise _wrong(header, prefix + "pre", "one that suits gpt2")
    tokens = _list(metadata.get(prefix + "tokens"))
    if not tokens or types[prefix + "tokens"] != "arr[str]":
        raise _wrong(header, prefix + "tokens", "a list of strings")
    if types.get(prefix + "merges", "arr[str]") != "arr[str]":
        raise _wrong(header, prefix + "merges", "a list of strings")
    for name, kinds in (("scores", ("arr[f32]", "arr[i32]")), ("token_type", ("arr[i32]",))):
        values = metadata.get(prefix + name)
        if values is None:
            continue
        if types[prefix + name] not in kinds or len(_list(values)) != len(tokens):
            raise _wrong(header, prefix + name, f"a list of {len(tokens)} numbers, {kinds[0]}")
        if any(isinstance(value, float) and isnan(value) for value in _list(values)):
            raise _bad(header, f"{prefix}{name} holds NaN")
    for key, text in metadata.items():
        if key.startswith("tokenizer.chat_template") and isinstance(text, str):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise _wrong(header, key, "UTF-8") from None

    # llama.cpp ends a token at a NUL, names an empty one by its id, and then asserts that all
    # are different.
    known = [
        str(token).partition("\0")[0] or f"[EMPTY_{index}]" for index, token in enumerate(tokens)
    ]
    distinct = set(known)
    if len(distinct) < len(known):
        token, times = Counter(known).most_common(1)[0]
        raise _bad(header, f"the token {shorten(token)} is {times} times in the vocabulary")
    if model == "llama":
        # Text that no other token spells falls back to these. Without them llama.cpp throws in
        # the middle of tokenizing, where nothing catches it.
        for byte in _TEXT_BYTES:
            raw = bytes([byte]).decode("utf-8", "surrogateescape")
            if f"<0x{byte:02X}>" not in distinct and raw not in distinct:
                raise _bad(header, f"the vocabulary lacks the byte token <0x{byte:02X}>")
    if model == "bert" and 6 in _list(metadata.get(prefix + "token_type")):
        raise _bad(header, "a WordPiece vocabulary with byte tokens")

    for name in _SPECIAL_IDS:
        key = f"{prefix}{name}_token_id"
        value = metadata.get(key, 0)
        if types.get(key, "u32") != "u32" or not isinstance(value, int) or value >= len(tokens):
            raise _wrong(header, key, f"a u32 below {len(tokens)}, the size of the vocabulary")
    for name in ("add_bos_token", "add_eos_token", "add_space_prefix"):
        if types.get(prefix + name, "bool") != "bool":
            raise _wrong(header, prefix + name, "true or false")
    for name in ("bos", "eos"):
        # Without an id of its own, llama.cpp takes 1 and 2 for SentencePiece, and a meaningless
        # 11 for BPE.
        wanted = metadata.get(f"{prefix}add_{name}_token", model == "llama" and name == "bos")
        known_id = f"{prefix}{name}_token_id" in metadata or (model == "llama" and len(tokens) > 2)
        if wanted and not known_id:
            raise _wrong(header, f"{prefix}{name}_token_id", f"there, as add_{name}_token is true")


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
