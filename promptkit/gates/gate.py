"""Gates: bounds on a metric, or on the loss against a saved run, decided by intervals.

A gate fails only if the whole interval is on the wrong side of the bound. A strict gate passes only
if the whole interval is on the right side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit.errors import TaskError
from promptkit.evaluation import targets
from promptkit.evaluation.intervals import Interval, paired_difference, wilson
from promptkit.evaluation.matched import shared
from promptkit.evaluation.mean_intervals import mean_interval
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.power import SampleSize, detectable
from promptkit.inference.cell import FACTORS, Cell
from promptkit.text import points, signed, visible

Metric = Literal["accuracy", "log_loss", "coverage"]
"""Metrics with bounds: those whose intervals hold for some tens of queries."""

ERROR_RATE = 0.05
"""Rate at which any interval of one check may miss what it estimates."""

MAX_ITEMS = 5
"""Number of queries that a message names."""


class Bound(NamedTuple):
    """Lower (`min`) or upper (`max`) bound on a metric."""

    kind: Literal["min", "max"]
    metric: Metric
    value: float

    def __str__(self) -> str:
        side = "at least" if self.kind == "min" else "at most"
        return f"{self.metric.replace('_', ' ')} {side} {_number(self.metric, self.value)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """A requirement on one cell, with the estimate and the decision."""

    name: str
    """The requirement, such as `accuracy at least 50 %`."""
    cell: Cell
    """The cell, over all seeds."""
    passed: bool
    reason: str
    """The estimate, its interval, and the reason for the decision."""
    metric: Metric
    estimate: float
    """The metric, or its difference from the saved run."""
    ci: tuple[float, float]
    level: float
    """Confidence level of `ci`, such as 0.95."""
    bound: float
    queries: int
    seeds: int
    broke: tuple[str, ...] = ()
    """Queries answered worse than in the saved run, the worst first."""
    mended: tuple[str, ...] = ()
    """Queries answered better."""
    unseen: float | None = None
    """Smallest loss against the saved run that fails four times in five. None for bounds, and where
    so few queries can show no loss at all."""
    bias: float = 0.0
    """Selection bias of the saved cell, which is allowed for."""


class _Sides(NamedTuple):
    """Distances of an estimate and the ends of its interval from a bound; below 0 if missed."""

    estimate: float
    least: float
    most: float

    def passes(self, strict: bool) -> bool:
        return self.least >= 0 if strict else self.most >= 0

    def verdict(self, missed: str, strict: bool) -> str:
        """Return the decision in words; empty if the bound is kept."""
        if self.most < 0:
            return f": significantly {missed}"
        if strict and self.least < 0:
            return f": may be {missed}"
        return f": {missed}, but not significantly" if self.estimate < 0 else ""


def bounded(
    bound: Bound, found: Outcomes, level: float = 1 - ERROR_RATE, strict: bool = False
) -> Gate:
    """Return a gate that fails if a metric misses its bound.

    Args:
        bound: The bound.
        found: The outcomes of a cell.
        level: The confidence level of the interval that decides.
        strict: Pass only if the whole interval is on the right side.

    Raises:
        TaskError: Generated answers have no such metric.
    """
    estimate, interval = _measured(bound.metric, found, level)
    low, high, value = interval.low, interval.high, bound.value
    if bound.kind == "min":
        sides, side = _Sides(estimate - value, low - value, high - value), "below"
    else:
        sides, side = _Sides(value - estimate, value - high, value - low), "above"
    missed = f"{side} {_number(bound.metric, value)}"
    shown = _shown(bound.metric, estimate, interval)
    return Gate(
        name=str(bound),
        cell=found.cell,
        passed=sides.passes(strict),
        reason=f"{shown} of {found.size}{sides.verdict(missed, strict)}",
        metric=bound.metric,
        estimate=estimate,
        ci=(low, high),
        level=level,
        bound=value,
        queries=found.correct.shape[0],
        seeds=found.correct.shape[1],
    )


def _measured(metric: Metric, found: Outcomes, level: float) -> tuple[float, Interval]:
    if metric == "accuracy":
        return float(found.correct.mean()), wilson(found.correct, level)
    table = found.log_losses if metric == "log_loss" else found.coverage
    if table is None:
        raise TaskError(f"{metric}: only answers that are labels have one")
    estimate = float(table.mean())
    if not np.isfinite(estimate):  # a gold label of no probability at all
        return estimate, Interval(estimate, estimate, level)
    interval = mean_interval(table, level)
    most = 1.0 if metric == "coverage" else np.inf
    return estimate, Interval(max(interval.low, 0.0), min(interval.high, most), level)


class Reference(NamedTuple):
    """Outcomes of a cell of a saved run that a gate compares others with."""

    outcomes: Outcomes
    run: str
    """Name of the run."""
    other_draws: bool = False
    """Whether a draw has other shots now: then a gate is about new draws."""
    cells: int = 1
    """Number of cells of its run among which it was the best."""
    bias: float = 0.0
    """Selection bias of its accuracy."""


class _Loss(NamedTuple):
    """Difference in accuracy from a saved run, over the queries and seeds that both have."""

    queries: Sequence[str]
    change: npt.NDArray[np.float64]
    """Per query, over the seeds."""
    seeds: int
    delta: float
    ci: tuple[float, float]
    unknown: bool
    """Whether one draw, with other shots than in the saved run, cannot tell."""


def no_worse(
    now: Outcomes,
    reference: Reference,
    *,
    margin: float = 0.0,
    level: float = 1 - ERROR_RATE,
    strict: bool = False,
) -> Gate:
    """Return a gate that fails if the accuracy is lower than in a saved run.

    Both are compared on the queries and seeds that they have in common. The gate is about these
    shots; where a draw has other shots than in the saved run, it is about new draws, and one draw
    alone cannot tell. The selection bias of a saved cell that was the best of many is allowed for.

    Args:
        now: The outcomes of a cell.
        reference: Those of the saved run.
        margin: The loss that is allowed, from 0 to 1.
        level: The confidence level of the interval that decides.
        strict: Pass only if the whole interval is on the right side.

    Raises:
        DataError: No query is common, or one has another text or gold output.
    """
    loss = _loss(now, reference, level)
    slack = margin + reference.bias
    sides = _Sides(loss.delta + slack, loss.ci[0] + slack, loss.ci[1] + slack)
    by = f" by more than {100 * margin:g} points" if margin else ""
    unseen = None if reference.other_draws else _detectable(loss, slack, level)
    missable = (
        "so few queries can show no loss"
        if unseen is None
        else f"losses below about {points(unseen)} mostly pass"
    )
    worst = [int(index) for index in np.argsort(loss.change, kind="stable")]
    broke = tuple([loss.queries[i] for i in worst if loss.change[i] < 0])
    mended = tuple([loss.queries[i] for i in reversed(worst) if loss.change[i] > 0])
    low, high = (signed(end, 1) for end in loss.ci)
    return Gate(
        name=f"not worse than {reference.run}{by}",
        cell=now.cell,
        passed=sides.passes(strict),
        reason=(
            f"{signed(loss.delta, 1)} points [{low}, {high}] over "
            f"{_common(now, reference.outcomes, loss.queries)}{_conditions(reference, loss)}"
            f"{sides.verdict(f'worse{by}', strict)}"
            f"{_elsewhere(now.cell, reference.outcomes.cell)}{_items(broke, mended)}"
            f"{'' if strict or sides.most < 0 or reference.other_draws else '; ' + missable}"
        ),
        metric="accuracy",
        estimate=loss.delta,
        ci=loss.ci,
        level=level,
        bound=0.0 - margin,
        queries=len(loss.queries),
        seeds=loss.seeds,
        broke=broke,
        mended=mended,
        unseen=unseen,
        bias=reference.bias,
    )


def _loss(now: Outcomes, reference: Reference, level: float) -> _Loss:
    common = shared(now.queries, reference.outcomes.queries, reference.run)
    seeds = [seed for seed in now.numbers if seed in reference.outcomes.numbers]
    mine, theirs = now.table(common, seeds), reference.outcomes.table(common, seeds)
    found = paired_difference(theirs, mine, level)
    change = mine.mean(axis=1) - theirs.mean(axis=1)
    if reference.other_draws:
        general = targets.difference(theirs, mine, True, level).general if seeds[1:] else None
        if general is None:
            return _Loss(common, change, len(seeds), found.delta, (-1.0, 1.0), True)
        found = general
    ends = found.ci.low, found.ci.high
    return _Loss(common, change, mine.shape[1], found.delta, ends, False)


def _detectable(loss: _Loss, slack: float, level: float) -> float | None:
    size = SampleSize(float(np.square(loss.change).mean()), comparisons=1, alpha=1 - level)
    found = detectable(len(loss.queries), size)
    return None if found is None else min(found + slack, 1.0)


def _conditions(reference: Reference, loss: _Loss) -> str:
    """Return what a gate says of other draws and of selection bias."""
    draws = ", for new draws since some have other shots" if reference.other_draws else ""
    if loss.unknown:
        draws = (
            ", whose draw has other shots: one draw cannot tell a loss from another draw; run both "
            "with more seeds, as --seeds 8 does"
        )
    if not reference.bias:
        return draws
    return (
        f"{draws} (then the best of {reference.cells} cells, whose selection bias of about "
        f"{points(reference.bias, 1)} is allowed)"
    )


def _common(now: Outcomes, before: Outcomes, common: Sequence[str]) -> str:
    counts = f" ({len(now.queries):,} now, {len(before.queries):,} then)"
    same = len(common) == len(now.queries) == len(before.queries)
    return f"{len(common):,} common queries{'' if same else counts}"


def _elsewhere(now: Cell, before: Cell) -> str:
    """Return the levels of the saved cell that differ."""
    levels = ((name, getattr(before, name), getattr(now, name)) for name in FACTORS)
    then = [f"{name} {old}" for name, old, new in levels if old != new]
    return f" (then {', '.join(then)})" if then else ""


def _items(broke: Sequence[str], mended: Sequence[str]) -> str:
    text = ""
    for what, ids in (("broke", broke), ("mended", mended)):
        if ids:
            shown = ", ".join(visible(id, 40) for id in ids[:MAX_ITEMS])
            more = f" and {len(ids) - MAX_ITEMS} more" if len(ids) > MAX_ITEMS else ""
            text += f"; {what} {shown}{more}"
    return text


def _number(metric: Metric, value: float) -> str:
    return f"{value:g}" if metric == "log_loss" else f"{100 * value:g} %"


def _shown(metric: Metric, estimate: float, interval: Interval) -> str:
    if metric == "log_loss":
        return f"{estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    return f"{100 * estimate:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
