"""Groups of the tests: accuracy, rates and calibration of each, and the gaps between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from promptkit.auditing import group_sentences
from promptkit.auditing.audited_answers import AuditedAnswers, Positive
from promptkit.auditing.group_gaps import Parts, corrected, four_fifths, gap_of
from promptkit.auditing.group_metrics import CALIBRATION_ERROR, SELECTION, metrics_of_groups
from promptkit.auditing.group_results import Gap, Group, GroupAudit, GroupFigure, Grouping
from promptkit.errors import MissingExtraError
from promptkit.evaluation.intervals import holm
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.results import Ends, SliceDifference
from promptkit.evaluation.slices import SMALL, Levels, from_rest
from promptkit.evaluation.targets import Differences
from promptkit.translation import tr

FOUND = 0.1
"""Difference from the other queries that `Group.needed` is about."""


def check_fairlearn() -> None:
    """Raise `MissingExtraError` where fairlearn is not installed."""
    try:
        import fairlearn.metrics
    except ImportError:
        raise MissingExtraError(tr("an audit of groups"), "audit") from None
    assert fairlearn.metrics


def groups_of(
    answers: AuditedAnswers, columns: Mapping[str, Levels], *, rule: bool = False
) -> GroupAudit:
    """Return the groups of audited answers.

    Args:
        answers: The answers.
        columns: The queries of each group by column (`groups_by_column`).
        rule: Whether the four-fifths rule is judged.

    Raises:
        MissingExtraError: fairlearn is not installed.
    """
    metrics = [*metrics_of_groups(answers)]
    found = [_grouping(answers, name, levels, metrics) for name, levels in columns.items()]
    every = iter(corrected([gap for grouping in found for gap in grouping.gaps]))
    groupings = []
    for one in found:
        gaps = tuple([_ruled(next(every), rule) for _ in one.gaps])
        said = group_sentences.of_grouping(one.by, one.groups, gaps)
        groupings.append(replace(one, gaps=gaps, sentences=tuple(said)))
    return GroupAudit(positive_text(answers.positive), _all(answers, metrics), tuple(groupings))


def ranked(metric: Metric, parts: Parts) -> dict[str, Outcomes]:
    """Return the groups that are ranked by a metric: those with enough queries that it is about."""
    return {name: one for name, one in parts.items() if _about(metric, one) >= SMALL}


def positive_text(positive: Positive | None) -> str | None:
    """Return the positive output in words."""
    return (
        positive
        if positive is None or isinstance(positive, str)
        else group_sentences.OR_MORE.format(number=f"{positive:g}")
    )


def _all(answers: AuditedAnswers, metrics: Sequence[Metric]) -> Group:
    """Return all queries together as a group."""
    one = answers.outcomes
    values = {metric.name: metric.value(one) for metric in metrics}
    figures = {metric.name: _figure(metric, one, values[metric.name]) for metric in metrics}
    known = {name: figure for name, figure in figures.items() if figure is not None}
    return Group("all", len(one.correct), len(one.correct) < SMALL, known, None)


def _figure(metric: Metric, one: Outcomes, value: float | None) -> GroupFigure | None:
    """Return a metric of a group; None where it is not known."""
    if value is None or not math.isfinite(value):
        return None
    about = _about(metric, one)
    return GroupFigure(value, _ends(metric, one), about, about < SMALL)


def _ruled(gap: Gap, rule: bool) -> Gap:
    is_selection = gap.metric.partition(".")[0] == SELECTION
    return replace(gap, four_fifths=four_fifths(gap)) if rule and is_selection else gap


def _grouping(
    answers: AuditedAnswers, name: str, levels: Levels, metrics: Sequence[Metric]
) -> Grouping:
    """Return the groups by one column, with p-values of gaps that are not adjusted yet."""
    whole = answers.outcomes
    parts = {level: whole.of(ids) for level, ids in levels.items()}
    values = _by_group(whole, levels, metrics)
    figures: dict[str, dict[str, GroupFigure]] = {level: {} for level in levels}
    for metric in metrics:
        for level, one in parts.items():
            figure = _figure(metric, one, values[metric.name][level])
            if figure is not None:
                figures[level][metric.name] = figure
    _compare(whole, levels, metrics, figures)
    groups = tuple(
        Group(level, len(ids), len(ids) < SMALL, figures[level], _needed(whole, len(ids)))
        for level, ids in levels.items()
    )
    gaps = [
        gap_of(metric, ranked(metric, parts), whole)
        for metric in metrics
        if metric.name != CALIBRATION_ERROR  # larger in smaller groups, whoever is in them
    ]
    return Grouping(name, groups, tuple([gap for gap in gaps if gap is not None]), ())


def _by_group(
    whole: Outcomes, levels: Levels, metrics: Sequence[Metric]
) -> dict[str, dict[str, float]]:
    """Return each metric of each group, NaN where it is not known, by fairlearn's MetricFrame."""
    check_fairlearn()
    from fairlearn.metrics import MetricFrame

    level_of = {id: level for level, ids in levels.items() for id in ids}
    ids = [*level_of]

    def of_queries(metric: Metric, _: ArrayLike, places: ArrayLike) -> float:
        value = metric.value(whole.of([ids[place] for place in np.asarray(places)]))
        return math.nan if value is None else value

    places = np.arange(len(ids))
    frame = MetricFrame(
        metrics={metric.name: partial(of_queries, metric) for metric in metrics},
        y_true=places,
        y_pred=places,
        sensitive_features=[*level_of.values()],
    )
    found: dict[str, dict[str, float]] = frame.by_group.to_dict()
    return found


