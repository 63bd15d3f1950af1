"""`promptkit serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from serving import EXAMPLE, started

import promptkit as pk


@pytest.mark.model
def test_the_bundled_model_answers_as_when_it_was_frozen(smollm2: Any, tmp_path: Path) -> None:
    task = pk.load_task(EXAMPLE)
    own = pk.Predictor(task, pk.Template.of(task), smollm2, shots=2)
    file = pk.freeze(own, tmp_path / "fruit.promptkit")
    known = own.predict([*task.tests][:3])
    words = ["serve", str(file), "--port", "0", "--threads", "1"]
    with started([sys.executable, "-m", "promptkit", *words]) as server:
        inputs = [dict(query.input) for query in [*task.tests][:3]]
        said = server.post(inputs).json()
        code, errors = server.stop()
    assert [one["label"] for one in said["answers"]] == [one.label for one in known]
    for answer, one in zip(said["answers"], known, strict=True):
        assert answer["probs"] == pytest.approx(one.probs, abs=0.02)
    assert said["predictor"]["name"] == "fruit"
    assert said["predictor"]["sha256"] == smollm2.identity.sha256
    assert code == 0
    assert "error" not in errors


@pytest.mark.slow
def test_a_lookup_table_is_served(tmp_path: Path) -> None:
    rows = [{"input": {"name": "Aspirin"}, "label": "acetylsalicylic acid"}]
    pk.build_lookup(rows, tmp_path / "names.lookup")
    words = ["serve", str(tmp_path / "names.lookup"), "--port", "0", "--default", "unknown"]
    with started([sys.executable, "-m", "promptkit", *words]) as server:
        said = server.post([{"name": "aspirin"}, {"name": "b"}]).json()["answers"]
        assert [one["label"] for one in said] == ["acetylsalicylic acid", "unknown"]
        assert server.stop() == (0, "")


def test_what_cannot_be_served_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.lookup").write_text("no table")
    for words, reason in (
        (["none.promptkit"], "none.promptkit"),
        (["none.lookup"], "No such file"),
        (["a.lookup"], "not a lookup table"),
        (["a.promptkit", "--default", "b"], "are for lookup tables"),
        (["a.lookup", "--port", "99999"], "65535"),
        (["a.lookup", "--rate", "0"], "0.001"),
    ):
        said = run("serve", *words)
        assert said.code == 2
        assert reason in said.err
        assert "Traceback" not in said.err


def test_what_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith("promptkit.serving"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = run("serve", "a.promptkit")
    assert said.code == 2
    assert "pip install 'promptkit-fewshot[server]'" in " ".join(said.err.split())
