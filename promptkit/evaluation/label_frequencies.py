"""Label frequencies of the pool and the queries, and what calibrations assume of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.calibration.methods import ASSUME_BALANCED
from promptkit.evaluation.caveats import share_text
from promptkit.evaluation.outcomes import ByCell
from promptkit.tasks.task import Task
from promptkit.text import capital, listed, quoted
from promptkit.translation import tr, trn

FAR = 0.2
"""Total variation distance from which two sets of frequencies differ: the share of examples that
would need another label to make them equal. Below it batch calibration loses two points of
accuracy or less, and at twice as much about twenty."""

CHANCE = 0.05
"""Significance level of the chi-squared test."""

Counts = NDArray[np.int64]


class Frequencies(NamedTuple):
    """Number of examples with each label, of the pool and of the queries."""

    labels: tuple[str, ...]
    pool: Counts
    queries: Counts


def frequencies(task: Task[Any, Any], by_cell: ByCell) -> Frequencies | None:
    """Return the label frequencies of a comparison, None where answers are no labels."""
    scored = next(iter(by_cell.values())).scores
    if scored is None or not scored.labels:
        return None
    pool = Counter(task.output_type.text(demo.output) for demo in task.demos)
    return Frequencies(
        scored.labels,
        np.array([pool[label] for label in scored.labels]),
        np.bincount(scored.gold, minlength=len(scored.labels)),
    )


def is_skewed(found: Frequencies) -> bool:
    """Return whether the labels of the pool or of the queries are skewed."""
    return _skewed(found.pool) or _skewed(found.queries)


def warnings(found: Frequencies, by_cell: ByCell) -> Iterator[str]:
    """Yield warnings of calibrations whose assumptions on label frequencies do not hold."""
    used = {cell.calibration for cell in by_cell}
    balanced = [name for name in ASSUME_BALANCED if name in used]
    sources = {"pool": found.pool, "queries": found.queries}
    skewed = {name: counts for name, counts in sources.items() if _skewed(counts)}
    if balanced and skewed:
        label = int(next(iter(skewed.values())).argmax())
        shares = [
            tr("{share} of the {name}", share=_share(counts, label), name=name)
            for name, counts in skewed.items()
        ]
        yield trn(
            "The labels are skewed: {quoted} is right for {shares}, {share_text} would "
            "be balanced. {methods} calibration assumes balanced labels and gives "
            "rare ones too many answers, which can cost 20 points of accuracy and "
            "more: {advice} vector, which is fitted to the label frequencies of the pool.",
            "The labels are skewed: {quoted} is right for {shares}, {share_text} would "
            "be balanced. {methods} calibration assume balanced labels and give "
            "rare ones too many answers, which can cost 20 points of accuracy and "
            "more: {advice} vector, which is fitted to the label frequencies of the pool.",
            len(balanced),
            quoted=quoted(found.labels[label]),
            shares=listed(shares),
            share_text=share_text(1 / len(found.labels)),
            methods=capital(listed(balanced)),
            advice=tr("prefer") if "vector" in used else tr("try"),
        )
    pool, queries = found.pool, found.queries
    sizes = pool.sum(), queries.sum()
    # The size of one sample with the power of both against known frequencies.
    size = sizes[0] * sizes[1] / sum(sizes)
    if "vector" in used and _differ(pool, queries, pool + queries, size):
        label = int(np.abs(pool / sizes[0] - queries / sizes[1]).argmax())
        yield tr(
            "Vector calibration is fitted to the label frequencies of the pool, and "
            "those of the queries differ: {quoted} is right for {share} of the pool "
            "and {share_2} of the queries. Use a pool like the queries, or another "
            "calibration.",
            quoted=quoted(found.labels[label]),
            share=_share(pool, label),
            share_2=_share(queries, label),
        )


def _skewed(counts: Counts) -> bool:
    even = np.ones_like(counts)
    return _differ(counts, even, even, counts.sum())


def _share(counts: Counts, label: int) -> str:
    return share_text(float(counts[label] / counts.sum()))


def _differ(a: Counts, b: Counts, expected: Counts, size: float) -> bool:
    """Return whether frequencies are far apart, and significantly so (chi-squared test)."""
    from scipy.special import chdtrc

    if not a.any():
        return False
    apart = a / a.sum() - b / b.sum()
    if np.abs(apart).sum() / 2 < FAR:
        return False
    some = expected > 0
    distance = (apart[some] ** 2 / (expected[some] / expected.sum())).sum()
    return bool(chdtrc(some.sum() - 1, size * distance) <= CHANCE)
