"""Names of model files that are no files, and files that change while they are in use."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from tiny_gguf import write_llama

from promptkit.errors import ModelError, ModelFileError
from promptkit.models.embedding import load_embedder
from promptkit.models.llama import LlamaModel, load_model
from promptkit.models.prepare import model_files
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

PROMPTS = [
    Prompt((Piece(f"The fruit {n} is a", "data"),), candidates=(" drupe", " pome"), query=str(n))
    for n in range(40)
]
Load = Callable[[Any], Any]
both = pytest.mark.parametrize("load", [load_model, load_embedder])


def scores(model: LlamaModel) -> np.ndarray:
    found = dict(model.score(model.tokenize(PROMPTS)))
    return np.array([found[n].logprobs for n in range(len(found))])


@both
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "unknown model ''"),
        (".", "folder"),
        ("a\0b.gguf", "null byte"),
        ("x" * 5000 + ".gguf", "name too long"),
        ("x" * 5000, "unknown model"),
        ("\ud800.gguf", "surrogates"),
        ("/dev/zero", "device"),
        ("-x.gguf", "no such file"),
        ("~nobody-at-all/x.gguf", "no such file"),
        ("hf:", "hf:owner/repo/file"),
        ("hf:a/b", "hf:owner/repo/file"),
    ],
)
def test_names_that_are_no_model(load: Load, name: str, reason: str) -> None:
    with pytest.raises(ModelError, match=f"(?i){reason}"):
        load(name)


@both
@pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")
def test_things_that_are_no_files(load: Load) -> None:
    with TemporaryDirectory() as name:  # short enough for a socket
        folder = Path(name)
        (folder / "folder.gguf").mkdir()
        os.mkfifo(folder / "pipe.gguf")
        (folder / "loop.gguf").symlink_to(folder / "loop.gguf")
        (folder / "dangling.gguf").symlink_to(folder / "nothing")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(folder / "socket.gguf"))
            for file in sorted(folder.iterdir()):
                with pytest.raises(ModelFileError) as caught:
                    load(file)
                assert str(caught.value).startswith(f"{file}: ")


@both
@pytest.mark.parametrize(
    "name", ["--help.gguf", "a b'\"$(x);&.gguf", "new\nline.gguf", "ü é 漢.gguf"]
)
def test_odd_names_of_files_that_are_models(load: Load, name: str, tmp_path: Path) -> None:
    file = write_llama(tmp_path / "m.gguf").rename(tmp_path / name)
    load(file).close()


@both
def test_a_file_that_is_written_to_while_it_is_in_use(load: Load, tmp_path: Path) -> None:
    file = write_llama(tmp_path / "m.gguf")
    model = load(file)
    with file.open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(ModelFileError, match=r"m\.gguf: it changed while it was in use; load it"):
        scores(model) if load is load_model else model(["a"])


def test_a_file_that_is_written_to_during_a_run(tmp_path: Path) -> None:
    file = write_llama(tmp_path / "m.gguf")
    run = (model := load_model(file, threads=1, exact=True)).score(model.tokenize(PROMPTS))
    next(run)
    shutil.copyfile(write_llama(tmp_path / "other.gguf", seed=1), file)
    os.utime(file, ns=(0, 0))
    with pytest.raises(ModelFileError, match="it changed while it was in use"):
        list(run)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="open files that are deleted")
def test_a_file_that_is_replaced_or_deleted_stays_what_it_was(tmp_path: Path) -> None:
    file = write_llama(tmp_path / "m.gguf")
    model = load_model(file, threads=1)
    expected = scores(model)
    write_llama(tmp_path / "other.gguf", seed=1).replace(file)
    np.testing.assert_array_equal(scores(model), expected)
    assert np.abs(scores(load_model(file, threads=1)) - expected).max() > 0.1
    file.unlink()
    np.testing.assert_array_equal(scores(model), expected)


@pytest.mark.parametrize("way", ["replaced", "written"])
def test_a_file_that_changes_after_it_was_checked(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(tmp_path / "m.gguf")
    other = write_llama(tmp_path / "other.gguf", seed=1)
    whole = model_files.try_once

    def change(*arguments: Any, **more: Any) -> None:
        whole(*arguments, **more)
        if way == "replaced":
            other.replace(file)
        else:
            file.write_bytes(other.read_bytes())
            os.utime(file, ns=(0, 0))

    monkeypatch.setattr(model_files, "try_once", change)
    with pytest.raises(ModelFileError, match=r"it (changed|was replaced) while"):
        load_model(file)
