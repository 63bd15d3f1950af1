"""Profiles of the predictors of a comparison, in its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from promptkit.calibration.calibration_note import CalibrationNote
from promptkit.evaluation.results import Row
from promptkit.evaluation.row_costs import with_profiles
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.batch import Predictions
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Predictor
from promptkit.inference.profile import profile_of

FROM_LABELS = ("temperature", "vector")
"""Methods of calibration that learn from labelled examples."""


def costed(
    rows: Iterable[Row],
    prompted: Iterable[Predictor],
    others: Sequence[AnyPredictor],
    predictions: Predictions,
    notes: Iterable[CalibrationNote],
) -> tuple[Row, ...]:
    """Return rows with the sizes of their predictors and what they took to make.

    Args:
        rows: The rows of a comparison.
        prompted: Predictors of its grid.
        others: Predictors that are compared with the grid.
        predictions: Predictions of the others, of each once or for every seed.
        notes: Inputs that calibrations learnt from.
    """
    found = {one.cell.at(seed=None): profile_of(one) for one in prompted}
    cells = {made[0].model: made[0].at(seed=None, calibration=RAW) for made in predictions}
    found |= {cells[one.identity.name]: profile_of(one) for one in others}
    learnt = [note for note in notes if note.calibration in FROM_LABELS]
    held_out = {note.at(seed=None): note.inputs for note in learnt}
    return tuple(with_profiles(rows, found, held_out))
