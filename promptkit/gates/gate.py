"""Gates: whether predictions are good enough, or no worse than others, decided by intervals.

A gate fails only when it is sure: when all of the interval is on the wrong side of the bound. A
strict gate passes only when it is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from promptkit.errors import TaskError
from promptkit.evaluation import targets
from promptkit.evaluation.intervals import Interval, paired_difference, wilson
from promptkit.evaluation.matched import shared
from promptkit.evaluation.mean_intervals import mean_interval
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.power import SampleSize, detectable
from promptkit.inference.cell import FACTORS, Cell
from promptkit.text import signed, visible

Metric = Literal["accuracy", "log_loss", "coverage"]
"""What a bound can be set on: what has an interval that can be trusted for tens of queries."""

ERROR_RATE = 0.05
"""How often the intervals of one check, all together, may miss what they estimate."""

MAX_ITEMS = 5
"""How many queries a message names."""


class Bound(NamedTuple):
    """A bound on a metric: `min` is the least that will do, `max` the most."""

    kind: Literal["min", "max"]
    metric: Metric
    value: float

    def __str__(self) -> str:
        side = "at least" if self.kind == "min" else "at most"
        return f"{self.metric.replace('_', ' ')} {side} {_number(self.metric, self.value)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement of one cell, and whether it is met."""

    name: str
    """What is required, such as `accuracy at least 50 %`."""
    cell: Cell
    """The aggregate over seeds that it is required of."""
    passed: bool
    reason: str
    """The estimate, its interval, and what decided."""
    metric: Metric
    estimate: float
    """The metric, or how much better it is than in the other run."""
    ci: tuple[float, float]
    level: float
    """The level of `ci`, such as 0.95."""
    bound: float
    queries: int
    seeds: int
    broke: tuple[str, ...] = ()
    """The queries answered worse than in the other run, the worst first."""
    mended: tuple[str, ...] = ()
    """The queries answered better."""
    unseen: float | None = None
    """Smaller losses against the other run mostly pass: they fail less than four times in five.
    None for bounds, and where so few queries can show no loss at all."""
    bias: float = 0.0
    """Selection bias of the other run's cell, which is allowed for."""


class _Room(NamedTuple):
    """How far an estimate and the ends of its interval are on the right side of a bound."""

    estimate: float
    least: float
    most: float

    def passes(self, strict: bool) -> bool:
        return self.least >= 0 if strict else self.most >= 0

    def verdict(self, missed: str, strict: bool) -> str:
        """What there is to say, where `missed` says what the wrong side is."""
        if self.most < 0:
            return f": surely {missed}"
        if strict and self.least < 0:
            return f": may be {missed}"
        return f": {missed}, but not surely" if self.estimate < 0 else ""


