"""`promptkit models`, and `--weights` where a model is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gguf.constants import GGMLQuantizationType
from tiny_gguf import write_llama

from promptkit.models.prepare import prepare, record
from promptkit.models.prepare.model_files import digest

pytestmark = pytest.mark.slow

Q4_1 = GGMLQuantizationType.Q4_1


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PROMPTKIT_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "tiny.gguf", weight_type=Q4_1)


def test_prepared_listed_removed(run: Any, path: Path, own_cache: Path) -> None:
    root = own_cache / "prepared"
    assert run("models") == run("models", "list") == (0, f"0 MB in {root}\n", "")

    prepared = run("models", "prepare", path, "--weights", "f16")
    assert (prepared.code, prepared.err) == (0, "")
    lines = prepared.out.splitlines()
    assert lines[0].split() == [
        "weights",
        "attention",
        "cache",
        "micro-batch",
        "threads",
        "tokens/s",
        "nats",
        "from",
        "F32",
    ]
    assert lines[2].split()[0] == "Q4_1"
    made = root / digest(path) / "F16.gguf"
    assert re.match(
        "It runs as F16 from Q4_1, (plain|flash) attention, F(32|16) cache, micro-batches of ",
        lines[-2],
    )
    assert lines[-1] == f"0 MB: {made}"

    (listed,) = json.loads(run("models", "--json", "-").out)
    assert (listed["name"], listed["asked"], listed["weights"]) == ("tiny.gguf", "f16", "F16")
    assert listed["file"] == str(made)
    assert listed["made_bytes"] == made.stat().st_size
    shown = run("models").out.splitlines()
    assert shown[2].split()[:5] == ["tiny.gguf", "f16", "F16", "from", "Q4_1"]
    assert shown[-1] == f"0 MB in {root}"

    before = path.read_bytes()
    freed = run("models", "remove", path, "--json", "-")
    assert json.loads(freed.out) == {"freed_bytes": listed["made_bytes"]}
    assert not made.exists()
    assert path.read_bytes() == before
    assert run("models").out == f"0 MB in {root}\n"


def test_prepare_as_json(run: Any, path: Path, tmp_path: Path) -> None:
    assert run("models", "prepare", path, "--json", tmp_path / "x.json").code == 0
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["sha256"] == digest(path)
    assert data["asked"] == "auto"
    assert {*data["distances"]} == {"Q4_1", "F16", "BF16", "F32"}
    assert all(one["speed"] > 0 for one in data["measured"])


def test_what_another_machine_measured_is_listed(
    run: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("models", "prepare", path, "--weights", "f16").code == 0
    monkeypatch.setattr(record, "processor", lambda: "another one")
    assert "F16 from Q4_1 (measured on another machine)" in run("models").out


def test_removing_by_the_name_that_is_listed_and_all(run: Any, path: Path, own_cache: Path) -> None:
    for words in ((path.name,), ("--all",)):
        assert run("models", "prepare", path, "--weights", "f16").code == 0
        path.rename(path.with_suffix(".moved"))  # the model's own file may be gone
        assert run("models", "remove", *words) == (0, "0 MB freed\n", "")
        path.with_suffix(".moved").rename(path)
        assert [*(own_cache / "prepared").iterdir()] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ("prepare", "tiny.gguf", "--weights", "as-is"),
            "--weights 'as-is': choose auto, f32, f16,",
        ),
        (("prepare", "none.gguf"), "none.gguf: there is no such file"),
        (("remove",), "name the models to remove, or all of them with --all"),
        (("remove", "tiny.gguf", "--all"), "name the models to remove, or all of them"),
        (("remove", "tiny.gguf"), "nothing is kept for tiny.gguf; see promptkit models"),
        (("remove", "none.gguf"), "none.gguf: No such file or directory"),
    ],
)
def test_errors(run: Any, path: Path, words: tuple[str, ...], reason: str) -> None:
    code, out, err = run("models", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {reason}")
    assert len(err.splitlines()) <= 2


def test_compare_takes_weights(
    run: Any, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "SMALL", 0)
    assert run("new", tmp_path / "task").code == 0
    words = (
        "compare",
        tmp_path / "task",
        "--model",
        path,
        "--shots",
        "0",
        "--seeds",
        1,
        "--no-baselines",
        "--json",
        "-",
    )
    as_is = run(*words, "--weights", "as-is")
    assert (as_is.code, as_is.err) == (0, "")
    (identity,) = json.loads(as_is.out)["models"]
    assert identity["weights"] == "Q4_1"
    named = run(*words, "--weights", "q8_0")
    (identity,) = json.loads(named.out)["models"]
    assert identity["weights"] == "Q8_0 from Q4_1"
    assert identity["sha256"] == digest(path)
    assert named.err.startswith("note: measuring how tiny.gguf runs fastest on this machine")
    assert json.loads(named.out)["usage"]["cached"] == 0
    wrong = run(*words, "--weights", "q9")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error: --weights 'q9': choose auto, as-is, f32")


def test_rendering_prepares_nothing(
    run: Any, path: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "SMALL", 0)
    assert run("new", tmp_path / "task").code == 0
    done = run("render", tmp_path / "task", "--model", path, "--tokens")
    assert (done.code, done.err) == (0, "")
    assert not (own_cache / "prepared").exists()
