"""What a comparison shows, and how surely: pairs with verdicts, sources of variance, warnings.

The figures come from `promptkit.stats`, `promptkit.power` and `promptkit.variance`, the words
from `promptkit.verdicts` and `promptkit.caveats`; what they are asked about is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from promptkit import verdicts
from promptkit.controls import swap_verdicts
from promptkit.evidence import leading, moved, paired, warned
from promptkit.evidence.exactness import exactness
from promptkit.figures import Best, Free, Pair, Row, Spread, Variance
from promptkit.inference.prediction import Prediction
from promptkit.judging import Groups
from promptkit.tasks.task import Task


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
    planned, baseline = paired.plan(groups, found), leading.majority(groups)
    best = leading.best(groups, baseline)
    lines = list(moved.lines(groups, predictions))
    swaps = swap_verdicts(rows, pairs, len(task.output_type.labels))
    return Evidence(
        pairs,
        best,
        (*paired.verdicts_on(groups, found, best, planned), *map(verdicts.sentence, swaps)),
        tuple(warned.warnings(task, groups, planned, baseline, predictions, free)),
        tuple(filter(None, [exactness(task.output_type)])),
        tuple(moved.variance(lines)),
        tuple(moved.spreads(lines)),
    )
