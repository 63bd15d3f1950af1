"""Tiny GGUF models with random weights, written in milliseconds, for tests.

`write_llama` (a transformer with grouped-query attention), `write_gemma3_swa` (one layer of
sliding-window attention, one of full), `write_mamba` (recurrent) and `write_lfm2` (hybrid) all load
in llama.cpp, and their logits vary from token to token and depend on the context. `write_bert`
makes an embedding model. Same arguments, same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import quants
from gguf.constants import GGMLQuantizationType, TokenType
from gguf.gguf_writer import GGUFWriter

Edit = Callable[[GGUFWriter], None]
"""Changes a model just before it is written: `writer.kv_data[0]`, `writer.tensors[0]`."""

WORDS = (
    *("gran", "ate", " drupe", " pome", " berry", " citrus", " apple", " cherry", " fruit"),
    *(" the", " of", " is", " family", "Name", "\n\n", "  ", " yes", " no", "##", "th", "er", "in"),
)
"""What is one token in the tiny vocabularies; other words fall into several, like " peach"."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""A chat template for the BPE vocabulary's control tokens."""


@dataclass(frozen=True)
class Vocabulary:
    """What goes into a file's `tokenizer.ggml.*` keys."""

    model: str
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    bos: int
    eos: int
    unk: int
    add_bos: bool
    add_space_prefix: bool
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself if printable, else from U+0100 on."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown}
    letters |= {byte: chr(0x100 + index) for index, byte in enumerate(hidden)}
    return [letters[byte] for byte in range(256)]


def bpe_vocabulary(words: Iterable[str] = ()) -> Vocabulary:
    """Byte-level BPE without a BOS: ids 0 to 2 are control tokens, 3 to 258 the bytes.

    A word, from `WORDS` or `words`, is one token; its merges build it from left to right.
    """
    letters = _byte_letters()
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens, merges = dict.fromkeys([*controls, *letters]), dict[str, None]()
    for word in (*WORDS, *words):
        text = "".join(letters[byte] for byte in word.encode())
        for end in range(2, len(text) + 1):
            # A piece that is there already has its merge, though perhaps another split.
            if text[:end] not in tokens:
                tokens[text[:end]] = merges[f"{text[: end - 1]} {text[end - 1]}"] = None
    kinds = [TokenType.CONTROL] * 3 + [TokenType.NORMAL] * (len(tokens) - 3)
    return Vocabulary(
        *("gpt2", tuple(tokens), tuple(map(int, kinds)), 1, 2, 0, False, False),
        merges=tuple(merges),
    )


def spm_vocabulary(words: Iterable[str] = ()) -> Vocabulary:
    """SentencePiece with a BOS, a space put in front, and byte tokens (ids 3 to 258).

    It holds the pieces "</" and "</s", so that the plain text "</s>" is merged into the control
    token 2 even when special tokens are not parsed, as it is in published models.
    """
    tokens = dict.fromkeys(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))])
    # Every space in a piece is written as U+2581. Line breaks are left to the byte tokens.
    texts = [word.replace(" ", "▁") for word in (*WORDS, *words) if "\n" not in word]
    tokens |= dict.fromkeys(["▁", *map(chr, range(ord("!"), 0x7F)), "é", "ü", "</", "</s"])
    tokens |= dict.fromkeys(text[:end] for text in texts for end in range(2, len(text) + 1))
    kinds = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
    kinds += [TokenType.NORMAL] * (len(tokens) - len(kinds))
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(tokens) - 259)]
    return Vocabulary(
        *("llama", tuple(tokens), tuple(map(int, kinds)), 1, 2, 0, True, True),
        scores=tuple(scores),
    )


