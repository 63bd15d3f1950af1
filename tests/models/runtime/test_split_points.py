"""Texts cut for tokenizing have the tokens that they have whole, in every vocabulary."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gguf.constants import TokenType
from gguf.gguf_writer import GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_gguf import write_llama
from vocabularies import vocabulary_model

from promptkit.models.gguf.header import read_header
from promptkit.models.llama import LlamaModel
from promptkit.models.runtime.split_points import BYTE_LETTERS, find_cuts
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.models.tokens.encoder import Encoder
from promptkit.models.tokens.part_cache import PROBE, Parts
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

# One of each kind of pre-tokenizer; an older llama.cpp does not know them all.
PRE = (
    *("afmoe", "bailingmoe", "bloom", "chameleon", "chatglm-bpe", "command-r", "dbrx", "default"),
    *("deepseek-coder", "deepseek-llm", "deepseek-v3", "exaone-moe", "falcon", "gpt-2", "gpt-4o"),
    *("granite-embed-multi-97m", "jais-2", "kimi-k2", "laguna", "llama-bpe", "minicpm5", "qwen2"),
    *("qwen35", "seed-coder", "smollm", "spark2_5", "superbpe", "tekken", "tiny_aya", "ufakzeka"),
    *("viking", "youtu"),
)

# Words that are one token each, with the white space that tokens of real vocabularies hold.
WORDS = (
    *("\n\n\n", ".\n", ".\n\n", " \n", "\t\n", "\r\n", "\r\n\r\n", "  \n", "...", "--"),
    *("12", "123", "'s", "'ll", "Text", "ext", "te", "xt", "é"),
)
OVER_CUTS = ("\nT", "a\nb", "\n1", " \n-", "a T", "> a", "é ")
"""Words that go over a cut."""

FRAGMENTS = (
    *("\n", "\n", "\n", "\n\n", "\r\n", "\r", " ", "  ", "\t", "\x1c", "\xa0", "\u2028", "\x85"),
    *(" Text", " a", " B", " 12", " é", " -", " 's", "> ", "a", "T", "Text", "aB", "HELLO"),
    *("1", "12", "1234", "123456789", "١٢", "½", "²", "'s", "'", "'ll", ".", ",", "...", "-", "- "),
    *(
        "_",
        "#",
        "(",
        "|",
        "!",
        "/",
        "\\",
        "<",
        "<x>",
        "é",
        "क",
        "ी",
        "中文",
        "👩\u200d🌾",
        "\u200b",
    ),
    *("\u0301", "ß", "\0", "<|im_end|>", "</s>", "▁", "Ċ"),
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)


def load(path: Path) -> Vocabulary | None:
    model = vocabulary_model(path)
    return Vocabulary(model, read_header(path)) if model.pointer else None


def check(vocabulary: Vocabulary, texts: Iterable[str]) -> int:
    """That cut texts have their tokens; how many cuts there were."""
    assert vocabulary.cuts is not None
    parts = Parts(vocabulary.plain, vocabulary.cuts)
    count = 0
    for text in texts:
        whole = vocabulary.plain(text)
        assert parts.tokens(text) == whole
        for match in vocabulary.cuts.line.finditer(text):
            end = match.end()
            assert parts.joint("\n", text[end:]) == text[end]
            left = parts.tokens(text[:end], before=text[end])
            assert [*left, *parts.tokens(text[end:], after="\n")] == whole
            count += 1
        for match in vocabulary.cuts.word.finditer(text):
            end = match.end()
            assert parts.joint(text[end - 1], text[end:]) == ""
            right = parts.tokens(text[end:], after=text[end - 1])
            assert [*vocabulary.plain(text[:end]), *right] == whole
            count += 1
    return count


def hard_texts(seed: int, count: int = 60) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(FRAGMENTS, k=chance.randint(1, 25))) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("pre", PRE)
def test_every_pre_tokenizer(pre: str, tmp_path: Path) -> None:
    def edit(writer: GGUFWriter) -> None:
        writer.kv_data[0]["tokenizer.ggml.pre"].value = pre

    counts = []
    for words in (WORDS, WORDS + OVER_CUTS):
        vocabulary = load(write_llama(tmp_path / "v.gguf", words=words, edit=edit))
        if vocabulary is None:
            pytest.skip(f"this llama.cpp does not know {pre}")
        counts.append(check(vocabulary, [PROBE, *hard_texts(len(pre))]))
    assert 0 < counts[1] < counts[0]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    vocabulary = load(write_llama(tmp_path_factory.mktemp("bpe") / "v.gguf", words=WORDS))
    assert vocabulary is not None
    return vocabulary


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("spm")
    vocabulary = load(write_llama(folder / "v.gguf", tokenizer="spm", words=WORDS))
    assert vocabulary is not None
    return vocabulary


@settings(deadline=None)
@given(TEXTS)
def test_any_text(bpe: Vocabulary, spm: Vocabulary, text: str) -> None:
    check(bpe, [text])
    check(spm, [text])


def renamed(
    folder: Path, names: list[str], *, own: bool = False, space: bool = True
) -> Vocabulary | None:
    """A SentencePiece vocabulary whose last tokens have these names; perhaps the user's own."""

    def edit(writer: GGUFWriter) -> None:
        data = writer.kv_data[0]
        data["tokenizer.ggml.add_space_prefix"].value = space
        for key, values in (
            ("tokens", names),
            ("token_type", [int(TokenType.USER_DEFINED)] * len(names) if own else []),
        ):
            array = data[f"tokenizer.ggml.{key}"]
            array.value = [*array.value[: len(array.value) - len(values)], *values]

    return load(write_llama(folder / "v.gguf", tokenizer="spm", edit=edit))


