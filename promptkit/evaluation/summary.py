"""What a comparison shows, and how surely: pairs with verdicts, sources of variance, warnings.

The figures come from `promptkit.evaluation.intervals`, `promptkit.evaluation.power` and
`promptkit.evaluation.variance`, the words from `promptkit.evaluation.sentences` and
`promptkit.evaluation.caveats`; what they are asked about is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from promptkit.evaluation import best_cell, variance_sources
from promptkit.evaluation import pairs as paired
from promptkit.evaluation import warnings as warned
from promptkit.evaluation.exact_match import exactness
from promptkit.evaluation.label_swap import swap_verdicts
from promptkit.evaluation.outcomes import Groups
from promptkit.evaluation.results import Best, Free, Pair, Row, Spread, Variance
from promptkit.inference.prediction import Prediction
from promptkit.tasks.task import Task
from promptkit.text import sentence


class Evidence(NamedTuple):
    """What stands in a comparison under the same names."""

    pairs: tuple[Pair, ...]
    best: Best
    verdicts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    variance: tuple[Variance, ...]
    spreads: tuple[Spread, ...]


def weigh(
    task: Task[Any, Any],
    groups: Groups,
    rows: Sequence[Row],
    predictions: Sequence[Sequence[Prediction]],
    free: Sequence[Free] = (),
) -> Evidence:
    """The evidence in the judged predictions of a task; `free` is what models said freely."""
    found = paired.compared(groups)
    pairs = tuple(paired.pairs(groups, found))
    planned, baseline = paired.plan(groups, found), best_cell.majority(groups)
    best = best_cell.best(groups, baseline)
    lines = list(variance_sources.lines(groups, predictions))
    swaps = swap_verdicts(rows, pairs, len(task.output_type.labels))
    return Evidence(
        pairs,
        best,
        (*paired.verdicts_on(groups, found, best, planned), *map(sentence, swaps)),
        tuple(warned.warnings(task, groups, planned, baseline, predictions, free)),
        tuple(filter(None, [exactness(task.output_type)])),
        tuple(variance_sources.variance(lines)),
        tuple(variance_sources.spreads(lines)),
    )
