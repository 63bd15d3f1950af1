"""What a comparison shows, and how surely: pairs with verdicts, sources of variance, warnings.

The figures come from `promptkit.stats`, `promptkit.power` and `promptkit.variance`, the words
from `promptkit.verdicts` and `promptkit.caveats`; what they are asked about is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from promptkit.evidence import moved, paired, warned
from promptkit.judging import Groups
from promptkit.predict import Prediction
from promptkit.results import Pair, Spread, Variance
from promptkit.task import Task


class Evidence(NamedTuple):
    """What stands in a comparison under the same names."""

    pairs: tuple[Pair, ...]
    verdicts: tuple[str, ...]
    warnings: tuple[str, ...]
    variance: tuple[Variance, ...]
    spreads: tuple[Spread, ...]


def weigh(
    task: Task[Any, Any],
    groups: Groups,
    predictions: Sequence[Sequence[Prediction]],
    said: Sequence[str] = (),
) -> Evidence:
    """The evidence in the judged predictions of a task.

    `said` is what the model writes to queries of the cell with the least coverage where it is
    free to, if it was asked.
    """
    found = paired.compared(groups)
    lines = list(moved.lines(groups, predictions))
    return Evidence(
        tuple(paired.pairs(found)),
        tuple(paired.verdicts_on(groups, found)),
        tuple(warned.warnings(task, groups, found, predictions, said)),
        tuple(moved.variance(lines)),
        tuple(moved.spreads(lines)),
    )
