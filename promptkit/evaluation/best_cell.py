"""Cell with the best value of a metric, tested against all others."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.evaluation import intervals, sentences, targets
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.pairs import cells_of
from promptkit.evaluation.results import Best, Rival
from promptkit.inference.cell import Cell, distinct


class Baseline(NamedTuple):
    """Answers without a model: always the commonest gold label, or an option by chance."""

    label: str | None
    """The label; None for chance."""
    accuracy: float
    correct: NDArray[np.bool_] | NDArray[np.float64]
    """Its correctness, (queries,); the chance of it by chance."""


def best(by_cell: ByCell, baseline: Baseline | None, metric: Metric = ACCURACY) -> Best:
    """Return the cell with the best value of a metric, of equal ones that with the fewest shots.

    It is tested against every other cell, whichever came out best: by multiple comparisons with
    the best, in Bonferroni's form, which holds however the cells depend on one another. In 95 % of
    comparisons the truly best cell is the one returned or a rival that is not separated from it.

    Args:
        by_cell: The outcomes of a comparison.
        baseline: The baseline, where answers are scored.
        metric: The metric; some cell has it.

    Hsu, "Multiple comparisons: theory and methods", 1996, chapter 4.
    """
    values = {
        cell: value
        for cell in cells_of(by_cell)
        if (value := metric.value(by_cell[cell])) is not None
    }
    leader = max(values, key=lambda cell: (metric.sign * values[cell], -cell.shots))
    others = [cell for cell in values if cell != leader]
    alpha = sentences.ALPHA / max(len(others), 1)
    rivals = tuple(_rival(by_cell, cell, leader, alpha, metric) for cell in others)
    separated = all(rival.separated for rival in rivals)
    right = float(by_cell[leader].correct.mean())
    accuracy = None if baseline is None else baseline.accuracy
    return Best(leader, right, rivals, separated, accuracy, values[leader])


def _rival(by_cell: ByCell, cell: Cell, leader: Cell, alpha: float, metric: Metric) -> Rival:
    both = metric.difference(by_cell[cell], by_cell[leader], 1 - alpha)
    if both is None:
        return Rival(cell, None, None, 1.0, False)
    found = both.decisive
    ends = found.ci.low, found.ci.high
    separated = found.p <= alpha and min(metric.sign * end for end in ends) > 0
    return Rival(cell, found.delta, ends, found.p, separated)


def baseline(by_cell: ByCell) -> Baseline | None:
    """Return the baseline of the queries: the majority class, or chance among their own options.

    None where answers are generated.
    """
    scores = next(iter(by_cell.values())).scores
    if scores is None:
        return None
    if not scores.labels:
        chances = 1 / np.isfinite(scores.logprobs[:, 0]).sum(axis=1)
        return Baseline(None, float(chances.mean()), chances)
    ((gold, times),) = Counter(scores.gold.tolist()).most_common(1)
    right = scores.gold == gold
    return Baseline(scores.labels[gold], times / len(right), right)


def not_above(by_cell: ByCell, baseline: Baseline) -> tuple[int, int]:
    """Return the number of cells that are not significantly above a baseline, and of all cells.

    Their p-values are corrected by Holm's method.
    """
    found = []
    for cell in distinct(by_cell):
        one = by_cell[cell]
        constant = np.broadcast_to(baseline.correct[:, np.newaxis], one.correct.shape)
        if baseline.label is not None:
            found.append(targets.difference(constant, one.correct, one.drawn).decisive)
        elif (above := targets.mean_difference(constant, one.correct, one.drawn)) is not None:
            found.append(above.decisive)
    corrected = intervals.holm([one.p for one in found])
    beat = sum(
        p <= sentences.ALPHA and one.ci.low > 0 for p, one in zip(corrected, found, strict=True)
    )
    return len(found) - beat, len(found)
