"""Texts as vectors by tiny models with random weights, and by the bundled one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_gguf import write_bert, write_gemma3_swa, write_lfm2, write_llama, write_mamba

import promptkit as pk
from promptkit.errors import ModelError, ModelFileError, PromptError
from promptkit.models.embedding import load_embedder

TEXTS = ["a berry", "the apple", "", "of the fruit", "x", "a berry", "berry a", "Äpfel 漢字 \0 🍎"]
KINDS = {
    "llama": write_llama,
    "gemma3": write_gemma3_swa,
    "mamba": write_mamba,
    "lfm2": write_lfm2,
    "bert": write_bert,
}


@pytest.fixture(scope="module", params=list(KINDS))
def embedder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> pk.Embedder:
    kind = str(request.param)
    file = KINDS[kind](tmp_path_factory.mktemp("embedders") / f"{kind}.gguf")
    return load_embedder(file, threads=1)


@pytest.mark.slow
def test_vectors_have_length_one(embedder: pk.Embedder) -> None:
    found = embedder(TEXTS)
    assert found.shape == (len(TEXTS), embedder.dimensions) == (len(TEXTS), 32)
    lengths = np.linalg.norm(found, axis=1)
    empty = lengths == 0
    assert not empty[[0, 1, 3, 4, 5, 6, 7]].any()
    assert lengths[~empty] == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_a_vector_depends_on_its_text_alone(embedder: pk.Embedder) -> None:
    together = embedder([*TEXTS, *("a long text of many words " + c for c in "abcdefghi")])
    alone = np.concatenate([embedder([text]) for text in TEXTS])
    assert together[: len(TEXTS)] == pytest.approx(alone, abs=1e-5)
    assert together[0] == pytest.approx(together[5], abs=1e-5)
    for other in (1, 3, 4, 6, 7):
        assert np.abs(together[0] - together[other]).max() > 1e-2


@pytest.mark.slow
def test_many_texts_are_read_in_batches(embedder: pk.Embedder) -> None:
    texts = [f"the {'berry ' * (n % 7)}{'abcdefgh'[n % 8]}" for n in range(150)]
    found = embedder(texts)
    assert found[77] == pytest.approx(embedder([texts[77]])[0], abs=1e-5)


def test_a_mean_is_of_the_hidden_states_of_all_tokens(tmp_path: Path) -> None:
    """The same as llama-cpp-python's own `embed`."""
    from llama_cpp import Llama

    file = write_bert(tmp_path / "tiny.gguf")
    llama = Llama(str(file), embedding=True, n_ctx=64, verbose=False, n_threads=1)
    theirs = np.array(llama.embed(["abc de"], normalize=True))
    llama.close()
    assert load_embedder(file, threads=1)(["abc de"]) == pytest.approx(theirs, abs=1e-5)


def test_the_file_says_how_tokens_are_pooled(tmp_path: Path) -> None:
    mean, first = (
        load_embedder(write_bert(tmp_path / f"{pooling}.gguf", pooling=pooling), threads=1)
        for pooling in (1, 2)
    )
    assert np.abs(mean(["abc"]) - first(["abc"])).max() > 1e-2


def test_no_text_is_an_empty_array(embedder: pk.Embedder) -> None:
    assert embedder([]).shape == (0, 32)


def test_a_text_longer_than_the_context_is_an_error_with_counts(tmp_path: Path) -> None:
    bert = load_embedder(write_bert(tmp_path / "tiny.gguf"), threads=1)
    assert bert(["a" * 62]).shape == (1, 32)
    reason = "tiny: 2 of 3 texts are longer than its context of 64 tokens; the first has 65: 'aaa"
    with pytest.raises(PromptError, match=reason):
        bert(["a", "a" * 63, "a" * 99])
    llama = write_llama(tmp_path / "llama.gguf")
    short = load_embedder(llama, context=8, threads=1)
    with pytest.raises(PromptError, match="1 of 1 texts"):
        short(["many words of a text that is too long"])
    with pytest.raises(ModelError, match=r"a context of 1000 tokens.*trained for 512"):
        load_embedder(llama, context=1000)


@pytest.mark.slow
def test_a_model_without_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="ranks pairs of texts"):
        load_embedder(write_bert(tmp_path / "rank.gguf", pooling=4))


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    file = write_bert(tmp_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="cut short"):
        load_embedder(file)
    with pytest.raises(ModelFileError, match="no such file"):
        load_embedder(tmp_path / "none.gguf")


def test_a_model_is_named_after_its_file(tmp_path: Path) -> None:
    assert load_embedder(write_bert(tmp_path / "mini.gguf")).name == "mini"


@pytest.mark.model
def test_the_bundled_model_finds_what_is_alike() -> None:
    texts = [
        "The parcel arrived broken.",
        "My package came damaged.",
        "I forgot my password and cannot log in.",
    ]
    vectors = load_embedder()(texts)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2]