@pytest.mark.parametrize("space", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    "names", [["\n", "\n\n", "▁\n", ".\n"], ["\nT", "\n\nT", "a▁b"], ["<x>", "1▁"], ["\né", "é▁"]]
)
def test_tokens_of_lines(tmp_path: Path, names: list[str], own: bool, space: bool) -> None:
    vocabulary = renamed(tmp_path, names, own=own, space=space)
    assert vocabulary is not None
    if own and space and "\n" in names:  # llama.cpp puts a space behind each
        assert vocabulary.cuts is None
    else:
        assert check(vocabulary, [PROBE, *hard_texts(len(names))])


def test_own_tokens_that_swallow_space(tmp_path: Path) -> None:
    def edit(writer: GGUFWriter) -> None:  # llama.cpp knows the model by its name
        data = writer.kv_data[0]
        data["general.name"].value = "Phi-3-mini"
        tokens, kinds = data["tokenizer.ggml.tokens"], data["tokenizer.ggml.token_type"]
        tokens.value = [*tokens.value[:-1], "<|endoftext|>"]
        kinds.value = [*kinds.value[:-2], *[int(TokenType.USER_DEFINED)] * 2]

    vocabulary = load(write_llama(tmp_path / "v.gguf", tokenizer="spm", edit=edit))
    assert vocabulary is not None
    assert vocabulary.cuts is None


def test_what_goes_over_a_cut_is_read_off_tokens_and_merges() -> None:
    def may(
        text: str, *, tokens: Iterable[str] = (), merges: Iterable[str] = (), **more: object
    ) -> bool:
        cuts = find_cuts(tokens, merges, byte_level=bool(merges), spaced=more.get("spaced", ()))  # type: ignore[arg-type]
        return cuts is not None and bool(cuts.line.search(text) or cuts.word.search(text))

    assert may("a\nb")
    assert may("a b")
    assert not may("a\n b")
    assert not may("a\n")
    assert not may("a  b")
    assert not may("a\nb", tokens=["x\nb"])
    assert may("a\nc", tokens=["x\nb"])
    assert not may("a\nb", merges=["Ċ b"])
    assert not may("a\nb", merges=["xĊ by"])
    assert may("a\nb", merges=["Ċ Ċ", "a Ċ"])
    assert not may("a b", tokens=["a▁b"])
    assert not may("a b", merges=["a Ġb"])
    assert may("a b", merges=["Ġ a", "Ġ Ġ"])
    assert not may("a\né", merges=[f"Ċ {BYTE_LETTERS[0xC3]}"])
    assert not may("> a", tokens=["<x>"], spaced=["<x>"])
    assert not may("a\nb", tokens=["\n"], spaced=["\n"])


# -- Prompts -------------------------------------------------------------------------------------

KINDS = st.sampled_from(["template", "data", "chat"])
PIECES = st.lists(st.builds(Piece, TEXTS, KINDS), max_size=3)
LABELS = st.lists(
    st.sampled_from([" a", " Text", "Text", "a", " a b", "12", " 12", "<|im_end|>", "\na", " é"]),
    min_size=1,
    max_size=4,
    unique=True,
)


@pytest.mark.slow
@settings(deadline=None)
@given(
    beginnings=st.lists(PIECES, min_size=1, max_size=2),
    endings=st.lists(st.tuples(PIECES, LABELS), min_size=1, max_size=6),
    stop=st.sampled_from(["\n", "<|im_end|>\n", "</s>", ""]),
)
def test_prompts_one_after_another(
    bpe: Vocabulary,
    spm: Vocabulary,
    beginnings: list[list[Piece]],
    endings: list[tuple[list[Piece], list[str]]],
    stop: str,
) -> None:
    prompts = [
        Prompt((*beginning, *ending), candidates=tuple(labels), stop=stop)
        for beginning in beginnings
        for ending, labels in endings
    ]
    for vocabulary in (bpe, spm):
        encoder = Encoder(vocabulary)
        for prompt in prompts:
            assert result(encoder.encode, prompt) == result(encoder.encode_whole, prompt)
        assert encoder.cuts


def result(encode: Callable[[Any], object], value: object) -> object:
    try:
        return encode(value)
    except Exception as error:
        return repr(error)


@pytest.mark.model
def test_the_bundled_models_vocabulary(smollm2: LlamaModel) -> None:
    vocabulary = smollm2.vocabulary
    writable = [
        text for text in hard_texts(0, 400) if isinstance(result(vocabulary.plain, text), list)
    ]
    assert check(vocabulary, [PROBE, *writable]) > 500
