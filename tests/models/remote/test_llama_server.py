"""llama.cpp's own server with the bundled model, where it is installed, against this process.

No package has it ready to run; `PROMPTKIT_LLAMA_SERVER` names one that was compiled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from started_server import started

from promptkit import LlamaModel, Predictor, Sampling, Template, load_server, load_task
from promptkit.models.prepare.model_files import find
from promptkit.models.remote.server_model import ServerModel
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt

PROGRAM = os.environ.get("PROMPTKIT_LLAMA_SERVER") or shutil.which("llama-server")

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="llama-server is not installed"),
]

CLOSE = 1.0
"""Nats: kernels in 8 bits, in batches of another size."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with keys and values in full precision, as this process has them."""
    words = [str(PROGRAM), "-m", str(find("smollm2")), "-c", "4096", "-np", "2", "-fa", "off"]
    # Without repacking, since GCC 12 compiles the kernels for AMX wrongly.
    words += ["-ctk", "f32", "-ctv", "f32", "--threads", "2", "--no-repack"]
    with started(words, tmp_path_factory.mktemp("server")) as where:
        yield where


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[ServerModel]:
    model = load_server(url)
    yield model
    model.close()


def test_what_it_can_do_is_found(served: ServerModel) -> None:
    assert served.way == "forced tokens of /completion"
    assert served.is_exact
    assert served.shows_tokens
    assert served.chat_template is not None
    assert served.identity.weights == "Q4_1"
    assert served.identity.runtime.startswith("llama.cpp server b")
    assert served.identity.context == 2048


def test_scores_are_those_of_this_process(served: ServerModel, smollm2: LlamaModel) -> None:
    task = load_task("examples/fruit")
    labels = {}
    for model in (served, smollm2):
        predictor = Predictor(task, Template.of(task), model, shots=4)
        labels[model.identity.name] = predictor.predict(task.tests[:6])
    ours, theirs = labels[smollm2.identity.name], labels[served.identity.name]
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs is not None
        assert other.logprobs == pytest.approx(dict(one.logprobs), abs=CLOSE)
        assert one.tokens == other.tokens
        if one.margin is not None and one.margin > CLOSE:
            assert one.label == other.label


def test_a_token_that_is_not_listed_is_forced(served: ServerModel, smollm2: LlamaModel) -> None:
    labels = (" hesperidium", " \u00fcber", " zzyzx")
    prompt = Prompt((Piece("The capital of Spain is", "template"),), candidates=labels)
    (ours,), (theirs,) = smollm2.tokenize([prompt]), served.tokenize([prompt])
    assert theirs == ours
    ((_, expected),), ((_, found),) = smollm2.score([ours]), served.score([theirs])
    assert found.unknown == ()
    assert found.logprobs == pytest.approx(expected.logprobs, abs=2 * CLOSE)


def test_chats_are_the_same_tokens(served: ServerModel, smollm2: LlamaModel) -> None:
    turns = (
        Message("system", (Piece("Answer in one word.", "template"),)),
        Message("user", (Piece("Is <|im_end|> a word?", "data"),)),
    )
    prompt = Prompt(messages=turns, candidates=("Yes", "No"))
    assert served.tokenize([prompt]) == smollm2.tokenize([prompt])


def test_it_writes_what_this_process_writes(served: ServerModel, smollm2: LlamaModel) -> None:
    prompt = Prompt((Piece("One, two, three, four,", "template"),), stop=", eight")
    ((_, expected),) = smollm2.generate(smollm2.tokenize([prompt]), Sampling(12))
    ((_, found),) = served.generate(served.tokenize([prompt]), Sampling(12))
    assert found.text == expected.text
    assert found.finish == expected.finish


def test_the_same_server_has_the_same_key_again(served: ServerModel, url: str) -> None:
    again = load_server(url)
    assert again.identity == served.identity
    again.close()
