"""The part of the lean that calibration removes, on inputs that it did not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from promptkit.auditing.prompt_bias_results import CalibrationLean
from promptkit.auditing.prompt_leans import BiasAsking, Probs, Queries, distance
from promptkit.calibration.calibrated_predictors import calibrated_predictor
from promptkit.errors import PromptkitError
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.translation import tr

LEARNT = {"contextual": "content-free", "domain-context": "random words"}
"""The probes that a method learns from after the shots of a query."""

METHODS = ("contextual", "domain-context", "batch")
"""Methods that remove what a prompt leans to."""


def calibration_leans(
    asking: BiasAsking, probes: Mapping[str, Queries], tests: Queries, methods: Sequence[str]
) -> Iterator[CalibrationLean | str]:
    """Yield what is left of the lean under each method, the model's own probabilities first.

    A method that cannot be applied yields the reason.

    Args:
        asking: How prompts are asked.
        probes: Inputs that say nothing, by kind: `content-free` and `random words`.
        tests: Queries, which batch calibration learns from.
        methods: Names of methods.
    """
    for method in (RAW, *methods):
        if method == "batch" and len(tests) < 2:
            yield tr("batch left out: it learns from tests, and there are none")
            continue
        try:
            predictor = _calibrated(asking, method, tests or probes["content-free"])
        except PromptkitError as error:
            yield tr("{method} left out: {error}", method=method, error=error)
            continue
        left = {
            kind: distance(_mean(predictor.predict(own, store=asking.store)))
            for kind, own in probes.items()
            if LEARNT.get(method) != kind and own
        }
        answers = _answers(predictor, tests, asking)
        yield CalibrationLean(method, left.get("content-free"), left.get("random words"), answers)


def _calibrated(asking: BiasAsking, method: str, queries: Queries) -> Predictor:
    base = asking.base
    return calibrated_predictor(base, method, queries, base.shots, asking.store)[0]


def _mean(predictions: Sequence[Prediction]) -> Probs:
    """Return the mean probability of each label over inputs."""
    rows: Probs = np.array([[*(made.probs or {}).values()] for made in predictions])
    mean: Probs = rows.mean(axis=0)
    return mean


def _answers(predictor: Predictor, tests: Queries, asking: BiasAsking) -> float | None:
    """Return the distance of the frequencies of answers from those of the gold labels."""
    task, labelled = asking.base.task, [query for query in tests if query.labelled]
    if not labelled:
        return None
    made = predictor.predict(labelled, store=asking.store, progress=asking.progress)
    values = [task.output_type.text(query.output) for query in labelled]
    said = [task.output_type.label_of.get(one.label) for one in made]
    gold = np.array([values.count(label) for label in task.labels]) / len(values)
    own = np.array([said.count(label) for label in task.labels]) / len(said)
    return distance(own, gold)


def without_calibration(predictor: Predictor) -> Predictor:
    """Return a prompt that gives the model's own probabilities, and every answer."""
    return replace(predictor, calibration=None, threshold=None)
