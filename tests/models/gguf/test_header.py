from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType
from gguf.gguf_writer import GGUFValue, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_gguf import CHATML, Edit, write_gemma3_swa, write_llama, write_mamba

from promptkit.errors import ModelFileError
from promptkit.models.gguf.checks import check_header
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.gguf.header_cursor import GGML_TYPES

# -- Files made byte by byte ---------------------------------------------------------------------


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def entry(key: bytes, kind: int, payload: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + payload


def tensor(name: bytes, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    dims = struct.pack(f"<I{len(shape)}q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


ARCHITECTURE = entry(b"general.architecture", 8, text(b"llama"))
ONE_TENSOR = [tensor(b"a.weight", [4, 2])]


def make(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    counts: tuple[int, int] | None = None,
    data: int = 4096,
    version: int = 3,
) -> bytes:
    entries = [ARCHITECTURE] if entries is None else entries
    tensors = ONE_TENSOR if tensors is None else tensors
    n_tensors, n_entries = counts or (len(tensors), len(entries))
    start = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_entries)
    return start + b"".join(entries + tensors) + bytes(data)


def refusal(path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        check_header(read_header(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))
    return message.removeprefix(f"{path}: ")


# -- What a good file says -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def good(folder: Path) -> Path:
    return write_llama(folder / "good.gguf", chat_template=CHATML)


def writers() -> dict[str, Callable[[Path, Edit | None], Path]]:
    return {
        "bpe": lambda path, edit: write_llama(path, edit=edit, chat_template=CHATML),
        "spm": lambda path, edit: write_llama(path, edit=edit, tokenizer="spm"),
        "gemma3": lambda path, edit: write_gemma3_swa(path, edit=edit),
        "mamba": lambda path, edit: write_mamba(path, edit=edit),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", writers())
def test_a_header_agrees_with_the_gguf_package(tmp_path: Path, kind: str) -> None:
    path = writers()[kind](tmp_path / "m.gguf", None)
    header, reader = read_header(path), gguf.GGUFReader(path)
    check_header(header)
    fields = {key: f for key, f in reader.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata == {key: f.contents() for key, f in fields.items()}
    assert [(t.name, t.shape, t.type, t.offset, t.nbytes, t.elements) for t in header.tensors] == [
        (t.name, tuple(t.shape), t.tensor_type.name, t.data_offset, t.n_bytes, t.n_elements)
        for t in reader.tensors
    ]
    assert (header.data_offset, header.file_size) == (reader.data_offset, path.stat().st_size)
    assert (header.path, header.version) == (path, 3)


def test_architecture_and_weight_type(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", weight_type=GGMLQuantizationType.Q4_1)
    header = read_header(str(path))
    assert (header.architecture, header.weight_type) == ("llama", "Q4_1")
    assert header.types["llama.context_length"] == "u32"
    assert header.types["tokenizer.ggml.token_type"] == "arr[i32]"
    assert "tokens" not in repr(header)


def test_every_value_type_is_read(tmp_path: Path) -> None:
    packed = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
    packed[12] = "d"
    entries = [ARCHITECTURE, entry(b"s", 8, text("ü".encode()))]
    for kind, code in packed.items():
        entries.append(entry(b"one%d" % kind, kind, struct.pack("<" + code, 1)))
        array = struct.pack(f"<IQ2{code}", kind, 2, 1, 0)
        entries.append(entry(b"two%d" % kind, 9, array))
    # A token may be a part of a character.
    entries.append(entry(b"raw", 9, struct.pack("<IQ", 8, 2) + text(b"\xc3") + text(b"")))
    path = tmp_path / "m.gguf"
    path.write_bytes(make(entries, version=2))
    header = read_header(path)
    assert header.version == 2
    assert header.metadata["s"] == "ü"
    for kind in packed:
        one, two = header.metadata[f"one{kind}"], header.metadata[f"two{kind}"]
        assert one == 1
        assert two == [1, 0]
        assert isinstance(one, bool) == (kind == 7)
        assert isinstance(one, float) == (kind in (6, 12))
    assert header.metadata["raw"] == ["\udcc3", ""]
    assert "\udcc3".encode("utf-8", "surrogateescape") == b"\xc3"


def test_ggml_types_agree_with_the_gguf_package() -> None:
    theirs = {t.value: (t.name, *size) for t, size in GGML_QUANT_SIZES.items()}
    # ggml's block_q8_1 holds two half floats; the package counts two whole ones.
    theirs[9] = ("Q8_1", 32, 2 * 2 + 32)
    assert theirs == {number: GGML_TYPES[number] for number in theirs}
    # The package may be older or newer than the table by a type or two.
    assert len(GGML_TYPES) - len(theirs) < 3


@pytest.mark.slow
def test_a_large_vocabulary_is_read_quickly(tmp_path: Path) -> None:
    count = 150_000
    tokens = b"".join(text(b"token%d" % index) for index in range(count))
    entries = [
        ARCHITECTURE,
        entry(b"tokens", 9, struct.pack("<IQ", 8, count) + tokens),
        entry(b"merges", 9, struct.pack("<IQ", 8, count) + tokens),
        entry(b"scores", 9, struct.pack("<IQ", 6, count) + bytes(4 * count)),
    ]
    path = tmp_path / "m.gguf"
    path.write_bytes(make(entries))
    times = []
    for _ in range(3):
        start = time.process_time()
        header = read_header(path)
        times.append(time.process_time() - start)
    tokens_read = header.metadata["tokens"]
    assert isinstance(tokens_read, list)
    assert tokens_read[-1] == "token149999"
    assert min(times) < 1.0


# -- What is not a GGUF file ---------------------------------------------------------------------


def test_paths_that_are_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path / "none.gguf") == "there is no such file"
    assert refusal(tmp_path) == "this is a folder, not a GGUF file"
    assert refusal(Path("/dev/null")) == "this is a device or a pipe, not a GGUF file"
    with pytest.raises(ModelFileError, match="cannot be read: embedded null byte"):
        read_header("a\0b")

    def forbidden(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "m.gguf").write_bytes(make())
    monkeypatch.setattr(Path, "open", forbidden)
    assert refusal(tmp_path / "m.gguf") == "cannot be read: Permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert refusal(tmp_path / "pipe.gguf") == "this is a device or a pipe, not a GGUF file"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"GG", "cut short: it has 2 bytes"),
        (b"\x10\0\0\0\0\0\0\0" + b'{"__metadata__":{}}', "a safetensors file; convert"),
        (b"PK\x03\x04rest", "a zip archive, perhaps a PyTorch checkpoint"),
        (b"\n <!DOCTYPE html><html>", "a web page, not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"lmgg\x01\0\0\0", "a GGML format from before GGUF"),
        (b"Not found", "not a GGUF file: it begins with b'Not foun' instead of b'GGUF'"),
        (b"GGUF", "cut short or damaged: the header needs 8 bytes, the file has 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "written for big-endian machines"),
        (make(version=0), "GGUF version 0; versions 2 and 3 are supported"),
        (make(version=1), "GGUF version 1; versions 2 and 3 are supported"),
        (make(version=4), "GGUF version 4; versions 2 and 3 are supported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_kinds_of_file(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in refusal(tmp_path / "m.gguf", content)


# -- Damage --------------------------------------------------------------------------------------

HUGE = 2**63
X = entry(b"x", 4, bytes(4))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (make(counts=(HUGE, 1)), f"it promises 1 metadata entries and {HUGE:,} tensors, more than"),
        (make(counts=(1, HUGE)), f"it promises {HUGE:,} metadata entries and 1 tensors, more than"),
        (make([text(b"k" * 20)[:12]], [], data=8), "the key of metadata entry 1 needs"),
        (
            make([struct.pack("<Q", HUGE)]),
            "the key of metadata entry 1 needs 9,223,372,036,854,775",
        ),
        (make([entry(b"", 4, bytes(4))]), "the key of metadata entry 1 is ''"),
        (make([entry(b"a\0b", 4, bytes(4))]), r"the key of metadata entry 1 is 'a\x00b'"),
        (make([entry(b"\xff", 4, bytes(4))]), r"the key of metadata entry 1 is not UTF-8: b'\xff'"),
        (make([ARCHITECTURE, X, X]), "the metadata key 'x' comes twice"),
        (make([entry(b"x", 13, b"")]), "the value of 'x' has the unknown value type 13"),
        (make([entry(b"x", 2**32 - 1, b"")]), "the value of 'x' has the unknown value type 42949"),
        (make([entry(b"x", 9, struct.pack("<IQ", 9, 1))]), "'x' has the unknown value type 9"),
        (make([entry(b"x", 8, struct.pack("<Q", HUGE))]), "the value of 'x' needs 9,223,372,036"),
        (make([entry(b"x", 9, struct.pack("<IQ", 4, HUGE))]), f"'x' claims {HUGE:,} items"),
        (make([entry(b"x", 9, struct.pack("<IQ", 4, 2**20))]), "the value of 'x' needs 4,194,"),
        (make([entry(b"x", 9, struct.pack("<IQ", 8, 2**20))]), "the value of 'x' needs "),
        (make([]), "general.architecture is None: not a complete model file"),
        (make([entry(b"general.architecture", 8, text(b""))]), "general.architecture is '': not"),
        (make([entry(b"general.architecture", 8, text(b"\xff"))]), "general.architecture is '\\u"),
        (make([entry(b"general.architecture", 4, bytes(4))]), "general.architecture is 0: not"),
        (make(tensors=[]), "it holds no tensors: only a vocabulary, or metadata"),
        (make(tensors=[tensor(b"", [4])]), "the entry of tensor 1 is ''"),
        (make(tensors=[tensor(b"\xff", [4])]), "the entry of tensor 1 is not UTF-8"),
        (make(tensors=[tensor(b"n" * 64, [4])]), "a tensor's name is too long: 'nnnn"),
        (make(tensors=[tensor(b"t", [])]), "tensor t has 0 dimensions, not 1 to 4"),
        (make(tensors=[tensor(b"t", [1] * 5)]), "tensor t has 5 dimensions, not 1 to 4"),
        (make(tensors=[tensor(b"t", [4, 0])]), "tensor t has the impossible shape (4, 0)"),
        (make(tensors=[tensor(b"t", [4, -4])]), "tensor t has the impossible shape (4, -4)"),
        (make(tensors=[tensor(b"t", [2**32] * 2)]), "tensor t has the impossible shape (4294967"),
        (make(tensors=[tensor(b"t", [32], 4)]), "tensor t has the ggml type 4, which is unknown"),
        (make(tensors=[tensor(b"t", [32], 99)]), "tensor t has the ggml type 99, which is unknown"),
        (
            make(tensors=[tensor(b"t", [48, 2], 2)]),
            "the rows of tensor t are 48 wide, not a multiple of the 32 of Q4_0",
        ),
        (
            make(tensors=[tensor(b"t", [8]), tensor(b"t", [8], 0, 32)]),
            "the tensor t comes twice",
        ),
        (
            make(tensors=[tensor(b"t", [4], 0, 8)]),
            "the data of tensor t is said to begin at 8, but the tensors before it end at 0",
        ),
        (
            make(tensors=[tensor(b"t", [64]), tensor(b"u", [4], 0, 128)]),
            "tensor u is said to begin at 128, but the tensors before it end at 256",
        ),
        (make(tensors=[tensor(b"t", [2**40])]), "cut short: it promises 4,398,046,511,232 bytes"),
        (make(data=0), "cut short: it promises 160 bytes and has 117; copy or download it again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in refusal(tmp_path / "m.gguf", content)


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (4, struct.pack("<I", 0), "general.alignment is 0, not a power of two"),
        (4, struct.pack("<I", 48), "general.alignment is 48, not a power of two"),
        (10, struct.pack("<Q", 32), "general.alignment is 32, not an unsigned integer"),
        (8, text(b"32"), "general.alignment is '32', not an unsigned integer"),
    ],
)
def test_bad_alignment(tmp_path: Path, kind: int, payload: bytes, expected: str) -> None:
    content = make([ARCHITECTURE, entry(b"general.alignment", kind, payload)])
    assert expected in refusal(tmp_path / "m.gguf", content)


def test_a_part_of_a_split_model(tmp_path: Path) -> None:
    split = entry(b"split.count", 2, struct.pack("<H", 3))
    message = refusal(tmp_path / "m.gguf", make([ARCHITECTURE, split]))
    assert message.startswith("one of 3 parts of a split model; join them first")
    split = entry(b"split.count", 2, struct.pack("<H", 1))
    (tmp_path / "m.gguf").write_bytes(make([ARCHITECTURE, split]))
    read_header(tmp_path / "m.gguf")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path, good: Path) -> None:
    whole, header = good.read_bytes(), read_header(good)
    last = header.tensors[-1]
    path = tmp_path / "cut.gguf"
    step = header.data_offset // 150
    for size in [*range(1, header.data_offset, step), last.offset, last.offset + last.nbytes - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match="cut short"):
            read_header(path)
    message = refusal(path)
    assert message.startswith(f"cut short: it promises {last.offset + last.nbytes:,} bytes and has")


# -- What llama.cpp would abort on ---------------------------------------------------------------

NAN = float("nan")
U32, I32, F32, BOOL = (
    *(GGUFValueType.UINT32, GGUFValueType.INT32, GGUFValueType.FLOAT32, GGUFValueType.BOOL),
)
STRING, ARRAY = GGUFValueType.STRING, GGUFValueType.ARRAY


def put(key: str, value: object, kind: GGUFValueType, items: GGUFValueType | None = None) -> Edit:
    """Sets a metadata value; `items` is the type of an array's items."""

    def edit(writer: GGUFWriter) -> None:
        writer.kv_data[0][key] = GGUFValue(value, kind, items)

    return edit


def drop(key: str) -> Edit:
    def edit(writer: GGUFWriter) -> None:
        del writer.kv_data[0][key]

    return edit


def items(key: str, change: Callable[[list[object]], list[object]]) -> Edit:
    """Changes the items of an array in the metadata."""

    def edit(writer: GGUFWriter) -> None:
        old = writer.kv_data[0][key]
        new = change(list(old.value))
        writer.kv_data[0][key] = GGUFValue(new, ARRAY, old.sub_type)

    return edit


def retype(name: str, kind: GGMLQuantizationType) -> Edit:
    """Calls a tensor's four-byte weights something else of four bytes."""

    def edit(writer: GGUFWriter) -> None:
        writer.tensors[0][name].dtype = kind

    return edit


def aligned(alignment: int, padding: int) -> Edit:
    def edit(writer: GGUFWriter) -> None:
        writer.add_custom_alignment(alignment)
        writer.add_string("padding", "x" * padding)

    return edit


def both(first: Edit, second: Edit) -> Edit:
    def edit(writer: GGUFWriter) -> None:
        first(writer)
        second(writer)

    return edit


def rwkv_without(*left_out: str) -> Callable[[list[object]], list[object]]:
    """Tokens as RWKV writes them, some bytes left out."""

    def change(tokens: list[object]) -> list[object]:
        alone = [RWKV_BYTES.get(byte, f"\\x{byte:02x}") for byte in range(256)]
        return [*(t for t in alone if t not in left_out), *(f"w{i}" for i in range(len(tokens)))][
            : len(tokens)
        ]

    return change


RWKV_BYTES = {byte: chr(byte) for byte in range(33, 127)} | {9: "\\t", 10: "\\n", 92: "\\\\"}


TOKENS, SCORES, KINDS = (f"tokenizer.ggml.{n}" for n in ("tokens", "scores", "token_type"))
UNSAFE: list[tuple[str, Edit, str]] = [
    ("bpe", drop("llama.context_length"), "llama.context_length is missing"),
    ("bpe", put("llama.context_length", 0, U32), "llama.context_length is 0 (u32); it must be a u"),
    ("bpe", put("llama.context_length", 512, I32), "llama.context_length is 512 (i32); it must be"),
    ("bpe", put("llama.embedding_length", "x", STRING), "llama.embedding_length is 'x' (str)"),
    ("bpe", put("llama.block_count", 0, U32), "llama.block_count is 0 (u32)"),
    ("bpe", put("llama.block_count", 513, U32), "it must be a u32 from 1 to 512"),
    (
        "bpe",
        put("llama.attention.head_count", 0, U32),
        "head_count is 0 (u32); it must be positive",
    ),
    ("bpe", drop("llama.attention.head_count"), "head_count is missing; it must be positive"),
    (
        "bpe",
        put("llama.attention.head_count_kv", 3, U32),
        "head_count is 4 (u32); it must be a mul",
    ),
    ("bpe", put("llama.attention.layer_norm_rms_epsilon", -1.0, F32), "an f32 from 0 to 1"),
    ("bpe", put("llama.attention.layer_norm_rms_epsilon", NAN, F32), "epsilon is nan (f32)"),
    ("bpe", put("llama.rope.scaling.type", "su", STRING), "rope.scaling.type is 'su' (str)"),
    ("bpe", put("llama.rope.dimension_count", 7, U32), "must be even, and at most 8"),
    ("bpe", put("llama.nextn_predict_layers", 3, U32), "nextn_predict_layers is 3 (u32); it must"),
    ("bpe", put("llama.expert_used_count", 1, U32), "must be fitting the 0 experts"),
    ("bpe", put("llama.expert_used_count", [1, 1], ARRAY), "must be fitting the 0 experts"),
    ("bpe", put("llama.expert_count", 2000, U32), "expert_count is 2000 (u32)"),
    ("bpe", put("llama.expert_count", 8, U32), "expert_used_count is missing"),
    ("bpe", put("llama.expert_group_count", 2, U32), "expert_group_count is 2 (u32)"),
    (
        "bpe",
        both(
            both(put("llama.expert_count", 8, U32), put("llama.expert_used_count", 2, U32)),
            put("llama.expert_group_count", 4, U32),
        ),
        "expert_group_used_count is missing; it must be fitting the 4 groups",
    ),
    ("gemma3", put("gemma3.rope.dimension_count", 0, U32), "must be even, and at most 16"),
    ("gemma3", put("gemma3.rope.dimension_count_swa", 32, U32), "must be even, and at most 16"),
    ("gemma3", put("gemma3.attention.sliding_window_pattern", 1, U32), "a pattern with sliding"),
    (
        "gemma3",
        put("gemma3.attention.sliding_window_pattern", [0, 0], ARRAY, U32),
        "a pattern with sliding layers",
    ),
    ("mamba", drop("mamba.block_count"), "mamba.block_count is missing"),
    ("bpe", drop("tokenizer.ggml.model"), "tokenizer.ggml.model is missing"),
    ("bpe", put("tokenizer.ggml.model", "no_vocab", STRING), "tokenizer.ggml.model is 'no_vocab'"),
    ("bpe", put("tokenizer.ggml.model", "test", STRING), "tokenizer.ggml.model is 'test' (str)"),
    ("bpe", put("tokenizer.ggml.model", 1, U32), "tokenizer.ggml.model is 1 (u32)"),
    ("bpe", put("tokenizer.ggml.pre", "whitespace", STRING), "pre is 'whitespace' (str)"),
    ("bpe", drop(TOKENS), "tokenizer.ggml.tokens is missing; it must be a list of strings"),
    ("bpe", put(TOKENS, [1, 2], ARRAY, I32), "tokens is [1, 2] (arr[i32])"),
    ("bpe", put(TOKENS, "x", STRING), "tokens is 'x' (str); it must be a list of strings"),
    ("bpe", put("tokenizer.ggml.merges", [1], ARRAY, I32), "merges is [1] (arr[i32])"),
    ("bpe", items(KINDS, lambda kinds: kinds[:-1]), "must be a list of 325 numbers, arr[i32]"),
    ("bpe", put(KINDS, [1.0] * 325, ARRAY, F32), "(arr[f32]); it must be a list of 325 numbers"),
    ("spm", items(SCORES, lambda scores: scores[1:]), "must be a list of 423 numbers, arr[f32]"),
    ("spm", put(SCORES, 1.0, F32), "scores is 1.0 (f32); it must be a list"),
    ("spm", items(SCORES, lambda scores: [*scores[1:], NAN]), "scores holds NaN"),
    ("spm", items(TOKENS, lambda tokens: [*tokens[:-1], "▁the"]), "the token '▁the' is 2 times"),
    ("bpe", items(TOKENS, lambda tokens: [*tokens[:-1], "a\0b"]), "the token 'a' is 2 times in"),
    (
        "bpe",
        items(TOKENS, lambda tokens: [*tokens[:-2], "[EMPTY_324]", ""]),
        "the token '[EMPTY_324]' is 2 times",
    ),
    (
        "spm",
        items(TOKENS, lambda tokens: [t if t != "<0x0A>" else "ten" for t in tokens]),
        "the vocabulary lacks the byte token <0x0A>",
    ),
    (
        "bpe",
        both(put("tokenizer.ggml.model", "rwkv", STRING), items(TOKENS, rwkv_without("\\n"))),
        "the vocabulary lacks a token for the byte 0x0A",
    ),
    ("bpe", put("tokenizer.ggml.bos_token_id", 325, U32), "a u32 below 325, the size of the voc"),
    ("bpe", put("tokenizer.ggml.eos_token_id", 2, I32), "eos_token_id is 2 (i32); it must be a u"),
    ("bpe", put("tokenizer.ggml.add_bos_token", 1, U32), "add_bos_token is 1 (u32); it must be t"),
    (
        "bpe",
        both(drop("tokenizer.ggml.bos_token_id"), put("tokenizer.ggml.add_bos_token", True, BOOL)),
        "bos_token_id is missing; it must be there, as add_bos_token is true",
    ),
    (
        "bpe",
        retype("blk.0.attn_q.weight", GGMLQuantizationType.I32),
        "attn_q.weight is of type I32",
    ),
    ("bpe", retype("output_norm.weight", GGMLQuantizationType.I32), "it must be F32"),
    ("mamba", retype("blk.1.ssm_d", GGMLQuantizationType.I32), "it must be F32"),
]


@pytest.mark.parametrize(("kind", "edit", "expected"), UNSAFE, ids=[row[2] for row in UNSAFE])
def test_what_llama_cpp_would_abort_on(
    tmp_path: Path, kind: str, edit: Edit, expected: str
) -> None:
    path = writers()[kind](tmp_path / "m.gguf", edit)
    read_header(path)
    message = refusal(path)
    assert message.startswith("llama.cpp could not use it safely: ")
    assert expected in message


def test_tensor_data_that_is_not_aligned(tmp_path: Path) -> None:
    messages = []
    for padding in range(0, 32, 8):
        path = write_llama(tmp_path / f"{padding}.gguf", edit=aligned(8, padding))
        if read_header(path).data_offset % 32:
            messages.append(refusal(path))
    assert len(messages) == 3
    assert messages[0].endswith("the data of tensor token_embd.weight is not 32-byte aligned")


def test_a_chat_template_that_is_not_text(tmp_path: Path, good: Path) -> None:
    broken = good.read_bytes().replace(b"assistant\n", b"assist\xffnt\n")
    assert "tokenizer.chat_template is " in refusal(tmp_path / "m.gguf", broken)


def test_harmless_oddities_are_accepted(tmp_path: Path) -> None:
    edits = [
        put("tokenizer.ggml.padding_token_id", 2**32 - 1, U32),
        put("tokenizer.ggml.bos_token_id", 0, U32),
        drop("llama.attention.head_count_kv"),
        put("llama.attention.head_count", [4, 4], ARRAY, U32),
        drop(KINDS),
    ]
    for edit in edits:
        check_header(read_header(write_llama(tmp_path / "m.gguf", edit=edit)))


# -- Chance --------------------------------------------------------------------------------------


def accepted(path: Path) -> Header | None:
    """The header, or `None` if the file was refused as it should be; quick in either case."""
    start = time.process_time()
    try:
        header = read_header(path)
        check_header(header)
    except ModelFileError:
        header = None
    assert time.process_time() - start < 2.0
    return header


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_else(folder: Path, good: Path, data: st.DataObject) -> None:
    content = bytearray(good.read_bytes())
    end = read_header(good).data_offset
    places = st.integers(0, end - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(places)
        match data.draw(st.sampled_from(["flip", "number", "insert", "delete", "cut"])):
            case "flip":
                if at < len(content):
                    content[at] ^= data.draw(st.integers(1, 255))
            case "number":
                number = data.draw(st.sampled_from([0, 1, 255, 2**31, 2**32, 2**63, 2**64 - 1]))
                content[at : at + 8] = struct.pack("<Q", number)
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=40))
            case "delete":
                del content[at : at + data.draw(st.integers(1, 40))]
            case "cut":
                del content[at:]
    path = folder / "chance.gguf"
    path.write_bytes(content)
    accepted(path)


# Each file is loaded, tokenized with and decoded in a process of its own, forked from this one.
TRIAL = r"""
import ctypes, os, signal, sys
import llama_cpp as L

quiet = L.llama_log_callback(lambda *_: None)
L.llama_log_set(quiet, ctypes.c_void_p(0))
L.llama_backend_init()

def trial(path):
    model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
    if not model:
        return "refused"
    params = L.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 64, 64
    params.n_threads = params.n_threads_batch = 1
    context = L.llama_init_from_model(model, params)
    if not context:
        return "refused"
    vocabulary, ids = L.llama_model_get_vocab(model), (L.llama_token * 400)()
    text = "The pome\n</s><|im_end|> \u00fc \u6f22\0 x12".encode()
    for flags in range(4):
        n = L.llama_tokenize(vocabulary, text, len(text), ids, 400, bool(flags & 1), flags > 1)
    piece = ctypes.create_string_buffer(4096)
    for token in range(L.llama_vocab_n_tokens(vocabulary)):
        L.llama_token_to_piece(vocabulary, token, piece, 4096, 0, True)
    if n > 0:
        L.llama_decode(context, L.llama_batch_get_one(ids, min(n, 40)))
    return "loaded"

for path in sys.stdin.read().splitlines():
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os.write(w, trial(path).encode())
        os._exit(0)
    os.close(w)
    _, status = os.waitpid(child, 0)
    print(os.read(r, 100).decode() if status == 0 else f"died {status}", flush=True)
    os.close(r)
"""


def trials(paths: list[Path]) -> list[str]:
    """What llama.cpp makes of each file: "loaded", "refused" or "died" with a wait status."""
    done = subprocess.run(
        [sys.executable, "-c", TRIAL],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        # An abort prints a backtrace otherwise, made by a debugger if there is one.
        env=os.environ | {"GGML_NO_BACKTRACE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")[: len(paths)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_is_accepted_does_not_kill_llama_cpp(tmp_path: Path) -> None:
    paths = []
    for kind, write in writers().items():
        whole = write(tmp_path / f"{kind}.gguf", None).read_bytes()
        end, chance = read_header(tmp_path / f"{kind}.gguf").data_offset, random.Random(kind)
        paths.append(tmp_path / f"{kind}.gguf")
        for number in range(60):
            content = bytearray(whole)
            for _ in range(chance.choice([1, 1, 2, 4])):
                at = chance.randrange(end)
                if chance.random() < 0.5:
                    content[at] ^= 1 << chance.randrange(8)
                else:
                    content[at] = chance.choice([0, 1, 2, 5, 127, 255])
            # Damage in the weights as well, and in how many of them there are.
            size = chance.choice([len(content)] * 3 + [chance.randrange(end, len(content))])
            for at in chance.sample(range(end, len(content)), 20):
                content[at] = chance.randrange(256)
            path = tmp_path / f"{kind}-{number}.gguf"
            path.write_bytes(content[:size])
            if accepted(path):
                paths.append(path)
    outcomes = dict(zip(paths, trials(paths), strict=True))
    assert len(outcomes) > 40
    assert {path: end for path, end in outcomes.items() if end not in ("loaded", "refused")} == {}
    assert [outcomes[tmp_path / f"{kind}.gguf"] for kind in writers()] == ["loaded"] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_checks_are_needed(tmp_path: Path) -> None:
    deadly = [
        ("bpe", put("llama.block_count", 0, U32)),
        ("bpe", put("llama.rope.scaling.type", "su", STRING)),
        ("bpe", put("tokenizer.ggml.model", "no_vocab", STRING)),
        ("bpe", items(TOKENS, lambda tokens: [*tokens[:-1], "a"])),
        ("bpe", items(TOKENS, lambda tokens: [*tokens[:-1], "a\0b"])),
        ("bpe", retype("blk.0.attn_q.weight", GGMLQuantizationType.I32)),
        ("bpe", aligned(8, 8)),
        ("spm", items(TOKENS, lambda tokens: [t if t != "<0xE6>" else "x" * 9 for t in tokens])),
        ("gemma3", put("gemma3.rope.dimension_count", 3, U32)),
    ]
    paths = [writers()[kind](tmp_path / f"{n}.gguf", e) for n, (kind, e) in enumerate(deadly)]
    for path in paths:
        refusal(path)
    outcomes = trials(paths)
    # A later llama.cpp may well refuse some of these without dying.
    assert sum(outcome.startswith("died") for outcome in outcomes) > len(deadly) // 2, outcomes


def test_the_tiny_models_tokenize_as_they_promise(tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True

    def tokenize(path: Path, prompt: str, *, special: bool) -> list[int]:
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        raw, ids = prompt.encode(), (llama_cpp.llama_token * 100)()
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        n = llama_cpp.llama_tokenize(vocabulary, raw, len(raw), ids, 100, True, special)
        llama_cpp.llama_model_free(model)
        return list(ids[:n])

    bpe = write_llama(tmp_path / "bpe.gguf", words=(" stone",))
    tokens = read_header(bpe).metadata[TOKENS]
    assert isinstance(tokens, list)
    pieces = [tokens[i] for i in tokenize(bpe, " drupe stone pomegranate", special=False)]
    assert pieces == ["Ġdrupe", "Ġstone", "Ġpome", "gran", "ate"]
    assert tokenize(bpe, "<|im_end|>", special=True) == [2]
    assert 2 not in tokenize(bpe, "<|im_end|>", special=False)

    spm = write_llama(tmp_path / "spm.gguf", tokenizer="spm")
    tokens = read_header(spm).metadata[TOKENS]
    assert isinstance(tokens, list)
    pieces = [tokens[i] for i in tokenize(spm, "drupe", special=False)]
    assert pieces == ["<s>", "▁drupe"]
    # The trap: pieces of plain text that merge into a control token.
    pieces = [tokens[i] for i in tokenize(spm, "a</s>", special=False)]
    assert pieces == ["<s>", "▁a", "</s>"]
    assert tokenize(write_llama(tmp_path / "b.gguf", add_bos=True), "", special=False) == [1]


def test_the_writers_write_the_same_bytes_again(tmp_path: Path) -> None:
    for write in writers().values():
        first = write(tmp_path / "a.gguf", None).read_bytes()
        assert first == write(tmp_path / "b.gguf", None).read_bytes()
    other = write_llama(tmp_path / "c.gguf", seed=1).read_bytes()
    assert other != write_llama(tmp_path / "d.gguf", seed=2).read_bytes()
    assert np.frombuffer(other[:4], np.uint8).tobytes() == b"GGUF"
