"""Steps of a cascade, and the confidence of their answers."""

from __future__ import annotations

from typing import NamedTuple

from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Prediction
from promptkit.translation import tr


class CascadeStep(NamedTuple):
    """A predictor in a cascade."""

    predictor: AnyPredictor
    threshold: float | None
    """Confidence that its answers must be above, or the next one is asked; None to give all."""
    key: str | None = None
    """Digest of everything that decides its answers, where it is known without the predictor."""


def confidence_of(made: Prediction) -> float:
    """Return the confidence of an answer.

    Args:
        made: A prediction.

    Returns:
        The probability of the answer; 0 where there is no answer, and 1 for one without
        probabilities, as from a lookup table.

    Raises:
        TaskError: The answer is a list of labels, which has no probability as a whole.
    """
    if made.failure is not None:
        return 0.0
    if isinstance(made.label, list):
        raise TaskError(
            tr(
                "{model}: its answers are lists, which have no probability as a whole, so "
                "that nothing says which of them go up",
                model=made.model,
            )
        )
    return max(made.probs.values()) if made.probs else 1.0
