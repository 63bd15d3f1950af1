"""A fitted calibration gives later queries what a comparison gave them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import promptkit
from promptkit.calibration.fitted import FittedCalibration, fit
from promptkit.calibration.methods import CALIBRATIONS, OPTION_CALIBRATIONS
from promptkit.errors import TaskError
from promptkit.inference.batch import CellRequests
from promptkit.inference.prediction import Predictor


def _fitted(predictor: Predictor, method: str, queries: list[Any]) -> FittedCalibration:
    renderer = predictor.template.renderer(predictor.task)
    cell = CellRequests(predictor, queries, predictor.tokenize(queries, renderer), renderer)
    return fit(method, cell, predictor.predict(queries), predictor.ask)


@pytest.mark.parametrize("selection", ["balanced", "similar"])
@pytest.mark.parametrize("method", CALIBRATIONS)
def test_it_gives_what_the_comparison_gave(method: str, selection: str) -> None:
    if selection == "similar" and method in ("temperature", "vector"):
        return  # every demonstration is a shot of some query, and nothing is left to learn from
    task, model = promptkit.load_task("examples/fruit"), promptkit.FakeModel()
    run = promptkit.compare(
        task,
        models=[model],
        shots=[3],
        seeds=1,
        selections=[selection],
        calibrations=[method],
        store=promptkit.Store(),
    )
    predictor = Predictor(task, promptkit.Template.of(task), model, 3, selection=selection)
    found = _fitted(predictor, method, list(task.tests))
    saved = FittedCalibration.from_dict(json.loads(json.dumps(found.to_dict())))
    assert saved == found
    answers = replace(predictor, calibration=saved).predict(task.tests)
    for before, after in zip(run.predictions, answers, strict=True):
        wanted = before.calibrated[method]
        assert after.probs == wanted == after.calibrated[method]
        assert after.label == max(wanted, key=wanted.__getitem__)
        assert after.correct == (after.label == after.gold)
        assert after.calibration == method
        assert after.logprobs == before.logprobs


@pytest.mark.parametrize("method", OPTION_CALIBRATIONS)
def test_options_of_each_query_are_corrected_by_their_own(method: str) -> None:
    task, model = promptkit.load_task("examples/quiz"), promptkit.FakeModel()
    run = promptkit.compare(
        task, models=[model], shots=[2], seeds=1, calibrations=[method], store=promptkit.Store()
    )
    predictor = Predictor(task, promptkit.Template.of(task), model, 2)
    found = _fitted(predictor, method, list(task.tests))
    answers = replace(predictor, calibration=found).predict(task.tests)
    for before, after in zip(run.predictions, answers, strict=True):
        wanted = before.calibrated[method]
        assert after.probs == pytest.approx(dict(wanted), rel=1e-12)


def test_new_shots_have_their_probes_asked() -> None:
    task, model = promptkit.load_task("examples/fruit"), promptkit.FakeModel()
    predictor = Predictor(task, promptkit.Template.of(task), model, 2, selection="similar")
    queries = list(task.tests)
    found = _fitted(predictor, "contextual", queries[:1])
    answers = replace(predictor, calibration=found).predict(queries[:9])
    whole = replace(predictor, calibration=_fitted(predictor, "contextual", queries))
    assert [one.probs for one in answers] == [one.probs for one in whole.predict(queries[:9])]


def test_an_answer_that_is_not_above_the_threshold_is_held_back() -> None:
    task = promptkit.load_task("examples/fruit")
    plain = Predictor(task, promptkit.Template.of(task), promptkit.FakeModel(), 2)
    made = plain.predict(task.tests)
    heights = sorted(max((one.probs or {}).values()) for one in made)
    threshold = heights[len(heights) // 2]
    for before, after in zip(
        made, replace(plain, threshold=threshold).predict(task.tests), strict=True
    ):
        held = max((before.probs or {}).values()) <= threshold
        assert after.abstained == held
        assert after.label == (None if held else before.label)
        assert after.probs == before.probs
        assert (after.failure is not None) == held
        assert after.correct == (before.correct and not held)


def test_what_is_no_calibration_is_refused() -> None:
    for data in (
        {},
        {"method": "guess", "learnt": {}},
        {"method": "batch", "learnt": {"": [["a"]]}},
    ):
        with pytest.raises(TaskError, match="no calibration"):
            FittedCalibration.from_dict(data)
