"""Checks of GGUF headers that llama.cpp would abort on, out of Python's reach.

That may be while loading, or later on while tokenizing and decoding. What is left to llama.cpp
itself is what it reports without aborting: an architecture or a tokenizer it does not know, a
tensor that is missing or has another shape than it expects.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import isnan

from promptkit.errors import ModelFileError, shorten
from promptkit.models.gguf.header import Header
from promptkit.translation import tr

TENSOR_ALIGNMENT = 32
"""llama.cpp asserts that the tensor data it maps begins on a multiple of this many bytes."""

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
_NEEDED = ("context_length", "embedding_length", "block_count")
_TOKENIZER = "tokenizer.ggml"
_MODEL = "tokenizer.ggml.model"
# llama.cpp ignores other special ids that are out of range, such as padding, and published files
# have such ids. These decide how text becomes tokens and where generation ends.
_SPECIAL_IDS = ("bos", "eos", "eot", "eom", "unknown")
_ALWAYS_F32 = ("norm.weight", "rope_freqs.weight", ".ssm_a", ".ssm_d", ".ssm_conv1d.weight")
_NOT_FOR_MATRICES = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
# How this vocabulary writes bytes that are no letters.
_RWKV_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_RWKV_LETTERS = {"t": "\t", "n": "\n", "r": "\r"}
# Every byte that occurs in valid UTF-8.
_TEXT_BYTES = (*range(0xC0), *range(0xC2, 0xF5))


def check_header(header: Header) -> None:
    """Raise `ModelFileError` for what llama.cpp would abort on, or misread text because of.

    That is the sizes that most architectures share, the vocabulary and the types of the tensors.
    """
    _check_sizes(header)
    _check_vocabulary(header)
    for tensor in header.tensors:
        name, kind = tensor.name, tensor.type
        if tensor.offset % TENSOR_ALIGNMENT:
            raise _bad(
                header,
                tr(
                    "the data of tensor {name} is not {TENSOR_ALIGNMENT}-byte aligned",
                    name=name,
                    TENSOR_ALIGNMENT=TENSOR_ALIGNMENT,
                ),
            )
        # ggml's CPU code has nothing for these: it would abort, or call a null pointer.
        if len(tensor.shape) > 1 and kind in _NOT_FOR_MATRICES:
            raise _bad(
                header,
                tr(
                    "tensor {name} is of type {kind}, which no matrix can have",
                    name=name,
                    kind=kind,
                ),
            )
        is_bias = name.endswith(".bias") and len(tensor.shape) == 1
        if kind != "F32" and (is_bias or name.endswith(_ALWAYS_F32)):
            raise _bad(
                header, tr("tensor {name} is of type {kind}; it must be F32", name=name, kind=kind)
            )


def _bad(header: Header, reason: str) -> ModelFileError:
    return ModelFileError(
        header.path, tr("llama.cpp could not use it safely: {reason}", reason=reason)
    )


def _wrong(header: Header, key: str, want: str) -> ModelFileError:
    value, kind = header.metadata.get(key), header.types.get(key)
    shown = f"{shorten(value)} ({kind})" if kind else "missing"
    return _bad(header, tr("{key} is {shown}; it must be {want}", key=key, shown=shown, want=want))


def _check_sizes(header: Header) -> None:
    sizes = _bounded_sizes(header)
    _check_heads(header, sizes)
    _check_experts(header, sizes)
    arch, metadata = header.architecture, header.metadata
    if sizes.get("nextn_predict_layers", 0) > sizes["block_count"]:
        raise _wrong(
            header,
            f"{arch}.nextn_predict_layers",
            tr("at most {sizes}", sizes=sizes["block_count"]),
        )
    for name in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        key = f"{arch}.attention.{name}"
        value = metadata.get(key, 0.0)
        if not isinstance(value, float) or not 0 <= value < 1:
            raise _wrong(header, key, tr("an f32 from 0 to 1"))
    key = f"{arch}.rope.scaling.type"
    if metadata.get(key, "none") not in ("none", "linear", "yarn", "longrope"):
        raise _wrong(header, key, tr("none, linear, yarn or longrope"))
    key = f"{arch}.attention.sliding_window_pattern"
    pattern = metadata.get(key)
    if arch.startswith("gemma") and (pattern == 1 or (pattern and not any(_list(pattern) or [1]))):
        raise _wrong(header, key, tr("a pattern with sliding layers"))


def _bounded_sizes(header: Header) -> Mapping[str, int]:
    """Return the sizes of `_BOUNDS` that the header gives as one number."""
    metadata, arch = header.metadata, header.architecture
    sizes: dict[str, int] = {}
    for name, low, high in _BOUNDS:
        key = f"{arch}.{name}"
        value = metadata.get(key)
        if isinstance(value, int) and header.types[key] == "u32" and low <= value <= high:
            sizes[name] = value
        elif value is None and name not in _NEEDED:
            continue
        elif not isinstance(value, list) or low:
            raise _wrong(header, key, tr("a u32 from {low} to {high}", low=low, high=high))
    return sizes


def _check_heads(header: Header, sizes: Mapping[str, int]) -> None:
    metadata, arch = header.metadata, header.architecture
    heads, kv_heads = sizes.get("attention.head_count"), sizes.get("attention.head_count_kv")
    if arch not in _RECURRENT and not metadata.get(f"{arch}.attention.head_count"):
        raise _wrong(header, f"{arch}.attention.head_count", "positive")
    if heads and kv_heads and heads % kv_heads:
        raise _wrong(
            header,
            f"{arch}.attention.head_count",
            tr("a multiple of {kv_heads} (_kv)", kv_heads=kv_heads),
        )
    width = sizes.get("attention.key_length", sizes["embedding_length"] // (heads or 1))
    mixed = any(key.startswith((f"{arch}.ssm.", f"{arch}.attention.kv_lora")) for key in metadata)
    for suffix in ("", "_swa"):
        name = f"rope.dimension_count{suffix}"
        width, rotated = sizes.get(f"attention.key_length{suffix}", width), sizes.get(name)
        if rotated is not None and (rotated % 2 or rotated > width or not (rotated or mixed)):
            raise _wrong(header, f"{arch}.{name}", tr("even, and at most {width}", width=width))


def _check_experts(header: Header, sizes: Mapping[str, int]) -> None:
    arch = header.architecture
    experts, groups = sizes.get("expert_count", 0), sizes.get("expert_group_count", 0)
    used = header.metadata.get(f"{arch}.expert_used_count", 0)
    most = max((n for n in _list(used) if isinstance(n, int)), default=used)
    if not isinstance(most, int) or most > experts or (experts and not most):
        raise _wrong(
            header,
            f"{arch}.expert_used_count",
            tr("fitting the {experts} experts", experts=experts),
        )
    if groups and (groups >= experts or experts % groups):
        raise _wrong(
            header,
            f"{arch}.expert_group_count",
            tr("fitting the {experts} experts", experts=experts),
        )
    if groups > 1 and not 0 < sizes.get("expert_group_used_count", 0) < groups:
        raise _wrong(
            header,
            f"{arch}.expert_group_used_count",
            tr("fitting the {groups} groups", groups=groups),
        )


def _check_vocabulary(header: Header) -> None:
    metadata = header.metadata
    model, pre = metadata.get(_MODEL), metadata.get(f"{_TOKENIZER}.pre")
    if not isinstance(model, str) or model in ("", "none", "no_vocab", "test"):
        raise _wrong(header, _MODEL, tr("the kind of its vocabulary"))
    if model == "gpt2" and pre == "whitespace":
        raise _wrong(header, f"{_TOKENIZER}.pre", tr("one that suits gpt2"))
    tokens = _list(metadata.get(f"{_TOKENIZER}.tokens"))
    _check_lists(header, tokens)
    _check_tokens(header, model, tokens)
    _check_special_tokens(header, model, len(tokens))
    for key, text in metadata.items():
        if key.startswith("tokenizer.chat_template") and isinstance(text, str):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise _wrong(header, key, "UTF-8") from None


def _check_lists(header: Header, tokens: list[object]) -> None:
    metadata, types = header.metadata, header.types
    key = f"{_TOKENIZER}.tokens"
    if not tokens or types[key] != "arr[str]":
        raise _wrong(header, key, tr("a list of strings"))
    key = f"{_TOKENIZER}.merges"
    if types.get(key, "arr[str]") != "arr[str]":
        raise _wrong(header, key, tr("a list of strings"))
    for name, kinds in (("scores", ("arr[f32]", "arr[i32]")), ("token_type", ("arr[i32]",))):
        key = f"{_TOKENIZER}.{name}"
        values = metadata.get(key)
        if values is None:
            continue
        if types[key] not in kinds or len(_list(values)) != len(tokens):
            raise _wrong(
                header,
                key,
                tr("a list of {count} numbers, {kinds}", count=len(tokens), kinds=kinds[0]),
            )
        if any(isinstance(value, float) and isnan(value) for value in _list(values)):
            raise _bad(header, tr("{key} holds NaN", key=key))


def _check_tokens(header: Header, model: str, tokens: list[object]) -> None:
    # llama.cpp ends a token at a NUL, names an empty one by its id, and then asserts that all
    # are different.
    known = [
        str(token).partition("\0")[0] or f"[EMPTY_{index}]" for index, token in enumerate(tokens)
    ]
    distinct = set(known)
    if len(distinct) < len(known):
        token, times = Counter(known).most_common(1)[0]
        raise _bad(
            header,
            tr(
                "the token {token} is {times} times in the vocabulary",
                token=shorten(token),
                times=times,
            ),
        )
    if model == "llama":
        # Text that no other token spells falls back to these. Without them llama.cpp throws in
        # the middle of tokenizing, where nothing catches it.
        for byte in _TEXT_BYTES:
            raw = bytes([byte]).decode("utf-8", "surrogateescape")
            if f"<0x{byte:02X}>" not in distinct and raw not in distinct:
                raise _bad(
                    header, tr("the vocabulary lacks the byte token <0x{byte:02X}>", byte=byte)
                )
    if model == "rwkv":
        # At a byte that begins a token and is none itself, llama.cpp goes round for ever.
        alone = {_RWKV_ESCAPE.sub(_unescaped, token) for token in distinct if len(token) <= 4}
        for byte in _TEXT_BYTES:
            if chr(byte) not in alone:
                raise _bad(
                    header, tr("the vocabulary lacks a token for the byte 0x{byte:02X}", byte=byte)
                )
    if model == "bert" and 6 in _list(header.metadata.get(f"{_TOKENIZER}.token_type")):
        raise _bad(header, tr("a WordPiece vocabulary with byte tokens"))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _RWKV_LETTERS.get(code, code)


def _check_special_tokens(header: Header, model: str, size: int) -> None:
    metadata, types = header.metadata, header.types
    for name in _SPECIAL_IDS:
        key = f"{_TOKENIZER}.{name}_token_id"
        value = metadata.get(key, 0)
        if types.get(key, "u32") != "u32" or not isinstance(value, int) or value >= size:
            raise _wrong(
                header, key, tr("a u32 below {size}, the size of the vocabulary", size=size)
            )
    for name in ("add_bos_token", "add_eos_token", "add_space_prefix"):
        if types.get(f"{_TOKENIZER}.{name}", "bool") != "bool":
            raise _wrong(header, f"{_TOKENIZER}.{name}", tr("true or false"))
    for name in ("bos", "eos"):
        # Without an id of its own, llama.cpp takes 1 and 2 for SentencePiece, and a meaningless
        # 11 for BPE.
        default = model == "llama" and name == "bos"
        key = f"{_TOKENIZER}.{name}_token_id"
        known = key in metadata or (model == "llama" and size > 2)
        if metadata.get(f"{_TOKENIZER}.add_{name}_token", default) and not known:
            raise _wrong(header, key, tr("there, as add_{name}_token is true", name=name))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
