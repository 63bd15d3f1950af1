"""Slices of a comparison: the queries that share a value of a column, judged on their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from promptkit.errors import TaskError, shorten
from promptkit.evaluation import cell_metrics, mean_intervals, metric_text, sentences, targets
from promptkit.evaluation import pairs as paired
from promptkit.evaluation.independent_intervals import Estimate, difference_interval
from promptkit.evaluation.intervals import RESAMPLES, Difference, Interval, holm
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import ByCell, Losses, Outcomes, Table, outcomes
from promptkit.evaluation.results import Best, Ends, Row, Slice, SliceDifference, Slicing
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.examples import Example
from promptkit.tasks.judging import OfLabel
from promptkit.tasks.task import Task
from promptkit.text import counted, did_you_mean, listed, p_value, percent, quoted, shown, signed
from promptkit.translation import tr, trn

MOST_LEVELS = 50
"""Largest number of slices of one column."""

SMALL = 20
"""Number of queries below which a slice is small: it is shown and not compared."""

EACH = 4
"""Number of cells up to which every cell is shown; of more, the two that are compared."""

NONE = "(none)"
"""Level of queries without a value."""

Levels = Mapping[str, Sequence[str]]
"""The ids of queries by their level of a column."""


def levels_by_column(
    task: Task[Any, Any], queries: Sequence[Example[Any, Any]], names: Iterable[str]
) -> dict[str, Levels]:
    """Return the queries of each slice, by column; those of most queries first.

    Args:
        task: The task of the queries.
        queries: What is asked.
        names: Input fields, columns of metadata, or `output`.

    Raises:
        TaskError: There is no such column, or it has too many values.
    """
    rows = {query.id: _columns(task, query) for query in queries}
    known = list(dict.fromkeys(name for row in rows.values() for name in row))
    return {name: _levels(name, rows, known) for name in dict.fromkeys(names)}


def _columns(task: Task[Any, Any], query: Example[Any, Any]) -> dict[str, Any]:
    fields = {**query.metadata, **task.fields_of(query)}
    return fields | {"output": task.output_type.plain(query.output)} if query.labelled else fields


def _levels(name: str, rows: Mapping[str, Mapping[str, Any]], known: Sequence[str]) -> Levels:
    if name not in known:
        hint = did_you_mean(name, known, lead="; ") or tr(
            "; they have: {known}", known=", ".join(known)
        )
        raise TaskError(
            tr("by {name}: the tests have no such column{hint}", name=shorten(name), hint=hint)
        )
    found: dict[str, list[str]] = {}
    for id, row in rows.items():
        value = row.get(name)
        found.setdefault(NONE if value in (None, "") else shown(value), []).append(id)
    if len(found) > MOST_LEVELS:
        raise TaskError(
            tr(
                "by {name!r}: {values:,} different values in {tests:,} tests, and slices "
                "are made of at most {MOST_LEVELS}; name a column with fewer, such as a "
                "group of values",
                name=name,
                values=len(found),
                tests=len(rows),
                MOST_LEVELS=MOST_LEVELS,
            )
        )
    return dict(sorted(found.items(), key=lambda level: -len(level[1])))


class _Part(NamedTuple):
    """A slice before its p-values are corrected."""

    level: str
    n: int
    by_cell: ByCell
    change: targets.Differences | None
    rest: targets.Differences | None


def slicings(
    columns: Mapping[str, Levels],
    predictions: Sequence[Prediction],
    judged: tuple[Mapping[Any, str], OfLabel | None],
    by_cell: ByCell,
    best: Best,
    metric: Metric = ACCURACY,
) -> Iterator[Slicing]:
    """Yield the slices of each column.

    Two differences are tested in every slice that is not small, each corrected for the number of
    slices (Holm): between two cells, and between the slice and all other queries in the best cell.

    Args:
        columns: The queries by column and level, as `levels_by_column` returns them.
        predictions: The predictions of all cells.
        judged: The label of each gold output, and the measures of labels, as for `outcomes`.
        by_cell: The outcomes of the predictions.
        best: The best cell.
        metric: The metric of the differences.
    """
    a, b = _compared(by_cell, best, metric)
    raw = [cell for cell in paired.cells_of(by_cell) if cell.calibration == RAW]
    cells = raw if len(raw) <= EACH else [*filter(None, (a, b))]
    for name, levels in columns.items():
        parts = []
        for level, ids in levels.items():
            own = {*ids}
            some = outcomes([one for one in predictions if one.id in own], *judged)
            change = rest = None
            if len(own) >= SMALL:
                change = None if a is None else metric.difference(some[a], some[b])
                rest = from_rest(by_cell[b], [id in own for id in by_cell[b].queries], metric)
            parts.append(_Part(level, len(own), some, change, rest))
        yield _slicing(name, a, b, cells, parts, metric)


def _compared(by_cell: ByCell, best: Best, metric: Metric) -> tuple[Cell | None, Cell]:
    """Return the first cell and the best one; the next best where the first is the best.

    Cells without the metric are left out.
    """
    values = {
        cell: metric.sign * value
        for cell in paired.cells_of(by_cell)
        if (value := metric.value(by_cell[cell])) is not None
    }
    first, *others = values
    if best.cell != first or not others:
        return (first if others else None), best.cell
    return max(others, key=lambda cell: values[cell]), first


def from_rest(
    one: Outcomes, inside: Sequence[bool], metric: Metric = ACCURACY
) -> targets.Differences | None:
    """Return a metric in a slice less that of all other queries; None without others.

    The p-value of an accuracy is that of the permutation test: were the slice a draw of so many of
    the queries, how often would its accuracy be at least as far from theirs? That of another metric
    is from Welch's t-test of the shares of the queries, which need not scatter alike on both sides.
    The interval is made from those of both sides (Newcombe's hybrid).

    Newcombe, "Interval estimation for the difference between independent proportions", Statistics
    in Medicine 17, 1998; Zou and Donner, "Construction of confidence limits about effect measures",
    Statistics in Medicine 27, 2008.

    Args:
        one: The outcomes of a cell.
        inside: For each query, whether it is in the slice.
        metric: The metric.
    """
    mask = np.array(inside)
    if mask.all() or not mask.any():
        return None
    if metric == ACCURACY:
        own, rest = one.correct[mask].astype(np.float64), one.correct[~mask].astype(np.float64)
        p = _permutation_p(one.correct.sum(axis=1), mask)
    else:
        ids = np.array([*one.queries])
        sides = [metric.shares(one.of(ids[side].tolist())) for side in (mask, ~mask)]
        own, rest = (_known(side) for side in sides)
        if min(len(own), len(rest)) < 2:
            return None
        p = mean_intervals.apart(own, rest)
    here, there = (metric.intervals_of(table, one.drawn) for table in (own, rest))
    if here is None or there is None:
        return None
    these = _hybrid(own, rest, here.these, there.these, p)
    if here.general is None or there.general is None:
        return targets.Differences(None, these)
    return targets.Differences(_hybrid(own, rest, here.general, there.general, p), these)


def _known(shares: Losses | None) -> Losses:
    """Return the shares of the queries that have one with every seed."""
    if shares is None:
        return np.zeros((0, 1))
    known: Losses = shares[np.isfinite(shares).all(axis=1)]
    return known


def _hybrid(own: Losses, rest: Losses, first: Interval, second: Interval, p: float) -> Difference:
    here, there = Estimate(float(own.mean()), first), Estimate(float(rest.mean()), second)
    delta = float(own.mean() - rest.mean())
    return Difference(delta, difference_interval(here, there), p, abs(delta))


def _permutation_p(right: Table, inside: Any) -> float:
    """Return the p-value of the permutation test over queries, by their number of right seeds."""
    values, counts = np.unique(right, return_counts=True)
    n = int(inside.sum())
    drawn = np.random.default_rng(0).multivariate_hypergeometric(counts, n, size=RESAMPLES)
    centre = len(right) * n * right.mean()  # in whole units, so that ties are exact
    far = np.abs(len(right) * (drawn @ values) - centre)
    own = abs(len(right) * right[inside].sum() - centre)
    return float((1 + (far >= own - 1e-6).sum()) / (1 + RESAMPLES))


def _slicing(
    name: str,
    a: Cell | None,
    b: Cell,
    cells: Sequence[Cell],
    parts: Sequence[_Part],
    metric: Metric,
) -> Slicing:
    changes = _corrected([part.change for part in parts])
    # Of two slices, one is the rest of the other: a single comparison.
    rests = _corrected([part.rest for part in parts], single=len(parts) == 2)
    found = tuple(
        Slice(
            part.level,
            part.n,
            part.n < SMALL,
            tuple(cell_metrics.row(part.by_cell[cell]) for cell in cells),
            change,
            rest,
        )
        for part, change, rest in zip(parts, changes, rests, strict=True)
    )
    return Slicing(name, a, b, found, tuple(_sentences(name, a, b, found, metric)))


def _corrected(
    found: Sequence[targets.Differences | None], *, single: bool = False
) -> Iterator[SliceDifference | None]:
    p_values = [one.decisive.p for one in found if one is not None]
    corrected = iter(p_values if single else holm(p_values).tolist())
    for one in found:
        yield None if one is None else _difference(one, next(corrected))


def _difference(one: targets.Differences, p_holm: float) -> SliceDifference:
    general = None if one.general is None else _ends(one.general)
    decisive = one.decisive
    return SliceDifference(decisive.delta, general, _ends(one.these), decisive.p, p_holm)


def _ends(one: Difference) -> Ends:
    return one.ci.low, one.ci.high


def _sentences(
    name: str, a: Cell | None, b: Cell, slices: Sequence[Slice], metric: Metric
) -> Iterator[str]:
    """Yield the significant differences of slices, and the slices that are too small."""
    large = [one for one in slices if not one.small]
    apart = [one for one in large if one.rest is not None and one.rest.significant]
    for one in apart:
        assert one.rest is not None
        row = next(row for row in one.rows if row.at(seed=None) == b)
        yield tr(
            "{name} = {level}: {value}, {change} against the other queries, "
            "significant (Holm-adjusted {p_value}).",
            name=name,
            level=quoted(one.level),
            value=_value(row, metric),
            change=_change(one.rest, metric),
            p_value=p_value(one.rest.p_holm),
        )
    if len(large) > 1 and not apart:
        yield tr("No slice by {name} differs significantly from the other queries.", name=name)
    if a is not None and large:
        yield _changes(name, a, b, large, metric)
    if small := [one for one in slices if one.small]:
        names = [quoted(one.level) for one in small[:3]]
        names += [tr("{count} more", count=len(small) - 3)] if small[3:] else []
        yield trn(
            "{n:,} slice by {name} has fewer than {least} queries ({names}): too few to compare.",
            "{n:,} slices by {name} have fewer than {least} queries ({names}): too few to compare.",
            len(small),
            name=name,
            least=SMALL,
            names=listed(names),
        )


def _changes(name: str, a: Cell, b: Cell, large: Sequence[Slice], metric: Metric) -> str:
    """Return a sentence on the slices in which two cells differ."""
    apart = [(one, one.change) for one in large if one.change and one.change.significant]
    names = paired.varied([a, b])
    new, old = (sentences.context(paired.levels(cell, names)) for cell in (b, a))
    between = tr(
        "{new} vs {old}",
        new=new or tr("the best cell"),
        old=old.removeprefix("at ") or tr("the first"),
    )
    if not apart:
        return tr(
            "By {name}, {between}: no significant difference in any slice.",
            name=name,
            between=between,
        )
    said = [f"{quoted(one.level)} ({_change(change, metric)})" for one, change in apart]
    return tr(
        "By {name}, {between}: a significant difference in {count} of {slices}, {listed}.",
        name=name,
        between=between,
        count=len(apart),
        slices=counted(len(large), "slice", "slices"),
        listed=listed(said[:5]),
    )


def _value(row: Row, metric: Metric) -> str:
    if metric == ACCURACY:
        return tr("{accuracy} right", accuracy=percent(row.accuracy))
    found = row.figure(metric.name)
    assert found is not None  # it has been compared
    return metric_text.said(metric, found.value, None)


def _change(one: SliceDifference, metric: Metric) -> str:
    low, high = one.ends
    if metric == ACCURACY:
        return tr(
            "{delta} points [{low}, {high}]",
            delta=signed(one.delta),
            low=signed(low),
            high=signed(high),
        )
    return metric_text.difference(metric, one.delta, low, high)
