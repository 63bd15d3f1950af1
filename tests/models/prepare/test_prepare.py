"""What runs for a file on this machine: chosen by measurement, kept, and found again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from tiny_gguf import large_embedding, write_llama, write_lora

from promptkit.errors import ModelError, PromptkitError
from promptkit.models.base import Sampling
from promptkit.models.llama import load_model
from promptkit.models.prepare import (
    convert,
    hardware,
    isolated,
    model_files,
    precision,
    prepare,
    speed,
    weight_candidates,
)
from promptkit.models.prepare import record as choices
from promptkit.models.prepare.isolated import FailedError
from promptkit.models.prepare.model_files import ModelFile, digest, find, verify
from promptkit.models.prepare.prepare import prepared
from promptkit.models.prepare.record import ATTEMPTS, RETRY_SECONDS, known, place, recall
from promptkit.models.prepare.speed import Speeds
from promptkit.models.prepare.weight_candidates import gather
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

Q4_1 = GGMLQuantizationType.Q4_1

Trials = list[tuple[Path, RuntimeSettings]]
Speed = Callable[[Path, RuntimeSettings], float]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own cache"
    monkeypatch.setenv("PROMPTKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "tiny é.gguf", weight_type=Q4_1)


@pytest.fixture
def file(path: Path) -> ModelFile:
    return verify(path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that did what is else done in processes of their own; here it is quicker."""
    modules: list[str] = []

    def run(module: str, *arguments: str, **_: object) -> str:
        modules.append(module)
        try:
            return str(import_module(f"promptkit.models.prepare.{module}").main(*arguments))
        except PromptkitError as error:
            raise FailedError(str(error)) from None

    for module in (convert, speed, precision, model_files):
        monkeypatch.setattr(module, "run", run)
    return modules


def spoken(speed: Speed, *, settled: bool = True) -> Callable[[Trials], Speeds]:
    """Measurements that come to what `speed` says of a file and its settings."""
    return lambda trials: Speeds(tuple(speed(*trial) for trial in trials), settled)


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch, started: list[str]) -> None:
    """Tiny files are worth a measurement, and F16 wins it."""
    monkeypatch.setattr(prepare, "SMALL", 0)

    monkeypatch.setattr(
        prepare, "speeds", spoken(lambda path, _: 200.0 if path.name == "F16.gguf" else 100.0)
    )


# -- What is chosen ------------------------------------------------------------------------------


def test_what_may_be_as_precise_without_asking(tmp_path: Path, started: list[str]) -> None:
    found = {}
    for kind in ("Q4_0", "Q8_0", "F16", "BF16", "F32"):
        weight_type = GGMLQuantizationType[kind]
        file = verify(write_llama(tmp_path / f"{kind}.gguf", weight_type=weight_type))
        (tmp_path / kind).mkdir()
        gathered = gather(file, None, tmp_path / kind)
        assert gathered.left_out == {}
        assert gathered.paths[kind] == file.header.path
        found[kind] = [*gathered.paths]
    assert found == {
        "Q4_0": ["Q4_0", "F16", "BF16", "F32"],
        "Q8_0": ["Q8_0", "F16", "BF16", "F32"],
        "F16": ["F16", "F32"],
        "BF16": ["BF16", "F32"],
        "F32": ["F32"],
    }


def test_weights_that_would_lose_something_are_left_out(tmp_path: Path, started: list[str]) -> None:
    path = write_llama(tmp_path / "x.gguf", weight_type=Q4_1, edit=large_embedding(Q4_1))
    gathered = gather(verify(path), None, tmp_path)
    assert [*gathered.paths] == ["Q4_1", "BF16", "F32"]  # BF16 has the exponents of F32
    assert "validation failed" in gathered.left_out["F16"]


