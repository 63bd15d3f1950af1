"""The server of llama-cpp-python with the bundled model, against the model in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from started_server import started

from promptkit import LlamaModel, Sampling, load_server
from promptkit.models.prepare.model_files import find
from promptkit.models.remote.server_model import ServerModel
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = [pytest.mark.model, pytest.mark.slow]

LABELS = (" positive", " negative", " hesperidium")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with keys and values in full precision, as this process has them."""
    options = {"model": find("smollm2"), "logits_all": "true", "n_ctx": 1024, "n_threads": 2}
    options |= {"type_k": 0, "type_v": 0, "verbose": "false"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    folder = tmp_path_factory.mktemp("server")
    with started([sys.executable, "-m", "llama_cpp.server", *words], folder) as where:
        yield where


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[ServerModel]:
    model = load_server(url, concurrency=1)
    yield model
    model.close()


def test_its_echo_is_not_believed(served: ServerModel) -> None:
    """It says the log-probability of each token after the token itself, without a BOS."""
    assert served.way == "all next tokens"
    assert served.is_exact
    assert served.shows_tokens
    assert served.identity.weights == "Q4_1"
    assert "llama-cpp-python" in served.identity.runtime


def test_scores_are_those_of_this_process(served: ServerModel, smollm2: LlamaModel) -> None:
    prompts = [
        Prompt((Piece(f"Review: {text}\nMood:", "template"),), candidates=LABELS, query=text)
        for text in ("A lovely film, warm and clever.", "Dull, and far too long.")
    ]
    ours, theirs = smollm2.tokenize(prompts), served.tokenize(prompts)
    assert theirs == ours
    expected, found = dict(smollm2.score(ours)), dict(served.score(theirs))
    sure = 0
    for index in range(len(prompts)):
        assert found[index].unknown == ()
        assert found[index].logprobs == pytest.approx(expected[index].logprobs, abs=0.5)
        best, second, _ = sorted(expected[index].logprobs, reverse=True)
        if best - second > 0.5:  # else the numbers of kernels in 8 bits decide
            label = expected[index].logprobs.index(best)
            assert found[index].logprobs.index(max(found[index].logprobs)) == label
            sure += 1
    assert sure


def test_it_writes_what_this_process_writes(served: ServerModel, smollm2: LlamaModel) -> None:
    prompts = [Prompt((Piece("One, two, three, four,", "template"),), stop=".")]
    ((_, expected),) = smollm2.generate(smollm2.tokenize(prompts), Sampling(8))
    ((_, found),) = served.generate(served.tokenize(prompts), Sampling(8))
    assert found.text.split()[:3] == expected.text.split()[:3]


def test_a_comparison_from_the_command_line(url: str, run: Run, here: Path) -> None:
    (here / "mood").mkdir()
    (here / "mood" / "task.toml").write_text(
        'name = "mood"\n[input]\ntext = "str"\n[output]\nlabels = ["positive", "negative"]\n'
        '[files]\ndemos = "demos.csv"\ntests = "tests.csv"\n'
    )
    rows = [("lovely", "positive"), ("dull", "negative"), ("warm", "positive"), ("bad", "negative")]
    for name in ("demos", "tests"):
        lines = "".join(f"{name} {text},{label}\n" for text, label in rows)
        (here / "mood" / f"{name}.csv").write_text("text,output\n" + lines)
    words = ("compare", "mood", "--model", url, "--shots", "0,1", "--seeds", "1", "--no-lint")
    done = run(*words)
    assert done.code == 0, done.err
    assert "labels are scored by all next tokens" in " ".join(done.err.split())
    assert f"SmolLM2-135M-Instruct.Q4_1@{url.removeprefix('http://')}" in done.out
    assert "0 from the store" in done.out
    assert ": 0 prompts to ask" in " ".join(run(*words).err.split())
    assert (here / "runs" / "mood" / "report.html").exists()
