"""Thresholds of a cascade: above which confidence each step may answer.

A third of the rows is learnt from: there, the error of each step is fitted as a function of its
confidence, and one number, the largest error that an answer is expected to have, orders all
thresholds from careful to bold. The other rows test them in this order, beginning with those that
are the surest on the first third, each by the exact bound of Clopper and Pearson on the error of
the cascade as a whole. The first that fails ends it, and the last that passed is chosen. The order
is fixed before these rows are looked at, so no correction for the number of tests is needed: the
chance that the stated error is exceeded on new rows is at most 5 %, whatever the steps are.

Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then test", arXiv 2110.01052, 2021 (fixed
sequences, with a split); Clopper and Pearson, Biometrika 26, 1934; Platt, "Probabilistic outputs
for support vector machines", 1999.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.evaluation.selective import LEVEL, error_bound

LEARNT = 1 / 3
"""Share of the rows that thresholds are learnt from."""

POINTS = 30
"""Number of sets of thresholds that are tested at the most."""

_FIRMEST = 1e-9  # distance of a confidence from 0 and 1 below which it counts as this
_NEWTON = 50  # steps; a fit of two numbers takes about ten
_RIDGE = 1e-3  # keeps the fit of rows that a confidence tells apart finite
_FAR = 20.0  # logit of an error that is all but sure

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Thresholds = tuple[float | None, ...]
"""The confidence above which each step answers; None for a last one that answers everything."""


class StepAnswers(NamedTuple):
    """Answers of one step to all rows."""

    confidence: Floats
    """Confidence of each answer, from 0 to 1; 0 where there is none."""
    wrong: Flags
    """True for wrong answers, and where there is none."""

    def of(self, rows: NDArray[np.intp]) -> StepAnswers:
        """Return the answers to some rows."""
        return StepAnswers(self.confidence[rows], self.wrong[rows])


class Routed(NamedTuple):
    """Rows as a cascade answers them."""

    step: NDArray[np.intp]
    """Step that answers each row; -1 for rows that are held back."""
    wrong: Flags
    """True where the answer that is given is wrong."""

    @property
    def answered(self) -> int:
        """Return the number of rows that are answered."""
        return int((self.step >= 0).sum())

    @property
    def bound(self) -> float:
        """Return the upper bound on the error of the answers that are given."""
        return error_bound(int(self.wrong.sum()), self.answered, 1 - LEVEL)


class ChosenThresholds(NamedTuple):
    """Thresholds that were chosen, and the rows that they were tested on."""

    thresholds: Thresholds | None
    """None where no thresholds are shown to keep the error."""
    tested: NDArray[np.intp]
    """Numbers of the rows that had no part in learning."""


def route(steps: Sequence[StepAnswers], thresholds: Thresholds) -> Routed:
    """Return the step that answers each row, and where it is wrong.

    Args:
        steps: The answers of each step.
        thresholds: Those of each step.
    """
    step = np.full(len(steps[0].wrong), -1)
    wrong = np.zeros(len(step), np.bool_)
    for number, (answers, above) in enumerate(zip(steps, thresholds, strict=True)):
        passed = np.ones(len(step), np.bool_) if above is None else answers.confidence > above
        mine = passed & (step < 0)
        step[mine] = number
        wrong[mine] = answers.wrong[mine]
    return Routed(step, wrong)


def choose(
    steps: Sequence[StepAnswers], error: float, *, abstain: bool = False, seed: int = 0
) -> ChosenThresholds:
    """Return the boldest thresholds that are shown to keep an error, with 95 % confidence.

    Args:
        steps: The answers of each step to the same rows, the cheapest first.
        error: The largest share of wrong answers among those that the cascade gives.
        abstain: Whether the last step may hold an answer back; otherwise it answers everything.
        seed: Number of the draw of the rows that are learnt from.
    """
    drawn = np.random.default_rng(seed).permutation(len(steps[0].wrong))
    count = round(LEARNT * len(drawn))
    learnt = [one.of(drawn[:count]) for one in steps]
    tested = np.sort(drawn[count:])
    held_out = [one.of(tested) for one in steps]
    best: Thresholds | None = None
    for thresholds in _in_order(learnt, error, abstain):
        if route(held_out, thresholds).bound > error:
            break
        best = thresholds
    return ChosenThresholds(best, tested)


def _in_order(learnt: Sequence[StepAnswers], error: float, abstain: bool) -> Iterator[Thresholds]:
    """Yield thresholds from the surest to the boldest."""
    path = [*_path(learnt, abstain)]
    chances = [_chance(route(learnt, thresholds), error) for thresholds in path]
    surest = max(place for place, one in enumerate(chances) if one == min(chances))
    yield from path[surest:]


def _chance(routed: Routed, error: float) -> float:
    """Return the chance of so few wrong answers if each is wrong with the probability `error`."""
    from scipy.special import bdtr  # imported where it is needed: it takes a moment

    return float(bdtr(int(routed.wrong.sum()), routed.answered, error)) if routed.answered else 1.0


def _path(learnt: Sequence[StepAnswers], abstain: bool) -> Iterator[Thresholds]:
    """Yield the thresholds for each largest expected error of an answer, in ascending order."""
    fitted = [_fit(one) for one in (learnt if abstain else learnt[:-1])]
    expected = [
        one.expected(answers.confidence) for one, answers in zip(fitted, learnt, strict=False)
    ]
    every = np.unique(np.concatenate([*expected, np.zeros(0)]))
    places = np.linspace(0, len(every) - 1, min(len(every), POINTS - 2)).round().astype(int)
    for most in (-1.0, *every[places], 1.0):
        own = tuple(one.threshold(float(most)) for one in fitted)
        yield own if abstain else (*own, None)


class _ErrorCurve(NamedTuple):
    """Error of a step as a function of its confidence, which falls or stays."""

    level: float
    slope: float

    def expected(self, confidence: Floats) -> Floats:
        """Return the expected error at each confidence."""
        return _sigmoid(self.level + self.slope * _logit(confidence))

    def threshold(self, most: float) -> float:
        """Return the confidence from which on the expected error is at most `most`."""
        if most <= 0:
            return 1.0
        if most >= 1:
            return 0.0
        if self.slope == 0:
            return float(_sigmoid(np.array(self.level)) > most)
        at = (_logit(np.array(most)) - self.level) / self.slope
        return float(np.nextafter(_sigmoid(at), 0.0))  # at which it is reached, and so is answered


def _fit(answers: StepAnswers) -> _ErrorCurve:
    """Return the error as a function of the confidence, by logistic regression.

    Targets are a little inside 0 and 1 (Platt), so that a step without errors has a fit too.
    """
    known = answers.confidence > 0
    places, wrong = _logit(answers.confidence[known]), answers.wrong[known]
    errors, right = int(wrong.sum()), int((~wrong).sum())
    if len(places) == 0:
        return _ErrorCurve(_FAR, 0.0)
    targets = np.where(wrong, (errors + 1) / (errors + 2), 1 / (right + 2))
    centre, width = places.mean(), places.std()
    if width < 1e-6:
        return _ErrorCurve(float(_logit(np.array(targets.mean()))), 0.0)
    columns = np.stack([np.ones(len(places)), (places - centre) / width], axis=1)
    weights = np.zeros(2)
    for _ in range(_NEWTON):
        chances = _sigmoid(columns @ weights)
        slopes = columns.T @ (targets - chances) - _RIDGE * weights
        curve = columns.T @ (columns * (chances * (1 - chances))[:, None]) + _RIDGE * np.eye(2)
        move = np.linalg.solve(curve, slopes)
        weights += np.clip(move, -1, 1)
        if np.abs(move).max() < 1e-9:
            break
    slope = float(weights[1] / width)
    if slope >= 0:  # a confidence that says nothing
        return _ErrorCurve(float(_logit(np.array(targets.mean()))), 0.0)
    return _ErrorCurve(float(weights[0] - slope * centre), slope)


def _logit(shares: Floats) -> Floats:
    inside = np.clip(shares, _FIRMEST, 1 - _FIRMEST)
    return np.log(inside) - np.log1p(-inside)


def _sigmoid(values: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(values / 2))
