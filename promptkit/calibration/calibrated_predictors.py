"""Predictors whose calibration learns from the queries that they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from promptkit.calibration.fitted import fit
from promptkit.inference import batch
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store, opened
from promptkit.tasks.examples import Example


def calibrated_predictor(
    predictor: Predictor,
    method: str,
    queries: Sequence[Example[Any, Any]],
    most_shots: int,
    store: Store | str | Path | None,
) -> tuple[Predictor, list[Prediction]]:
    """Return a predictor with the calibration of a comparison, and its predictions of the queries.

    What the comparison asked is looked up in the store.

    Args:
        predictor: The predictor of the cell.
        method: The method of calibration; `none` for none.
        queries: The queries of the comparison.
        most_shots: The largest number of shots in it: held-out examples are none of these.
        store: The prediction store of the comparison.
    """
    with opened(store) as kept:
        if method == RAW:
            return predictor, predictor.predict(queries, store=kept)
        largest = replace(predictor, shots=most_shots)
        cell, *beside = batch.prepare([predictor, largest], queries)
        made = predictor.predict(queries, store=kept)
        ask = partial(predictor.ask, store=kept)
        fitted = replace(predictor, calibration=fit(method, cell, made, ask, beside))
        return fitted, fitted.predict(queries, store=kept)
