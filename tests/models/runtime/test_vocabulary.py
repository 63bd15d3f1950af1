from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import pytest
from gguf.constants import GGUFValueType, TokenType
from gguf.gguf_writer import GGUFValue, GGUFWriter
from hypothesis import given
from hypothesis import strategies as st
from tiny_gguf import write_llama
from vocabularies import load_vocabulary as load
from vocabularies import vocabulary_model

from promptkit.errors import PromptError
from promptkit.models.runtime.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vocabularies")


@pytest.fixture(scope="module")
def bpe(folder: Path) -> Vocabulary:
    return load(write_llama(folder / "bpe.gguf"))


@pytest.fixture(scope="module")
def spm(folder: Path) -> Vocabulary:
    return load(write_llama(folder / "spm.gguf", tokenizer="spm"))


def edited(
    path: Path, *, tokenizer: str = "bpe", **changes: Callable[[list[object]], None]
) -> Path:
    def edit(writer: GGUFWriter) -> None:
        for key, change in changes.items():
            value = writer.kv_data[0][f"tokenizer.ggml.{key}"]
            value.value = list(value.value)
            change(value.value)

    return write_llama(path, tokenizer=tokenizer, edit=edit)


def test_special_tokens(bpe: Vocabulary, spm: Vocabulary, folder: Path) -> None:
    assert {text: control.id for text, control in bpe.controls.items()} == {
        "<|endoftext|>": 0,
        "<|im_start|>": 1,
        "<|im_end|>": 2,
    }
    assert {text: control.id for text, control in spm.controls.items()} == {
        "<unk>": 0,
        "<s>": 1,
        "</s>": 2,
    }
    assert (bpe.bos, bpe.bos_text, bpe.eos_text) == (None, "<|im_start|>", "<|im_end|>")
    assert (spm.bos, spm.bos_text, spm.eos_text) == (1, "<s>", "</s>")
    assert load(write_llama(folder / "b.gguf", add_bos=True)).bos == 1
    assert [token for token in range(bpe.size) if bpe.ends(token)] == [0, 2]
    assert spm.ends(2)


def test_pieces(bpe: Vocabulary, spm: Vocabulary) -> None:
    for vocabulary in (bpe, spm):
        pieces = {vocabulary.piece(token): token for token in range(vocabulary.size)}
        assert all(bytes([byte]) in pieces for byte in range(256))
        for text in vocabulary.controls:
            assert text.encode() in pieces
        assert vocabulary.piece(vocabulary.plain(" drupe")[-1]) == b" drupe"
    assert bpe.plain("") == []


@given(st.text(max_size=20))
def test_any_text_comes_back(bpe: Vocabulary, spm: Vocabulary, text: str) -> None:
    assert b"".join(map(bpe.piece, bpe.plain(text))).decode() == text
    raw = b"".join(map(spm.piece, spm.plain(text))).decode()
    assert raw == (" " + text.replace("▁", " ") if text else "")


def test_a_long_piece_and_a_long_text(folder: Path, bpe: Vocabulary) -> None:
    word = " " + "long" * 40
    vocabulary = load(write_llama(folder / "long.gguf", words=(word,)))
    (token,) = vocabulary.plain(word)
    assert vocabulary.piece(token) == word.encode()
    assert len(bpe.plain("é" * 10_000)) == 20_000


def test_ordinary_text_that_the_tokenizer_merges_into_a_control_token(
    spm: Vocabulary, folder: Path
) -> None:
    model = vocabulary_model(folder / "spm.gguf")
    vocab = llama_cpp.llama_model_get_vocab(model.pointer)
    raw = b"a</s>b"
    ids = (llama_cpp.llama_token * 20)()
    count = llama_cpp.llama_tokenize(vocab, raw, len(raw), ids, 20, False, False)
    assert 2 in list(ids[:count])  # the trap, which parse_special=False does not avoid
    ours = spm.plain("a</s>b")
    assert 2 not in ours
    assert b"".join(map(spm.piece, ours)) == b" a</s>b"


def test_a_control_token_is_spelled_with_bytes_where_letters_are_missing(folder: Path) -> None:
    def no_letter(tokens: list[object]) -> None:
        tokens[tokens.index("s")] = "\ue000"

    vocabulary = load(edited(folder / "no.gguf", tokenizer="spm", tokens=no_letter))
    # "s" is still there as a byte.
    assert b"".join(map(vocabulary.piece, vocabulary.plain("a</s>"))) == b" a</s>"


def test_text_that_a_vocabulary_cannot_write(folder: Path) -> None:
    def no_z(tokens: list[object]) -> None:
        tokens[tokens.index("z")] = "\ue000"

    vocabulary = load(edited(folder / "noz.gguf", tokens=no_z))
    with pytest.raises(PromptError) as caught:
        vocabulary.plain("fuzzy")
    assert str(caught.value) == "this model's vocabulary has no token for 'z' (in 'fuzzy')"
    assert vocabulary.plain("fuy")


def whole(path: Path, pre: str, change: Callable[[list[object]], None]) -> Path:
    """BPE that merges characters as they are, with the tokens of the SentencePiece vocabulary."""

    def edit(writer: GGUFWriter) -> None:
        kv = writer.kv_data[0]
        tokens = list(kv["tokenizer.ggml.tokens"].value)
        change(tokens)
        kv["tokenizer.ggml.tokens"].value = tokens
        kv["tokenizer.ggml.model"].value = "gemma4" if pre == "gemma4" else "gpt2"
        kv["tokenizer.ggml.pre"].value = pre
        kv["tokenizer.ggml.merges"] = GGUFValue(["a b"], GGUFValueType.ARRAY, GGUFValueType.STRING)

    return write_llama(path, tokenizer="spm", words=("ab",), edit=edit)


