"""Predictions of which only the best label is wanted: the same labels, and no probabilities."""

from __future__ import annotations

from typing import Any, Literal, get_args

from promptkit.errors import TaskError
from promptkit.translation import tr

ScoredLabels = Literal["all", "best"]
"""Labels that are scored: all, or only those that can be the best, which takes fewer tokens and
gives no probabilities."""


def check_scores(predictor: Any) -> None:
    """Raise `TaskError` for `Predictor.scores` that is unknown, or has no probabilities to give.

    Args:
        predictor: The `Predictor`.
    """
    if predictor.scores not in get_args(ScoredLabels):
        known = ", ".join(get_args(ScoredLabels))
        raise TaskError(
            tr(
                "unknown scores {scores!r}; choose one of: {known}",
                scores=predictor.scores,
                known=known,
            )
        )
    if predictor.scores == "all":
        return
    if not predictor.task.is_scored:
        raise TaskError(tr("scores best: of labels, and the answers of this task are generated"))
    for name, asked in (
        (tr("a calibration"), predictor.calibration is not None),
        (tr("a threshold"), predictor.threshold is not None),
        (tr("a list of labels for each row"), predictor.task.many),
        (tr("a vote of several rationales"), predictor.rationales > 1),
    ):
        if asked:
            raise TaskError(
                tr("scores best: gives no probabilities, and {name} needs them; say all", name=name)
            )
