"""Label frequencies of the pool and the queries, and what calibrations assume of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from promptkit.calibration.methods import ASSUME_BALANCED
from promptkit.evaluation import caveats
from promptkit.evaluation.outcomes import ByCell
from promptkit.tasks.task import Task

FAR = 0.2
"""Total variation distance from which two sets of frequencies differ: the share of examples that
would need another label to make them equal. Below it batch calibration loses two points of
accuracy or less, and at twice as much about twenty."""

CHANCE = 0.05
"""Significance level of the chi-squared test."""

Shares = Mapping[str, float]


class Frequencies(NamedTuple):
    """Label frequencies of the pool and the queries; empty where unknown."""

    pool: Shares
    queries: Shares
    sizes: tuple[int, int]


def frequencies(task: Task[Any, Any], by_cell: ByCell) -> Frequencies | None:
    """Return the label frequencies of a comparison, None where answers are generated."""
    scored = next(iter(by_cell.values())).scores
    if scored is None:
        return None
    pool = Counter(task.output_type.text(demo.output) for demo in task.demos)
    queries = Counter(scored.labels[gold] for gold in scored.gold)
    return Frequencies(
        _shares(pool, scored.labels),
        _shares(queries, scored.labels),
        (pool.total(), queries.total()),
    )


def is_skewed(found: Frequencies) -> bool:
    """Return whether the labels of the pool or of the queries are skewed."""
    return any(_skews(found))


def warnings(found: Frequencies, by_cell: ByCell) -> Iterator[str]:
    """Yield warnings of calibrations whose assumptions on label frequencies do not hold."""
    used = {cell.calibration for cell in by_cell}
    balanced = [name for name in ASSUME_BALANCED if name in used]
    pool, queries = _skews(found)
    if balanced and (pool or queries):
        shares = found.pool if pool else found.queries
        label = max(shares, key=shares.__getitem__)
        yield caveats.skewed_labels(
            balanced,
            label,
            found.pool.get(label) if pool else None,
            found.queries.get(label) if queries else None,
            len(shares),
            fitted="vector" in used,
        )
    if "vector" in used and _differ(found.pool, found.queries, _both(found), _harmonic(found)):
        label = max(found.pool, key=lambda label: abs(found.pool[label] - found.queries[label]))
        yield caveats.other_frequencies(label, found.pool[label], found.queries[label])


def _skews(found: Frequencies) -> tuple[bool, bool]:
    """Return whether the labels are skewed, of the pool and of the queries."""
    even = dict.fromkeys(found.queries, 1 / max(len(found.queries), 1))
    return (
        _differ(found.pool, even, even, found.sizes[0]),
        _differ(found.queries, even, even, found.sizes[1]),
    )


def _shares(counts: Counter[str], labels: tuple[str, ...]) -> Shares:
    total = counts.total()
    return {label: counts[label] / total for label in labels} if total else {}


def _both(found: Frequencies) -> Shares:
    """Return the label frequencies of pool and queries together."""
    pool, queries = found.sizes
    return {
        label: (pool * share + queries * found.queries[label]) / (pool + queries)
        for label, share in found.pool.items()
    }


def _harmonic(found: Frequencies) -> float:
    """Return the size of one sample with the power of both against known frequencies."""
    return found.sizes[0] * found.sizes[1] / sum(found.sizes)


def _differ(a: Shares, b: Shares, expected: Shares, size: float) -> bool:
    """Return whether frequencies are far apart, and significantly so (chi-squared test)."""
    from scipy.special import chdtrc

    if not a or sum(abs(a[label] - b[label]) for label in a) / 2 < FAR:
        return False
    some = {label: share for label, share in expected.items() if share}
    distance = sum((a[label] - b[label]) ** 2 / share for label, share in some.items())
    return bool(chdtrc(len(some) - 1, size * distance) <= CHANCE)
