"""A calibration that has learnt, and corrects the probabilities of queries that come later.

A comparison lets each method learn for each cell. Here one method has learnt for one predictor:
what it needs is a few numbers per label, and they are kept instead of the probes. Methods that
look at the shots of a query, or at its own options, ask their probes where they know none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from promptkit.calibration import apply, methods
from promptkit.calibration.methods import Calibration, HeldOut, Scores
from promptkit.calibration.option_orders import count_of
from promptkit.errors import TaskError
from promptkit.inference.batch import CellRequests
from promptkit.inference.prediction import Ask, Asked, Prediction, Predictor
from promptkit.inference.voting import pooled
from promptkit.translation import tr

ANY = ""
"""Key of what is the same after any shots."""

Numbers = tuple[tuple[float, ...], ...]
"""Numbers that a method has learnt, one row of them or two."""

AFTER_SHOTS: tuple[Calibration, ...] = ("contextual", "domain-context")
"""Methods that learn after the shots of a query."""


@dataclass(frozen=True)
class FittedCalibration:
    """A method of calibration and what it has learnt, by the shots that it was learnt after.

    Example:
        >>> calibration = FittedCalibration("temperature", {"": ((0.5,),)})
        >>> calibration.to_dict()
        {'method': 'temperature', 'learnt': {'': [[0.5]]}}
    """

    method: str
    """Name of the method; `orders=N` averages over orders of options."""
    learnt: Mapping[str, Numbers] = field(default_factory=dict)
    """Numbers by the ids of the shots, joined by newlines; by "" where they do not matter."""

    def calibrated(
        self, predictor: Predictor, asked: Asked, predictions: Sequence[Prediction], ask: Ask, /
    ) -> list[dict[str, float]]:
        """Return the calibrated probabilities of the labels of each query.

        Args:
            predictor: The predictor.
            asked: The queries and their requests.
            predictions: Their predictions, before calibration.
            ask: A function that returns the responses to requests.

        Raises:
            TaskError: The answers have no scores.
        """
        found: list[dict[str, float]] = [{} for _ in predictions]
        unknown: dict[int, None] = {}
        for number, made in enumerate(predictions):
            numbers = self.learnt.get(ANY) or self.learnt.get(_key(made.shot_ids))
            if numbers is None:
                unknown[number] = None
            else:
                found[number] = _probabilities(self.method, made, numbers)
        if unknown:
            rest = [*unknown]
            cell = CellRequests(
                predictor,
                [asked.queries[i] for i in rest],
                [asked.requests[i] for i in rest],
                asked.renderer,
            )
            stage, _ = apply.plan([self.method], [cell])
            (requests,) = stage.requests(())
            (made_anew,) = stage.apply(
                [[predictions[i] for i in rest]], [[*ask(requests.requests)]]
            )
            for number, one in zip(rest, made_anew, strict=True):
                found[number] = dict(one.calibrated[self.method])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the method and what it has learnt as JSON can hold it; no chance is null."""
        learnt = {
            key: [[None if one == -np.inf else one for one in row] for row in rows]
            for key, rows in self.learnt.items()
        }
        return {"method": self.method, "learnt": learnt}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FittedCalibration:
        """Return a calibration that `to_dict` has written. Raises `TaskError`."""
        try:
            method = data["method"]
            known = {*methods.CALIBRATIONS, *methods.OPTION_CALIBRATIONS}
            if method not in known and count_of(method) is None:
                raise ValueError(tr("there is no method {method!r}", method=method))
            learnt = {
                str(key): tuple(
                    [tuple([-np.inf if one is None else float(one) for one in row]) for row in rows]
                )
                for key, rows in data["learnt"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaskError(tr("this is no calibration: {error}", error=error)) from None
        return cls(method, learnt)


def fit(
    method: str,
    cell: CellRequests,
    predictions: Sequence[Prediction],
    ask: Ask,
    beside: Sequence[CellRequests] = (),
) -> FittedCalibration:
    """Return a calibration that has learnt what a comparison lets it learn for one of its cells.

    Args:
        method: Name of the method.
        cell: Queries of a cell whose answers are labels or options, with their requests; `batch`
            learns from the scores of these queries, without their gold labels.
        predictions: Their predictions.
        ask: A function that returns the responses to requests.
        beside: Other cells of the comparison: what they show is not learnt from.

    Raises:
        TaskError: There is no such method, the task has no probes for it, or the predictor gives no
            probabilities.
    """
    task = cell.predictor.task
    if cell.predictor.scores == "best":
        raise TaskError(tr("scores best: gives no probabilities to calibrate; say all"))
    if count_of(method) is not None:  # of each query's own options
        return FittedCalibration(method)
    (name,) = apply.methods_of([method], task)
    if name == "batch":
        table = [[*(made.logprobs or {}).values()] for made in predictions]
        return FittedCalibration(name, {ANY: (_row(methods.mean_logprob(table)),)})
    if task.options is not None:  # of each query, so that nothing can be kept
        return FittedCalibration(name)
    stage, _ = apply.plan([name], [cell, *beside])
    probes = stage.probes[0][name]
    responses = iter(ask(probes.requests))
    learnt: dict[str, Numbers] = {}
    for queries, requests in probes.parts:
        heard = [pooled(samples).logprobs for samples in islice(responses, len(requests))]
        key = _key(predictions[queries[0]].shot_ids) if name in AFTER_SHOTS else ANY
        learnt[key] = _learn(name, HeldOut(heard, probes.gold))
    return FittedCalibration(name, learnt)


def _learn(method: str, heard: HeldOut) -> Numbers:
    """Return what a method learns from the scores of its probes."""
    if method == "temperature":
        return ((methods.best_temperature(heard),),)
    if method == "vector":
        factors, shifts = methods.best_scales(heard)
        return _row(factors), _row(shifts)
    return (_row(methods.mean_chance(heard.scores)),)


def _probabilities(method: str, made: Prediction, numbers: Numbers) -> dict[str, float]:
    if made.logprobs is None:
        raise TaskError(
            tr("calibration corrects the probabilities of labels; this answer has none")
        )
    scores = [[*made.logprobs.values()]]
    if method in ("temperature", "vector"):
        table = methods.scaled(scores, *numbers)
    else:
        table = methods.over(scores, np.array(numbers[0]))
    return dict(zip(made.logprobs, np.exp(table)[0].tolist(), strict=True))


def _row(values: Scores) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())


def _key(shots: Sequence[str]) -> str:
    return "\n".join(shots) or ANY