def bounded(
    bound: Bound, found: Outcomes, level: float = 1 - ERROR_RATE, strict: bool = False
) -> Gate:
    """Whether a metric keeps its bound.

    Raises `TaskError` for a metric that generated answers do not have.
    """
    estimate, interval = _measured(bound.metric, found, level)
    low, high, value = interval.low, interval.high, bound.value
    if bound.kind == "min":
        room, side = _Room(estimate - value, low - value, high - value), "below"
    else:
        room, side = _Room(value - estimate, value - high, value - low), "above"
    missed = f"{side} {_number(bound.metric, value)}"
    shown = _shown(bound.metric, estimate, interval)
    return Gate(
        name=str(bound),
        cell=found.cell,
        passed=room.passes(strict),
        reason=f"{shown} of {found.size}{room.verdict(missed, strict)}",
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


class Before(NamedTuple):
    """The answers of a saved run that a gate holds others against."""

    outcomes: Outcomes
    than: str
    """What the run is called."""
    moved: bool = False
    """Whether shots are drawn and a draw has other shots now: then a gate is about new draws."""
    cells: int = 1
    """Among how many cells of its run this one was the best."""
    bias: float = 0.0
    """By how much that flatters its accuracy."""


def no_worse(
    now: Outcomes,
    before: Before,
    *,
    margin: float = 0.0,
    level: float = 1 - ERROR_RATE,
    strict: bool = False,
) -> Gate:
    """Return whether the accuracy is no worse than in another run.

    Both are judged by the queries and the seeds that they have in common. The gate is about these
    shots; where a draw has other shots than then, it is about new draws, and one draw alone cannot
    tell. A saved cell that was the best of many on these queries is not held to its luck: its
    selection bias is allowed for.

    Args:
        now: The answers of a cell.
        before: Those of the saved run.
        margin: The loss that is allowed, from 0 to 1.
        level: The confidence of the interval that decides.
        strict: Whether it passes only where it surely is no worse.

    Raises:
        DataError: No query is common, or one has another text or gold output.
    """
    common = shared(now.queries, before.outcomes.queries, before.than)
    seeds = [seed for seed in now.numbers if seed in before.outcomes.numbers]
    mine, theirs = now.table(common, seeds), before.outcomes.table(common, seeds)
    found, known, moved = paired_difference(theirs, mine, level), True, before.moved
    if moved:
        drawn = targets.difference(theirs, mine, True, level).general if len(seeds) > 1 else None
        found, known = drawn or found, drawn is not None
    low, high = (found.ci.low, found.ci.high) if known else (-1.0, 1.0)
    slack = margin + before.bias
    room = _Room(found.delta + slack, low + slack, high + slack)
    by = f" by more than {100 * margin:g} points" if margin else ""
    change = mine.mean(axis=1) - theirs.mean(axis=1)
    plan = SampleSize(float(np.square(change).mean()), comparisons=1, alpha=1 - level)
    visible_from = detectable(len(common), plan) if known and not moved else None
    unseen = None if visible_from is None else min(visible_from + slack, 1.0)
    worst = [int(index) for index in np.argsort(change, kind="stable")]
    broke = tuple([common[i] for i in worst if change[i] < 0])
    mended = tuple([common[i] for i in reversed(worst) if change[i] > 0])
    return Gate(
        name=f"not worse than {before.than}{by}",
        cell=now.cell,
        passed=room.passes(strict),
        reason=(
            f"{signed(found.delta, 1)} points [{signed(low, 1)}, {signed(high, 1)}] over "
            f"{_common(now, before.outcomes, common)}{_about(moved, known)}{_luck(before)}"
            f"{room.verdict(f'worse{by}', strict)}"
            f"{_elsewhere(now.cell, before.outcomes.cell)}{_items(broke, mended)}"
            f"{'' if strict or room.most < 0 or moved else _passing(unseen)}"
        ),
        metric="accuracy",
        estimate=found.delta,
        ci=(low, high),
        level=level,
        bound=0.0 - margin,
        queries=len(common),
        seeds=mine.shape[1],
        broke=broke,
        mended=mended,
        unseen=unseen,
        bias=before.bias,
    )


def _about(moved: bool, known: bool) -> str:
    """Say what the interval is about where it is not about these shots."""
    if not moved:
        return ""
    if known:
        return ", for new draws since some have other shots"
    return (
        ", whose draw has other shots: from one draw nobody can tell a loss from another draw; ask "
        "both runs with more seeds, as --seeds 8 does"
    )


def _luck(before: Before) -> str:
    if not before.bias:
        return ""
    return (
        f" (then the best of {before.cells} cells, whose selection bias of about "
        f"{100 * before.bias:.1f} points is allowed)"
    )


def _passing(unseen: float | None) -> str:
    """How much worse a run may be that passes just as well."""
    if unseen is None:
        return "; so few queries can show no loss"
    return f"; losses below about {100 * unseen:.0f} points mostly pass"


def _common(now: Outcomes, before: Outcomes, common: Sequence[str]) -> str:
    if len(common) == len(now.queries) == len(before.queries):
        return f"{len(common):,} common queries"
    return (
        f"{len(common):,} common queries ({len(now.queries):,} now, {len(before.queries):,} then)"
    )


def _elsewhere(now: Cell, before: Cell) -> str:
    """What was another in the other run."""
    then = [
        f"{name} {getattr(before, name)}"
        for name in FACTORS
        if getattr(now, name) != getattr(before, name)
    ]
    return f" (then {', '.join(then)})" if then else ""


def _items(broke: Sequence[str], mended: Sequence[str]) -> str:
    """Which queries changed, the first of each."""
    parts = []
    for what, ids in (("broke", broke), ("mended", mended)):
        if ids:
            shown = ", ".join(visible(id, 40) for id in ids[:MAX_ITEMS])
            more = f" and {len(ids) - MAX_ITEMS} more" if len(ids) > MAX_ITEMS else ""
            parts.append(f"{what} {shown}{more}")
    return "".join(f"; {part}" for part in parts)


def _number(metric: Metric, value: float) -> str:
    return f"{value:g}" if metric == "log_loss" else f"{100 * value:g} %"


def _shown(metric: Metric, estimate: float, interval: Interval) -> str:
    if metric == "log_loss":
        return f"{estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    return f"{100 * estimate:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