def _about(metric: Metric, one: Outcomes) -> int:
    """Return the number of queries of a group that a metric is about."""
    name = metric.name
    shares = one.measures.get(name) if name in one.measures else metric.shares(one)
    return 0 if shares is None else int(np.isfinite(shares).all(axis=1).sum())


def _ends(metric: Metric, one: Outcomes) -> Ends | None:
    found = metric.intervals(one)
    if found is None:
        return None
    low, high = found.decisive.low, found.decisive.high
    return (low, high) if math.isfinite(high - low) else None


def _compare(
    whole: Outcomes,
    levels: Levels,
    metrics: Sequence[Metric],
    figures: dict[str, dict[str, GroupFigure]],
) -> None:
    """Add the differences of groups from all other queries, adjusted for all of a column."""
    found = [*_from_rest(whole, levels, metrics, figures)]
    single = len(levels) == 2  # of two groups, one is the rest of the other
    p_values = [one.decisive.p for _, _, one in found]
    by_level = holm(p_values).tolist()
    if single:
        each = {name: one.decisive.p for _, name, one in found}
        by_name = dict(zip(each, holm([*each.values()]).tolist(), strict=True))
        by_level = [by_name[name] for _, name, _ in found]
    for (level, name, one), p in zip(found, by_level, strict=True):
        general = None if one.general is None else (one.general.ci.low, one.general.ci.high)
        decisive, these = one.decisive, (one.these.ci.low, one.these.ci.high)
        rest = SliceDifference(decisive.delta, general, these, decisive.p, p)
        figures[level][name] = replace(figures[level][name], rest=rest)


def _from_rest(
    whole: Outcomes,
    levels: Levels,
    metrics: Sequence[Metric],
    figures: Mapping[str, Mapping[str, GroupFigure]],
) -> Iterator[tuple[str, str, Differences]]:
    for level, ids in levels.items():
        own = {*ids}
        inside = [id in own for id in whole.queries]
        for metric in metrics:
            figure = figures[level].get(metric.name)
            if figure is None or figure.small or metric.name == CALIBRATION_ERROR:
                continue
            rest = from_rest(whole, inside, metric)
            if rest is not None and math.isfinite(rest.these.ci.high - rest.these.ci.low):
                yield level, metric.name, rest


def _needed(whole: Outcomes, n: int) -> int | None:
    """Return the number of queries of a group that would show a difference of 10 points.

    Accuracies of two samples are compared by a normal approximation, for a power of 0.8.
    """
    p = float(np.clip(whole.correct.mean(), 0.1, 0.9))
    quantile = NormalDist().inv_cdf
    reach = p * (1 - p) * (quantile(0.975) + quantile(0.8)) ** 2 / FOUND**2
    rest = len(whole.correct) - n
    share = 1 / reach - (1 / rest if rest else math.inf)
    return math.ceil(1 / share) if share > 0 else None
