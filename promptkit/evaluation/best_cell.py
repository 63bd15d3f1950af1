"""Cell with the best value of a metric, tested against all others."""

from __future__ import annotations

from promptkit.evaluation import sentences
from promptkit.evaluation.baselines import Baseline
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.pairs import cells_of
from promptkit.evaluation.results import Best, Rival
from promptkit.inference.cell import Cell


def best(by_cell: ByCell, baseline: Baseline | None, metric: Metric = ACCURACY) -> Best:
    """Return the cell with the best value of a metric, of equal ones that with the fewest shots.

    A cell of which more than `UNANSWERED` of the answers have no metric, such as no numbers for an
    MAE, is returned only where there is no other, since what it answers may be what is easy.

    It is tested against every other cell, whichever came out best: by multiple comparisons with
    the best, in Bonferroni's form, which holds however the cells depend on one another. In 95 % of
    comparisons the truly best cell is the one returned or a rival that is not separated from it.

    Args:
        by_cell: The outcomes of a comparison.
        baseline: The baseline, where there is one.
        metric: The metric; some cell has it.

    Hsu, "Multiple comparisons: theory and methods", 1996, chapter 4.
    """
    values = {
        cell: value
        for cell in cells_of(by_cell)
        if (value := metric.value(by_cell[cell])) is not None
    }
    answering = [cell for cell in values if metric.unanswered(by_cell[cell]) <= UNANSWERED]
    leader = max(answering or values, key=lambda cell: (metric.sign * values[cell], -cell.shots))
    others = [cell for cell in values if cell != leader]
    alpha = sentences.ALPHA / max(len(others), 1)
    rivals = tuple(_rival(by_cell, cell, leader, alpha, metric) for cell in others)
    separated = all(rival.separated for rival in rivals)
    right = float(by_cell[leader].correct.mean())
    level, name = (None, "") if baseline is None else (baseline.value, baseline.name)
    return Best(leader, right, rivals, separated, level, values[leader], name)


def _rival(by_cell: ByCell, cell: Cell, leader: Cell, alpha: float, metric: Metric) -> Rival:
    both = metric.difference(by_cell[cell], by_cell[leader], 1 - alpha)
    if both is None:
        return Rival(cell, None, None, 1.0, False)
    found = both.decisive
    ends = found.ci.low, found.ci.high
    separated = found.p <= alpha and min(metric.sign * end for end in ends) > 0
    return Rival(cell, found.delta, ends, found.p, separated)
