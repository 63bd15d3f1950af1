"""Gates: bounds on a metric, or on the loss against a saved run, decided by intervals.

A gate fails only if the whole interval is on the wrong side of the bound. A strict gate passes only
if the whole interval is on the right side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit.errors import TaskError
from promptkit.evaluation import metric_text, targets
from promptkit.evaluation.caveats import share_text
from promptkit.evaluation.intervals import Interval, paired_difference
from promptkit.evaluation.matched import shared
from promptkit.evaluation.mean_intervals import mean_difference
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric, measured, metric_named
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.power import SampleSize, detectable
from promptkit.gates.gate_text import (
    bound_text,
    changed_items,
    common_queries,
    estimate_text,
    margin_text,
    metric_name,
    other_levels,
)
from promptkit.inference.cell import Cell, describe
from promptkit.text import percent, signed
from promptkit.translation import tr

ERROR_RATE = 0.05
"""Rate at which any interval of one check may miss what it estimates."""


class Bound(NamedTuple):
    """Lower (`min`) or upper (`max`) bound on a metric."""

    kind: Literal["min", "max"]
    metric: str
    value: float

    def __str__(self) -> str:
        side = tr("at least") if self.kind == "min" else tr("at most")
        metric = measured(self.metric)
        return f"{metric_name(metric)} {side} {bound_text(metric, self.value)}"


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
    metric: str
    """Name of the metric that it is about."""
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
    unanswered: float = 0.0
    """Share of the answers that have no such metric, such as no numbers for an MAE."""


class Sides(NamedTuple):
    """Distances of an estimate and the ends of its interval from a bound; below 0 if missed."""

    estimate: float
    least: float
    most: float

    def passes(self, strict: bool) -> bool:
        return self.least >= 0 if strict else self.most >= 0

    def verdict(self, missed: str, strict: bool) -> str:
        """Return the decision in words; empty if the bound is kept."""
        if self.most < 0:
            return tr(": significantly {missed}", missed=missed)
        if strict and self.least < 0:
            return tr(": may be {missed}", missed=missed)
        return tr(": {missed}, but not significantly", missed=missed) if self.estimate < 0 else ""


def bounded(
    bound: Bound, found: Outcomes, level: float = 1 - ERROR_RATE, strict: bool = False
) -> Gate:
    """Return a gate that fails if a metric misses its bound, or is known of too few answers.

    Where more than `UNANSWERED` of the answers have no such metric, such as no numbers for an MAE,
    the others may be the easy ones, and the gate fails whatever they are like.

    Args:
        bound: The bound.
        found: The outcomes of a cell.
        level: The confidence level of the interval that decides.
        strict: Pass only if the whole interval is on the right side.

    Raises:
        TaskError: The answers have no such metric.
    """
    metric = metric_named(bound.metric, found)
    estimate, interval = _measured(metric, found, level)
    low, high, value = interval.low, interval.high, bound.value
    if bound.kind == "min":
        sides = Sides(estimate - value, low - value, high - value)
        missed = tr("below {limit}", limit=bound_text(metric, value))
    else:
        sides = Sides(value - estimate, value - high, value - low)
        missed = tr("above {limit}", limit=bound_text(metric, value))
    shown, left_out = estimate_text(metric, estimate, interval), metric.unanswered(found)
    return Gate(
        name=str(bound),
        cell=found.cell,
        passed=sides.passes(strict) and left_out <= UNANSWERED,
        reason=tr(
            "{shown} of {size}{left_out}{verdict}",
            shown=shown,
            size=found.size,
            left_out=_left_out(metric, left_out),
            verdict=sides.verdict(missed, strict),
        ),
        metric=bound.metric,
        estimate=estimate,
        ci=(low, high),
        level=level,
        bound=value,
        queries=found.correct.shape[0],
        seeds=found.correct.shape[1],
        unanswered=left_out,
    )


def _left_out(metric: Metric, share: float, allowed: float = UNANSWERED) -> str:
    """Return the share of answers without a metric in words; empty where all have one."""
    if not share:
        return ""
    many = (
        tr(", more than {allowed}, which fails", allowed=percent(allowed))
        if share > allowed
        else ""
    )
    return tr(
        " (without the {share_text} of answers that have no {noun}{many})",
        share_text=share_text(share),
        noun=metric.noun,
        many=many,
    )


def _measured(metric: Metric, found: Outcomes, level: float) -> tuple[float, Interval]:
    estimate = metric.value(found)
    if estimate is None:
        raise TaskError(
            tr(
                "{name}: {describe} has no answer that has one",
                name=metric.name,
                describe=describe(found.cell),
            )
        )
    if not math.isfinite(estimate):  # a gold label of no probability at all
        return estimate, Interval(estimate, estimate, level)
    intervals = metric.intervals(found, level)
    if intervals is None:
        return estimate, Interval(metric.least, metric.most, level)
    return estimate, intervals.these


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
    """Selection bias of its metric."""


class _Loss(NamedTuple):
    """Difference in a metric from a saved run, over the queries and seeds that both have."""

    queries: Sequence[str]
    change: npt.NDArray[np.float64]
    """Per query, over the seeds: above 0 where the answers are better now."""
    seeds: int
    delta: float
    ci: tuple[float, float]
    unknown: bool
    """Whether one draw, with other shots than in the saved run, cannot tell."""


def no_worse(
    now: Outcomes,
    reference: Reference,
    metric: Metric = ACCURACY,
    *,
    margin: float = 0.0,
    level: float = 1 - ERROR_RATE,
    strict: bool = False,
) -> Gate:
    """Return a gate that fails if the accuracy, or another metric, is worse than in a saved run.

    It fails as well where more than `UNANSWERED` of the answers have no such metric, and more than
    in the saved run: the others may be the easy ones.

    Both are compared on the queries and seeds that they have in common. The gate is about these
    shots; where a draw has other shots than in the saved run, it is about new draws, and one draw
    alone cannot tell. The selection bias of a saved cell that was the best of many is allowed for.

    Args:
        now: The outcomes of a cell.
        reference: Those of the saved run.
        metric: What must not be worse.
        margin: The loss that is allowed, in the unit of the metric: from 0 to 1 for a share.
        level: The confidence level of the interval that decides.
        strict: Pass only if the whole interval is on the right side.

    Raises:
        DataError: No query is common, or one has another text or gold output.
        TaskError: One of the two has no such metric.
    """
    loss = _loss(now, reference, metric, level)
    slack = margin + reference.bias
    ends = sorted(metric.sign * end for end in loss.ci)
    sides = Sides(*(each + slack for each in (metric.sign * loss.delta, *ends)))
    by = tr(" by more than {margin}", margin=margin_text(metric, margin)) if margin else ""
    unseen = None if reference.other_draws else _detectable(loss, metric, slack, level)
    missable = (
        tr("so few queries can show no loss")
        if unseen is None
        else tr("losses below about {size} mostly pass", size=metric_text.size(metric, unseen))
    )
    worst = [int(index) for index in np.argsort(loss.change, kind="stable")]
    broke = tuple([loss.queries[i] for i in worst if loss.change[i] < 0])
    mended = tuple([loss.queries[i] for i in reversed(worst) if loss.change[i] > 0])
    of = "" if metric == ACCURACY else f"{metric_name(metric)} "
    left_out = metric.unanswered(now)
    allowed = max(UNANSWERED, metric.unanswered(reference.outcomes))
    return Gate(
        name=tr("{of}not worse than {run}{by}", of=of, run=reference.run, by=by),
        cell=now.cell,
        passed=sides.passes(strict) and left_out <= allowed,
        reason=(
            tr(
                "{change} over {common}{left_out}{conditions}{verdict}{elsewhere}{items}{unseen}",
                change=_change(metric, loss),
                common=common_queries(now, reference.outcomes, loss.queries),
                left_out=_left_out(metric, left_out, allowed),
                conditions=_conditions(reference, metric, loss),
                verdict=sides.verdict(tr("worse") + by, strict),
                elsewhere=other_levels(now.cell, reference.outcomes.cell),
                items=changed_items(broke, mended),
                unseen="" if strict or sides.most < 0 or reference.other_draws else "; " + missable,
            )
        ),
        metric=metric.name,
        estimate=loss.delta,
        ci=loss.ci,
        level=level,
        bound=0.0 - metric.sign * margin,
        queries=len(loss.queries),
        seeds=loss.seeds,
        broke=broke,
        mended=mended,
        unseen=unseen,
        bias=reference.bias,
        unanswered=left_out,
    )


def _loss(now: Outcomes, reference: Reference, metric: Metric, level: float) -> _Loss:
    common = shared(now.queries, reference.outcomes.queries, reference.run)
    seeds = [seed for seed in now.numbers if seed in reference.outcomes.numbers]
    tables = [metric.shares(one.of(common, seeds)) for one in (now, reference.outcomes)]
    if tables[0] is None or tables[1] is None:
        where = reference.run if tables[1] is None else tr("this comparison")
        raise TaskError(
            tr(
                "{name}: {where} has no such metric; compare anew, or by another",
                name=metric.name,
                where=where,
            )
        )
    known = ~np.isnan(tables[0].mean(axis=1) + tables[1].mean(axis=1))
    if not known.any():
        raise TaskError(tr("{name}: no common query has one in both runs", name=metric.name))
    common = [id for id, kept in zip(common, known, strict=True) if kept]
    mine, theirs = tables[0][known], tables[1][known]
    change = mine.mean(axis=1) - theirs.mean(axis=1)
    counts = metric.counts and np.isin(mine, (0, 1)).all() and np.isin(theirs, (0, 1)).all()
    found = paired_difference(theirs, mine, level) if counts else mean_difference(change, level)
    most, better = metric.most - metric.least, metric.sign * change
    if reference.other_draws:
        general = None
        if seeds[1:] and counts:
            general = targets.difference(theirs, mine, True, level).general
        elif seeds[1:]:
            both = targets.mean_difference(theirs, mine, True, most=most, level=level)
            general = None if both is None else both.general
        if general is None:
            return _Loss(common, better, len(seeds), found.delta, (-most, most), True)
        found = general
    ends = max(found.ci.low, -most), min(found.ci.high, most)
    return _Loss(common, better, mine.shape[1], found.delta, ends, False)


def _detectable(loss: _Loss, metric: Metric, slack: float, level: float) -> float | None:
    square = float(np.square(loss.change).mean())
    size = SampleSize(square, comparisons=1, alpha=1 - level, counts=metric.counts)
    found = detectable(len(loss.queries), size)
    return None if found is None else min(found + slack, metric.most - metric.least)


def _change(metric: Metric, loss: _Loss) -> str:
    """Return the difference with its interval: `-1.3 points [-7.5, +5.0]`."""
    of = "" if metric == ACCURACY else f"{metric_name(metric)} "
    if not metric.is_share:
        return of + metric_text.change(metric, loss.delta, *loss.ci)
    low, high = (signed(end, 1) for end in loss.ci)
    return tr(
        "{of}{delta} points [{low}, {high}]", of=of, delta=signed(loss.delta, 1), low=low, high=high
    )


def _conditions(reference: Reference, metric: Metric, loss: _Loss) -> str:
    """Return what a gate says of other draws and of selection bias."""
    draws = tr(", for new draws since some have other shots") if reference.other_draws else ""
    if loss.unknown:
        draws = tr(
            ", whose draw has other shots: one draw cannot tell a loss from another "
            "draw; run both with more seeds, as --seeds 8 does"
        )
    if not reference.bias:
        return draws
    return tr(
        "{draws} (then the best of {cells} cells, whose selection bias of about {size} is allowed)",
        draws=draws,
        cells=reference.cells,
        size=metric_text.size(metric, reference.bias, 1),
    )