def test_a_matrix_in_whole_precision_keeps_it(tmp_path: Path, started: list[str]) -> None:
    def edit(writer: Any) -> None:
        del writer.tensors[0]["blk.0.ffn_up.weight"]
        data = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
        writer.add_tensor("blk.0.ffn_up.weight", data)

    path = write_llama(tmp_path / "x.gguf", weight_type=Q4_1, edit=edit)
    gathered = gather(verify(path), None, tmp_path)
    assert [*gathered.paths] == ["Q4_1", "F32"]
    reason = "blk.0.ffn_up.weight would lose bits of its F32"
    assert gathered.left_out == {"F16": reason, "BF16": reason}


def test_weights_that_answer_less_precisely_are_left_out(
    file: ModelFile, tmp_path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_candidates, "distances", lambda files: [0.0, 0.01, 0.02, 0.03])
    gathered = gather(file, None, tmp_path)
    assert [*gathered.paths] == ["Q4_1", "F32"]
    assert gathered.left_out == {
        "F16": "0.0200 nats from whole precision, Q4_1 only 0.0100",
        "BF16": "0.0300 nats from whole precision, Q4_1 only 0.0100",
    }
    monkeypatch.setattr(weight_candidates, "distances", lambda files: [0.0, 0.01, None, 0.01])
    gathered = gather(file, None, tmp_path)
    assert [*gathered.paths] == ["Q4_1", "BF16", "F32"]
    assert "overflow" in gathered.left_out["F16"]