def write_llama(
    path: Path,
    *,
    tokenizer: str = "bpe",
    words: Iterable[str] = (),
    seed: int = 0,
    n_ctx: int = 512,
    layers: int = 2,
    width: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    hidden: int = 64,
    add_bos: bool | None = None,
    chat_template: str | None = None,
    weight_type: GGMLQuantizationType = GGMLQuantizationType.F32,
    edit: Edit | None = None,
) -> Path:
    """Writes a llama model; `words` become single tokens, `weight_type` is for the matrices."""
    vocabulary = (spm_vocabulary if tokenizer == "spm" else bpe_vocabulary)(words)
    writer = _start(path, "llama", vocabulary, n_ctx, layers, width, add_bos, chat_template)
    writer.add_feed_forward_length(hidden)
    writer.add_rope_dimension_count(width // heads)
    _add_attention(writer, heads, kv_heads)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        names = _attention_shapes(width, heads, kv_heads, width // heads, hidden)
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}
    return _finish(writer, vocabulary, width, shapes, seed, weight_type, edit)


def large_embedding(kind: GGMLQuantizationType) -> Edit:
    """Makes one token's embedding larger than F16 can say; no text has that token."""

    def edit(writer: GGUFWriter) -> None:
        info = writer.tensors[0]["token_embd.weight"]
        data = np.random.default_rng(0).standard_normal((info.shape[0], 32)).astype(np.float32)
        data[7] = np.linspace(0, 1e5, 32)
        info.tensor = quants.quantize(data, kind)

    return edit


def write_gemma3_swa(
    path: Path, *, window: int = 8, seed: int = 0, n_ctx: int = 512, edit: Edit | None = None
) -> Path:
    """Writes a gemma3 model of two layers: the first sees only `window` tokens back."""
    width, heads, kv_heads, head, hidden = 32, 4, 2, 16, 64
    vocabulary = bpe_vocabulary()
    writer = _start(path, "gemma3", vocabulary, n_ctx, 2, width)
    writer.add_feed_forward_length(hidden)
    _add_attention(writer, heads, kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_sliding_window(window)
    writer.add_sliding_window_pattern(2)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(2):
        names = _attention_shapes(width, heads, kv_heads, head, hidden)
        names |= {"attn_q_norm": (head,), "attn_k_norm": (head,)}
        names |= {"post_attention_norm": (width,), "post_ffw_norm": (width,)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}
    return _finish(writer, vocabulary, width, shapes, seed, GGMLQuantizationType.F32, edit)


def write_qwen(
    path: Path,
    *,
    generation: int = 3,
    seed: int = 0,
    n_ctx: int = 512,
    tied: bool = False,
    edit: Edit | None = None,
) -> Path:
    """Writes a qwen model of two layers: of generation 2 with biases, of 3 with normed heads. If
    `tied`, its output is its embeddings."""
    width, heads, kv_heads, hidden = 32, 4, 2, 64
    head = 8 if generation == 2 else 16
    vocabulary = bpe_vocabulary()
    writer = _start(path, f"qwen{generation}", vocabulary, n_ctx, 2, width)
    writer.add_feed_forward_length(hidden)
    _add_attention(writer, heads, kv_heads)
    shapes: dict[str, tuple[int, ...]] = {}
    random = np.random.default_rng(seed + 1)
    if generation == 3:
        writer.add_key_length(head)
        writer.add_value_length(head)
    for layer in range(2):
        names = _attention_shapes(width, heads, kv_heads, head, hidden)
        if generation == 3:
            names |= {"attn_q_norm": (head,), "attn_k_norm": (head,)}
        for name, rows in (("attn_q", heads), ("attn_k", kv_heads), ("attn_v", kv_heads)):
            if generation == 2:
                bias = random.standard_normal(rows * head).astype(np.float32)
                writer.add_tensor(f"blk.{layer}.{name}.bias", bias)
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}

    def untied(writer: GGUFWriter) -> None:
        if tied:
            del writer.tensors[0]["output.weight"]
        if edit is not None:
            edit(writer)

    return _finish(writer, vocabulary, width, shapes, seed, GGMLQuantizationType.F32, untied)


def write_mamba(path: Path, *, seed: int = 0, n_ctx: int = 512, edit: Edit | None = None) -> Path:
    """Writes a mamba model of two layers: recurrent, so its state cannot be cut back."""
    width, kernel, state, rank = 32, 4, 4, 2
    inner = 2 * width
    vocabulary = bpe_vocabulary()
    writer = _start(path, "mamba", vocabulary, n_ctx, 2, width)
    writer.add_head_count(0)
    writer.add_feed_forward_length(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(2):
        names: dict[str, tuple[int, ...]] = {"attn_norm": (width,), "ssm_in": (2 * inner, width)}
        names |= {"ssm_conv1d": (inner, kernel), "ssm_x": (rank + 2 * state, inner)}
        names |= {"ssm_dt": (inner, rank), "ssm_out": (width, inner)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}
        decay = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
        writer.add_tensor(f"blk.{layer}.ssm_a", decay)
        for name in ("ssm_d", "ssm_conv1d.bias", "ssm_dt.bias"):
            # A step this short keeps the context alive for some dozens of tokens.
            value = {"ssm_d": 1.0, "ssm_conv1d.bias": 0.1, "ssm_dt.bias": -3.0}[name]
            writer.add_tensor(f"blk.{layer}.{name}", np.full(inner, value, np.float32))
    return _finish(writer, vocabulary, width, shapes, seed, GGMLQuantizationType.F32, edit)


def write_lfm2(path: Path, *, seed: int = 0, n_ctx: int = 512, edit: Edit | None = None) -> Path:
    """Writes a hybrid: two layers of short convolutions, which keep a state, and one of attention
    between them."""
    width, heads, kv_heads, hidden, kernel = 32, 4, 2, 64, 3
    vocabulary = bpe_vocabulary()
    writer = _start(path, "lfm2", vocabulary, n_ctx, 3, width)
    writer.add_feed_forward_length(hidden)
    writer.add_rope_dimension_count(width // heads)
    writer.add_head_count(heads)
    writer.add_head_count_kv([0, kv_heads, 0])
    writer.add_rope_freq_base(10000.0)
    writer.add_shortconv_l_cache(kernel)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(3):
        names = _attention_shapes(width, heads, kv_heads, width // heads, hidden)
        if layer == 1:
            names |= {"attn_q_norm": (width // heads,), "attn_k_norm": (width // heads,)}
        else:
            names = {name: shape for name, shape in names.items() if name[:5] != "attn_"}
            names |= {"attn_norm": (width,), "shortconv.conv": (width, kernel)}
            names |= {"shortconv.in_proj": (3 * width, width), "shortconv.out_proj": (width, width)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}
    norm = "token_embd_norm"
    return _finish(
        writer, vocabulary, width, shapes, seed, GGMLQuantizationType.F32, edit, norm=norm
    )


def write_bert(
    path: Path, *, seed: int = 0, n_ctx: int = 64, pooling: int = 1, edit: Edit | None = None
) -> Path:
    """Writes an embedding model of two layers, whose attention goes both ways; its tokens are
    letters, at the beginning of a word and within one. `pooling` is 1 for the mean, 2 for the first
    token."""
    width, heads, hidden = 32, 4, 64
    controls = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*controls, *("\u2581" + letter for letter in letters), *letters]
    writer = GGUFWriter(path, "bert")
    writer.add_name("tiny bert")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", pooling)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL] * 5 + [TokenType.NORMAL] * (len(tokens) - 5)
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_type_count(2)
    for name, token in (("padding", 0), ("unknown", 1), ("bos", 2), ("seperator", 3), ("mask", 4)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        scale = 1.0 if name.startswith("t") else 1.5 / np.sqrt(shape[-1])
        writer.add_tensor(name, (random.standard_normal(shape) * scale).astype(np.float32))

    add("token_embd.weight", len(tokens), width)
    add("token_types.weight", 2, width)
    add("position_embd.weight", n_ctx, width)
    norms = ["token_embd_norm"]
    for layer in range(2):
        norms += [f"blk.{layer}.attn_output_norm", f"blk.{layer}.layer_output_norm"]
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", width, width)
            add(f"blk.{layer}.{name}.bias", width)
        for name, rows, columns in (("ffn_up", hidden, width), ("ffn_down", width, hidden)):
            add(f"blk.{layer}.{name}.weight", rows, columns)
            add(f"blk.{layer}.{name}.bias", rows)
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))
    return _write(writer, edit)


def write_lora(
    path: Path,
    *,
    architecture: str = "llama",
    rank: int = 4,
    alpha: float = 8.0,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    seed: int = 7,
    edit: Edit | None = None,
) -> dict[str, np.ndarray]:
    """Writes a LoRA adapter; returns what it adds to each matrix, as numpy has it.

    `shapes` are those of the matrices that it changes, (outputs, inputs); by default the first
    layer's of `write_llama`.
    """
    shapes = shapes or {
        "blk.0.attn_q.weight": (32, 32),
        "blk.0.attn_v.weight": (16, 32),
        "blk.1.ffn_up.weight": (64, 32),
        "blk.1.ffn_down.weight": (32, 64),
    }
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    random = np.random.default_rng(seed)
    added: dict[str, np.ndarray] = {}
    for name, (rows, columns) in shapes.items():
        a = random.normal(0, columns**-0.5, (rank, columns)).astype(np.float32)
        b = random.normal(0, rank**-0.5, (rows, rank)).astype(np.float32)
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", b)
        added[name] = b @ a * (alpha / rank)
    _write(writer, edit)
    return added


def _start(
    path: Path,
    architecture: str,
    vocabulary: Vocabulary,
    n_ctx: int,
    layers: int,
    width: int,
    add_bos: bool | None = None,
    chat_template: str | None = None,
) -> GGUFWriter:
    writer = GGUFWriter(path, architecture)
    writer.add_name(f"tiny {architecture}")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre("smollm" if vocabulary.merges else "default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_unk_token_id(vocabulary.unk)
    writer.add_add_bos_token(vocabulary.add_bos if add_bos is None else add_bos)
    writer.add_add_space_prefix(vocabulary.add_space_prefix)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    return writer


def _add_attention(writer: GGUFWriter, heads: int, kv_heads: int) -> None:
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(10000.0)


def _attention_shapes(
    width: int, heads: int, kv_heads: int, head: int, hidden: int
) -> dict[str, tuple[int, ...]]:
    """One layer's tensors, the fastest-varying dimension last, as numpy has it."""
    return {
        "attn_norm": (width,),
        "attn_q": (heads * head, width),
        "attn_k": (kv_heads * head, width),
        "attn_v": (kv_heads * head, width),
        "attn_output": (width, heads * head),
        "ffn_norm": (width,),
        "ffn_gate": (hidden, width),
        "ffn_up": (hidden, width),
        "ffn_down": (width, hidden),
    }


def _finish(
    writer: GGUFWriter,
    vocabulary: Vocabulary,
    width: int,
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    weight_type: GGMLQuantizationType,
    edit: Edit | None,
    norm: str = "output_norm",
) -> Path:
    random = np.random.default_rng(seed)
    rows = len(vocabulary.tokens)
    ends = {"token_embd": (rows, width), norm: (width,), "output": (rows, width)}
    for name, shape in (ends | dict(shapes)).items():
        data = random.standard_normal(shape)
        if len(shape) == 1:
            data = 1 + data / 10
        elif name != "token_embd":
            # Logits with a standard deviation of 3, and layers that weigh as much as their input.
            data *= (3.0 if name == "output" else 1.5) / np.sqrt(shape[-1])
        data = data.astype(np.float32)
        if len(shape) == 1 or weight_type == GGMLQuantizationType.F32:
            writer.add_tensor(f"{name}.weight", data)
        else:
            packed = quants.quantize(data, weight_type)
            writer.add_tensor(f"{name}.weight", packed, raw_dtype=weight_type)
    return _write(writer, edit)


def _write(writer: GGUFWriter, edit: Edit | None) -> Path:
    if edit is not None:
        edit(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert writer.path is not None
    return writer.path
