"""Lookup tables over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import promptkit as pk
from promptkit.serving import served_lookup
from promptkit.serving.application import service


def table(file: Path, label: str = "aspirin", **how: Any) -> pk.Lookup:
    probs = {label: 0.75, "other": 0.25}
    rows = [{"input": {"name": "Aspirin C"}, "label": label, "probs": probs, "margin": 1.0}]
    pk.build_lookup(rows, file)
    return pk.Lookup(file, **how)


def test_inputs_are_looked_up_without_a_task(tmp_path: Path) -> None:
    own = table(tmp_path / "names.lookup")
    with TestClient(service(own)) as client:
        said = client.post("/predict", json={"name": "aspirin  c"}).json()
        assert (said["label"], said["match"], said["margin"]) == ("aspirin", "normalised", 1.0)
        assert said["probs"] == {"aspirin": 0.75, "other": 0.25}
        assert said["predictor"]["name"] == "names.lookup"
        assert said["predictor"]["sha256"] == own.sha256
        found, missed = client.post("/predict", json=[{"name": "Aspirin C"}, {"name": "b"}]).json()[
            "answers"
        ]
        assert (found["match"], found["failure"]) == ("exact", None)
        assert (missed["label"], missed["match"]) == (None, None)
        assert missed["failure"].startswith("no answer to {'name': 'b'}")
        for wrong in ({"name": 1}, {}, {"name": "a", "age": 1}, "a"):
            assert client.post("/predict", json=wrong).status_code == 422
        assert "promptkit_requests_total" in client.get("/metrics").text
        assert client.get("/openapi.json").json()["info"]["title"] == "names.lookup by promptkit"


def test_a_default_is_the_answer_to_what_is_missing(tmp_path: Path) -> None:
    with TestClient(service(table(tmp_path / "a.lookup", default="none"))) as client:
        said = client.post("/predict", json={"name": "b"}).json()
        assert (said["label"], said["match"]) == ("none", "default")


def test_a_predictor_answers_what_is_missing(tmp_path: Path) -> None:
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    model = pk.FakeModel(lambda prompt: "pome")
    own = pk.Predictor(task, pk.Template.of(task), model)
    kept = table(tmp_path / "a.lookup", "drupe", fallback=own, task=task)
    with TestClient(service(kept)) as client:
        asked = [{"name": "Aspirin C"}, {"name": "apple"}]
        said = client.post("/predict", json=asked).json()["answers"]
        assert [one["label"] for one in said] == ["drupe", "pome"]


def test_a_table_that_is_replaced_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_lookup, "LOOK_EVERY", 0.0)
    own = table(tmp_path / "names.lookup")
    with TestClient(service(own)) as client:
        ask: Callable[[], Any] = lambda: client.post("/predict", json={"name": "Aspirin C"}).json()  # noqa: E731
        before = ask()
        table(tmp_path / "names.lookup", "acetylsalicylic acid")
        now = ask()
    assert (before["label"], now["label"]) == ("aspirin", "acetylsalicylic acid")
    assert before["predictor"]["sha256"] != now["predictor"]["sha256"]
