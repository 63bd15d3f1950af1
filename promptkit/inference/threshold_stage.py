"""Stage of a run that chooses the thresholds of labels, where an answer is a list of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptkit.inference.batch import CellRequests, Predictions
from promptkit.inference.cell import Cell
from promptkit.inference.label_thresholds import (
    PoolRows,
    decide,
    learnt,
    pool_requests,
    pool_rows,
)
from promptkit.inference.prediction import Prediction
from promptkit.inference.reasoning import ModelRequests, Samples
from promptkit.inference.store import Result
from promptkit.inference.voting import pooled
from promptkit.text import counted
from promptkit.translation import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds(Cell):
    """Thresholds of labels in one cell, and what they were chosen on."""

    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    """Probability above which each label is given; with folds the median over them. None for labels
    that are never given, as no row of the pool has any."""
    rows: int
    """Number of rows of the pool that they were chosen on."""
    prompts: int
    """Number of prompts that were asked for them, with shots from the rest of the pool."""


def sentence_on(found: Sequence[Thresholds]) -> list[str]:
    """Return a sentence on what thresholds were chosen on, and its cost; none without any."""
    if not found:
        return []
    prompts = sum(one.prompts for one in found)
    return [
        tr(
            "A label is given where its probability is above its threshold, which has "
            "the highest F1 on {rows} of the pool, each with shots from the rest of "
            "the pool ({prompts:,} predictions more); no query has a part in its own.",
            rows=counted(max(one.rows for one in found), "row", "rows"),
            prompts=prompts,
        )
    ]


@dataclass
class ThresholdStage:
    """Rows of the pool, whose results decide which labels each prediction gives."""

    cells: Sequence[CellRequests]
    pool: Sequence[Sequence[PoolRows]]
    found: tuple[Thresholds, ...] = ()
    """The thresholds of each cell, once they are chosen."""

    @classmethod
    def of(cls, cells: Sequence[CellRequests]) -> ThresholdStage:
        """Return the stage of some cells; nothing is asked unless outputs are lists of labels."""
        return cls(cells, [pool_rows(one.predictor, one.queries, one.renderer) for one in cells])

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return the rows of the pool of every cell."""
        return [
            cell.predictor.model_requests(pool_requests(pool))
            for cell, pool in zip(self.cells, self.pool, strict=True)
        ]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> list[list[Prediction]]:
        """Return the predictions with the labels above the thresholds."""
        results = [[*map(pooled, own)] for own in responses]
        every = [*zip(self.cells, self.pool, results, strict=True)]
        self.found = tuple(_thresholds(*one) for one in every if one[1])
        return [
            decide(cell.predictor, cell.queries, made, pool, own)
            for made, (cell, pool, own) in zip(predictions, every, strict=True)
        ]


def _thresholds(
    cell: CellRequests, pool: Sequence[PoolRows], results: Sequence[Result]
) -> Thresholds:
    task = cell.predictor.task
    cutoffs = [one for _, one in learnt(task, pool, results)]
    values = np.exp(np.median(cutoffs, axis=0)).tolist()
    return Thresholds(
        **cell.predictor.cell.factors(),
        labels=task.labels,
        values=tuple([value if math.isfinite(value) else None for value in values]),
        rows=max(len(part.rows) for part in pool),
        prompts=sum(len(part.requests) for part in pool),
    )
