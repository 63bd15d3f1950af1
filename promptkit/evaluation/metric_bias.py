"""Selection bias of the best cell by any metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.variance import selection_bias as of_counts
from promptkit.evaluation.variance import selection_bias_of_means


def selection_bias(cells: Sequence[Outcomes], metric: Metric) -> float | None:
    """Return the optimism from picking the best of some cells by a metric, in its unit.

    Args:
        cells: The outcomes of the cells, over the same queries and seeds.
        metric: The metric that they are chosen by.

    Returns:
        The bias, 0 or more; None where there is no choice, or no cells can be told apart by it.
    """
    shares = [found for one in cells if (found := metric.shares(one)) is not None]
    if len(shares) < 2 or len({one.shape for one in shares}) > 1:
        return None
    table = np.stack(shares, axis=1)
    table = table[np.isfinite(table).reshape(len(table), -1).all(axis=1)]
    if len(table) < 2:
        return None
    if metric.counts and np.isin(table, (0, 1)).all():
        return of_counts(table)
    return selection_bias_of_means(metric.sign * table)
