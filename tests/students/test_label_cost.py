"""Cost of labels: what the teacher took, also where the prediction store had its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comparisons import Timed
from samples import COLON, parity_task

import promptkit as pk
from promptkit.inference.answering import counting_reused

ROWS = [{"word": "w" * (10 + number)} for number in range(20)]


def distilled(model: Any, store: pk.Store, out: Path | None = None, shots: int = 2) -> pk.Student:
    teacher = pk.Predictor(parity_task(), COLON, model, shots)
    return pk.distill(teacher, ROWS, store=store, out=out, curve=False)


def test_answers_from_the_store_cost_what_they_took(tmp_path: Path) -> None:
    store = pk.Store()
    first = distilled(Timed(), store).profile
    model = Timed()
    again = distilled(model, store, tmp_path / "again").profile
    assert model.usage.decoded_tokens == 0
    assert again.seconds > 20 * 0.1
    assert 0 < again.tokens < first.tokens  # as they are read with what they share read once
    kept = distilled(Timed(), store, tmp_path / "again").profile
    assert (kept.tokens, kept.seconds) == (again.tokens, pytest.approx(again.seconds, abs=1))
    (cost,) = (tmp_path / "again.labels").glob("*.cost.json")
    assert json.loads(cost.read_text())["tokens"] == again.tokens


def test_a_run_that_goes_on_adds_its_own_cost(tmp_path: Path) -> None:
    """What was answered and not yet counted is found in the store, and counted then."""

    class Ending(Timed):
        def score(self, prompts: Any) -> Any:
            for number, scored in enumerate(super().score(prompts)):
                if number == 5:
                    raise KeyboardInterrupt
                yield scored

    store = pk.Store()
    with pytest.raises(KeyboardInterrupt):
        distilled(Ending(), store, tmp_path / "student")
    assert not [*(tmp_path / "student.labels").glob("*.cost.json")]
    done = distilled(Timed(), store, tmp_path / "student").profile
    assert 5 * 0.1 < done.seconds < 20 * 0.1


def test_nothing_is_counted_where_nobody_asks(tmp_path: Path) -> None:
    predictor = pk.Predictor(parity_task(), COLON, Timed(), 2)
    store = pk.Store()
    predictor.predict(parity_task().tests, store=store)
    with counting_reused() as reused:
        predictor.predict(parity_task().tests, store=store)
    assert reused.decode_seconds == pytest.approx(0.6)
    assert reused.decoded_tokens > 0
    before = reused.decoded_tokens
    predictor.predict(parity_task().tests, store=store)
    assert reused.decoded_tokens == before