@pytest.mark.parametrize("kind", ["Q4_1", "F16", "F32"])
def test_flash_attention_runs_where_it_is_as_precise_as_the_file(
    tmp_path: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(
        prepare, "speeds", spoken(lambda _, settings: 200.0 if settings.flash_attention else 100.0)
    )
    monkeypatch.setattr(prepare, "cells_per_token", lambda *_: 150)
    path = write_llama(tmp_path / "x.gguf", weight_type=GGMLQuantizationType[kind])
    flash = "cache f16, flash attention on"
    settings = load_model(path).identity.settings
    assert settings == (flash if kind == "Q4_1" else "cache f32, flash attention off")
    (choice,) = known()
    assert choice.settings.fill == (150 if kind == "Q4_1" else 0)
    monkeypatch.setattr(
        prepare, "distances", lambda trials: [0.0, None, None, None]
    )  # llama.cpp has none
    (tmp_path / "y.gguf").write_bytes(path.read_bytes() + bytes(32))
    assert load_model(tmp_path / "y.gguf").identity.settings != flash


# -- What runs -----------------------------------------------------------------------------------


def test_as_is_writes_nothing(path: Path, own_cache: Path, worth_it: None) -> None:
    model = load_model(path, weights="as-is")
    assert model.identity.weights == "Q4_1"
    assert not (own_cache / "prepared").exists()


def test_small_files_are_not_measured(path: Path, own_cache: Path, started: list[str]) -> None:
    model = load_model(path)
    assert model.identity.weights == "Q4_1"
    assert started == ["load_trial"]
    assert not (own_cache / "prepared").exists()


def test_the_fastest_runs_and_the_identity_says_so(
    path: Path, worth_it: None, own_cache: Path
) -> None:
    told: list[str] = []
    model = load_model(path, notify=told.append)
    assert model.identity.weights == "F16 from Q4_1"
    assert model.identity.sha256 == verify(path).sha256
    assert model.identity.name == str(path)
    assert model.identity.settings == "cache f32, flash attention off"
    folder = place(verify(path).sha256)
    assert len(told) == 2
    assert told[0] == "measuring how tiny é.gguf runs fastest on this machine: once, some seconds"
    pattern = r"tiny é\.gguf runs as F16 from Q4_1, 2\.0 times as fast, 0\.00\d\d nats from whole "
    pattern += r"precision instead of 0\.0\d{3}; it takes 0 MB in "
    assert re.fullmatch(pattern + re.escape(str(folder)), told[1])
    assert {file.suffix for file in folder.iterdir()} <= {".gguf", ".json", ""}
    assert [file.name for file in folder.glob("*.gguf")] == ["F16.gguf"]
    before = path.read_bytes()
    assert load_model(path, weights="as-is").identity.key != model.identity.key
    assert path.read_bytes() == before


def test_the_library_logs_what_it_does(
    path: Path, worth_it: None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", "promptkit.models")
    load_model(path)
    assert "runs as F16 from Q4_1" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_what_was_found_out_is_remembered(
    path: Path, worth_it: None, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_model(path)
    assert started.count("convert") == 3
    del started[:]
    again = load_model(path, notify=pytest.fail)
    assert again.identity == first.identity
    assert started == []
    monkeypatch.setattr(choices, "processor", lambda: "another one")
    assert load_model(path).identity == first.identity
    assert started.count("convert") == 3
    assert len([*known()]) == 2


def test_a_symbolic_link_is_its_file(
    path: Path, tmp_path: Path, worth_it: None, started: list[str]
) -> None:
    first = load_model(path)
    del started[:]
    (tmp_path / "link.gguf").symlink_to(path)
    again = load_model(tmp_path / "link.gguf", notify=pytest.fail)
    assert again.identity.key == first.identity.key
    assert started == []


def test_another_file_of_the_same_name(path: Path, worth_it: None) -> None:
    load_model(path)
    write_llama(path, weight_type=Q4_1, seed=1)
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == "F16 from Q4_1"
    assert len(told) == 2
    assert len({choice.sha256 for choice in known()}) == 2


@pytest.mark.parametrize("kind", ["f32", "bf16", "q8_0", "q4_0"])
def test_a_type_that_is_named_is_taken(kind: str, path: Path, started: list[str]) -> None:
    model = load_model(path, weights=kind)  # type: ignore[arg-type]
    assert model.identity.weights == f"{kind.upper()} from Q4_1"
    (choice,) = known()
    assert choice.made is not None
    assert verify(choice.made).header.weight_type == kind.upper()
    assert choice.distances[kind.upper()] >= choice.distances["F32"] == 0


def test_the_files_own_type_by_name(tmp_path: Path, started: list[str]) -> None:
    path = write_llama(tmp_path / "x.gguf", weight_type=GGMLQuantizationType.Q8_0)
    assert load_model(path, weights="q8_0").identity.weights == "Q8_0"
    (choice,) = known()
    assert choice.made is None
    assert choice.measured


def test_threads_that_are_asked_for(path: Path, worth_it: None) -> None:
    assert prepared(verify(path)).settings.threads == hardware.cores()
    assert load_model(path, threads=1).identity == load_model(path).identity


def test_an_adapter_is_loaded_beside_what_was_made(
    path: Path, tmp_path: Path, worth_it: None
) -> None:
    lora = tmp_path / "lora.gguf"
    write_lora(lora)
    model = load_model(path, adapter=lora)
    assert model.identity.weights == "F16 from Q4_1"
    assert model.identity.adapter == digest(lora)
    (prompt,) = model.tokenize([Prompt((Piece("A peach is a", "template"),))])
    (_, made) = next(model.generate([prompt], Sampling(4)))
    assert made.generated


def test_a_type_nobody_knows(path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"unknown weights 'f8'; choose one of: auto, as-is, f32, .*"
    ):
        load_model(path, weights="f8")  # type: ignore[arg-type]


def test_large_models_are_prepared_on_request(
    path: Path, own_cache: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "LARGE", 1)
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == "Q4_1"
    assert told == [
        "tiny é.gguf may run faster with other weights; to find out, once, in some minutes: "
        f"promptkit models prepare {path}"
    ]
    prepare.prepare(verify(path))
    assert load_model(path, notify=pytest.fail).identity.weights == "F16 from Q4_1"


# -- Busy machines -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_attention_and_cache_are_tried_together(
    path: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def speed(path: Path, settings: RuntimeSettings) -> float:
        fits = settings.flash_attention and settings.cache == kind.lower()
        return (2 if fits else 1) * (300.0 if path.name == f"{kind}.gguf" else 100.0)

    monkeypatch.setattr(prepare, "speeds", spoken(speed))
    identity = load_model(path).identity
    assert identity.weights == f"{kind} from Q4_1"
    assert identity.settings == f"cache {kind.lower()}, flash attention on"
    (choice,) = known()
    attention = {(one.settings.flash_attention, one.settings.cache) for one in choice.measured}
    assert attention == {(False, "f32"), (False, "f16"), (True, "f16"), (True, "f32")}
    assert choice.gain == 6


def test_readings_that_never_settle_are_taken_again_later_but_not_for_ever(
    path: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr(prepare, "now", lambda: now[0])
    monkeypatch.setattr(prepare, "speeds", spoken(lambda *_: 100.0, settled=False))
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == "Q4_1"
    assert told[-1].endswith("; the machine was busy, so it will be measured again")
    load_model(path, notify=pytest.fail)  # not at every load
    for attempt in range(2, ATTEMPTS + 1):
        now[0] += RETRY_SECONDS + 1
        load_model(path, notify=told.append)
        assert len(told) == 2 * attempt
        load_model(path, notify=pytest.fail)
    assert "busy" not in told[-1]
    now[0] += 100 * RETRY_SECONDS
    load_model(path, notify=pytest.fail)


def test_a_quiet_moment_settles_it(
    path: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "speeds", spoken(lambda *_: 100.0, settled=False))
        assert load_model(path).identity.weights == "Q4_1"
    later = prepare.now() + RETRY_SECONDS + 1
    monkeypatch.setattr(prepare, "now", lambda: later)
    assert load_model(path).identity.weights == "F16 from Q4_1"
    load_model(path, notify=pytest.fail)
    (choice,) = known()
    assert choice.settled


def test_a_record_of_three_readings_is_measured_once_more(
    path: Path, file: ModelFile, worth_it: None
) -> None:
    choice = prepare.prepare(file)
    (record,) = place(file.sha256).glob("*.json")
    data = json.loads(record.read_text())
    for name in ("settled", "attempts", "measured_at"):
        del data[name]  # as versions before wrote it
    record.write_text(json.dumps(data))
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == choice.label
    assert len(told) == 2
    load_model(path, notify=pytest.fail)


def test_a_choice_stays_where_measuring_it_again_fails(
    path: Path, file: ModelFile, worth_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices.remember(prepare.prepare(file).model_copy(update={"settled": False, "measured_at": 0}))
    monkeypatch.setattr(weight_candidates, "free_memory", lambda: 10_000)
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == "F16 from Q4_1"
    assert told[-1].endswith("; it runs as before")
    load_model(path, notify=pytest.fail)


@pytest.mark.parametrize("batches", [(64,), (32, 64, 128)])
def test_speeds_are_measured_with_real_models(file: ModelFile, batches: tuple[int, ...]) -> None:
    settings = [RuntimeSettings(threads=1, batch=batch) for batch in batches]
    found = speed.speeds([(file.header.path, one) for one in settings])
    assert len(found.tokens_per_second) == len(batches)
    assert min(found.tokens_per_second) > 0


# -- What can go wrong ---------------------------------------------------------------------------


def as_it_is(path: Path, reason: str) -> None:
    """`auto` runs the file as it is and says why; a type that is named is an error."""
    told: list[str] = []
    assert load_model(path, notify=told.append).identity.weights == "Q4_1"
    assert told[-1].startswith("tiny é.gguf cannot be prepared: ")
    assert reason in told[-1]
    assert told[-1].endswith("; it runs as it is")
    with pytest.raises(ModelError, match=r"^tiny é\.gguf cannot be prepared: ") as caught:
        load_model(path, weights="f16")
    assert reason in str(caught.value)


def test_a_cache_that_cannot_be_written(
    path: Path, tmp_path: Path, worth_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMPTKIT_CACHE", str(tmp_path / "file"))
    as_it_is(path, "Not a directory")


@pytest.mark.parametrize("what", ["disk", "memory"])
def test_no_room(
    what: str, path: Path, worth_it: None, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "disk":
        usage = SimpleNamespace(free=10_000)
        monkeypatch.setattr(weight_candidates.shutil, "disk_usage", lambda folder: usage)
    else:
        monkeypatch.setattr(weight_candidates, "free_memory", lambda: 10_000)
    as_it_is(path, f"GB of {what} for a while")
    assert [*own_cache.rglob("*.json")] == []
    assert [*own_cache.rglob("*.gguf")] == []


def test_room_for_what_is_named_but_not_for_comparing_it(
    path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elements = verify(path).header.elements
    monkeypatch.setattr(weight_candidates, "free_memory", lambda: 2 * 2 * elements + 1)
    assert load_model(path, weights="f16").identity.weights == "F16 from Q4_1"
    (choice,) = known()
    assert choice.distances == {}


def test_a_disk_that_fills_up_meanwhile(
    path: Path, worth_it: None, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    as_it_is(path, "No space left on device")
    assert [*own_cache.rglob("*.gguf")] == []


def test_llama_cpp_crashes_while_it_is_measured(
    path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "SMALL", 0)
    run = isolated.subprocess.run

    def crashing(command: list[str], **options: Any) -> object:
        if command[2].endswith(".speed"):
            command = [sys.executable, "-c", "import os; os.abort()"]
        return run(command, **options)

    monkeypatch.setattr(isolated.subprocess, "run", crashing)
    as_it_is(path, "llama.cpp crashes on it (killed)")
    assert [*own_cache.rglob("*.gguf")] == []


@pytest.mark.parametrize("damage", ["gone", "cut", "another byte", "record", "no record"])
def test_what_is_kept_is_damaged(damage: str, path: Path, worth_it: None, file: ModelFile) -> None:
    made = prepare.prepare(file).made
    assert made is not None
    content = made.read_bytes()
    (record,) = made.parent.glob("*.json")
    if damage == "gone":
        made.unlink()
    elif damage == "cut":
        made.write_bytes(content[:-100])
    elif damage == "another byte":
        made.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "record":
        record.write_text("{")
    else:
        record.unlink()
    assert recall(file.sha256, "auto") is None
    assert load_model(path).identity.weights == "F16 from Q4_1"
    assert made.read_bytes() == content


def test_what_a_killed_process_left_is_cleared(file: ModelFile, started: list[str]) -> None:
    stale = place(file.sha256) / "partial-x"
    stale.mkdir(parents=True)
    (stale / "F16.gguf").write_bytes(bytes(1000))
    prepare.prepare(file, "f16")
    assert not stale.exists()


def command(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "promptkit", "models", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(prepare.__file__).parents[3])},
    )


def test_two_processes_at_once(path: Path, file: ModelFile) -> None:
    both = [command("prepare", path, "--weights", "f16", "--json", "-") for _ in range(2)]
    answers = [child.communicate() for child in both]
    assert [child.returncode for child in both] == [0, 0]
    one, other = (json.loads(out) for out, _ in answers)
    assert one["made_sha256"] == other["made_sha256"]
    assert recall(file.sha256, "f16") is not None
    assert [*place(file.sha256).glob("partial-*")] == []


def test_an_interruption_leaves_nothing(path: Path, file: ModelFile) -> None:
    child = command("prepare", path, "--weights", "f16")
    while child.poll() is None and not [*place(file.sha256).glob("partial-*/*.gguf")]:
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    assert child.communicate() == ("", "interrupted; nothing was kept\n")
    assert child.returncode == 130
    assert [kept.name for kept in place(file.sha256).iterdir()] == ["lock"]


# -- The bundled model ---------------------------------------------------------------------------


@pytest.mark.model
def test_the_bundled_model_is_nearer_to_whole_precision(own_cache: Path, smollm2: Any) -> None:
    own_cache.mkdir()
    with TemporaryDirectory(dir=own_cache) as folder:  # where its 800 MB do not stay
        gathered = gather(verify(find("smollm2")), None, Path(folder))
    assert [*gathered.paths] == ["Q4_1", "F16", "BF16", "F32"]
    own, half, brain = (gathered.distances[kind] for kind in ("Q4_1", "F16", "BF16"))
    assert half < 0.01 < own
    assert half < brain < own