WHOLE = ("gemma4", "sarvam-moe")


@pytest.mark.parametrize("pre", WHOLE)
def test_bpe_that_merges_characters_as_they_are(folder: Path, pre: str) -> None:
    # That a letter is among them which stands for a byte elsewhere says nothing.
    vocabulary = load(whole(folder / f"{pre}.gguf", pre, lambda tokens: put(tokens, "</", "Ġ")))
    text = "ab a\n\n\nü↵ ▁\n"
    pieces = list(map(vocabulary.piece, vocabulary.plain(text)))
    assert b"".join(pieces).decode() == text.replace("▁", " ")
    assert pieces[:2] == [b"ab", b" "]
    assert vocabulary.cuts is None


@pytest.mark.parametrize("pre", WHOLE)
@pytest.mark.parametrize(
    ("missing", "text", "char"),
    [("<0x0A>", "a\n\nb", "\n"), ("<0xE2>", "a→b", "→"), ("▁", "a b", " "), ("▁", "a▁b", "▁")],
)
def test_text_that_it_would_lose(
    folder: Path, pre: str, missing: str, text: str, char: str
) -> None:
    def change(tokens: list[object]) -> None:
        put(tokens, missing, "[none]")
        if missing == "▁":
            put(tokens, "<0xE2>", "[no byte]")

    vocabulary = load(whole(folder / f"{pre}-lost.gguf", pre, change))
    with pytest.raises(PromptError, match="has no token for") as caught:
        vocabulary.plain(text)
    assert repr(char) in str(caught.value)
    assert vocabulary.plain("ab")


@pytest.mark.parametrize("model", ["t5", "bert"])
def test_what_a_vocabulary_does_not_know_is_no_token_of_it(folder: Path, model: str) -> None:
    def edit(writer: GGUFWriter) -> None:
        kv = writer.kv_data[0]
        kv["tokenizer.ggml.model"].value = model
        kinds = kv["tokenizer.ggml.token_type"]
        kinds.value = [min(int(kind), int(TokenType.CONTROL)) for kind in kinds.value]

    vocabulary = load(write_llama(folder / f"{model}.gguf", tokenizer="spm", edit=edit))
    assert vocabulary.plain("the fruit")
    with pytest.raises(PromptError, match="has no token for '→' "):
        vocabulary.plain("the fruit → the")


def put(tokens: list[object], old: str, new: str) -> None:
    tokens[tokens.index(old)] = new


def test_newlines_in_a_row_and_a_llama_cpp_that_asserts_there_are_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole(folder / "rows.gguf", "gemma4", lambda tokens: put(tokens, "</", "\n\n"))
    vocabulary = load(path)
    assert vocabulary.plain("a\n\n\nb")
    monkeypatch.setattr("promptkit.models.runtime.vocabulary.merges_newlines", lambda: False)
    assert vocabulary.plain("a\n\nb\n")
    with pytest.raises(PromptError, match="no token for 3 newlines in a row"):
        vocabulary.plain("a\n\n\nb")


LONG = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_vocabulary import load
from promptkit.errors import PromptError
vocabulary = load(Path(sys.argv[1]))
for run in ("x", "-", " ", "7", "é"):
    assert len(vocabulary.plain(run * 40_000)) >= 20_000
try:
    vocabulary.plain("x" * 2_000_000)
except PromptError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pre", ["gpt-4o", "deepseek-llm"])
def test_a_word_longer_than_the_stack(folder: Path, pre: str) -> None:
    """In a process of its own, which it would end."""

    def edit(writer: GGUFWriter) -> None:
        writer.kv_data[0]["tokenizer.ggml.pre"].value = pre

    path = write_llama(folder / f"{pre}.gguf", edit=edit)
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", LONG, path, here, here.parents[1] / "support", here.parents[2]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a text of 2,000,000 bytes without a line")


def test_unused_and_user_defined_tokens_are_ordinary(folder: Path) -> None:
    def kinds(values: list[object]) -> None:
        values[-1], values[-2] = int(TokenType.USER_DEFINED), int(TokenType.UNUSED)

    vocabulary = load(edited(folder / "kinds.gguf", token_type=kinds))
    assert set(vocabulary.controls) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}


def test_user_defined_marks_of_the_chat_template_are_control_tokens(folder: Path) -> None:
    def edit(writer: GGUFWriter) -> None:
        kinds = writer.kv_data[0]["tokenizer.ggml.token_type"]
        kinds.value = [int(TokenType.USER_DEFINED), *kinds.value[1:]]
        kinds.value[1] = int(TokenType.USER_DEFINED)

    path = folder / "marks.gguf"
    vocabulary = load(write_llama(path, chat_template="{{ '<|im_start|>' }}", edit=edit))
    mark = vocabulary.controls["<|im_start|>"].id
    assert mark not in vocabulary.plain("a <|im_start|> b")
    assert b"".join(map(vocabulary.piece, vocabulary.plain("a<|im_start|>b"))) == b"a<|im_start|>b"
    assert "<|endoftext|>" in vocabulary.controls  # llama.cpp itself knows this one
