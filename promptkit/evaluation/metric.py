"""Metrics of a cell by name: what a table, a verdict, a gate or a search may look at.

A metric is each answer's share in it, (queries, seeds); see `promptkit.evaluation.shares`. So its
value, its intervals and its paired differences come of one table, and a new metric is one function
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from promptkit.errors import TaskError, shorten
from promptkit.evaluation import (
    class_metrics,
    confidence_metrics,
    number_metrics,
    set_metrics,
    targets,
)
from promptkit.evaluation.outcomes import LabelScores, Losses, Outcomes
from promptkit.text import did_you_mean
from promptkit.translation import mark, tr

UNANSWERED = 0.05
"""Share of answers without a metric from which the others may be the easy ones."""

OfLabels = Callable[[LabelScores, int], Losses]
OfNumbers = Callable[[Losses, Losses], Losses]
OfDistribution = Callable[[Losses, Losses], Losses]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a cell, with what it takes to compare and to say it."""

    name: str
    """Its usual name, which is also its field in the rows of JSON."""
    said: str
    """What a sentence calls it in English."""
    shares: Callable[[Outcomes], Losses | None]
    """Each answer's share in it, (queries, seeds); None for a cell that has no such metric."""
    least: float = 0.0
    most: float = 1.0
    larger_is_better: bool | None = True
    """None where neither larger nor smaller is, as for a bias: nothing is chosen by it."""
    counts: bool = False
    """True where shares may be 0 and 1 alone, as right and wrong: then it is a proportion."""

    @property
    def noun(self) -> str:
        """Return what a sentence calls it."""
        return tr(self.said)

    @property
    def is_share(self) -> bool:
        """Return whether it is from 0 to 1, so that it is said in percent and points."""
        return (self.least, self.most) == (0.0, 1.0)

    @property
    def sign(self) -> int:
        """Return -1 where smaller is better, else 1."""
        return -1 if self.larger_is_better is False else 1

    def value(self, one: Outcomes) -> float | None:
        """Return it for a cell: the mean over seeds of each seed's own; None where it has none."""
        found = self.shares(one)
        return None if found is None else self.value_of(found)

    def value_of(self, found: Losses) -> float | None:
        """Return it for the shares of a cell; see `value`."""
        known = ~np.isnan(found)
        if not known.any(axis=0).all():
            return None
        if self.counts and known.all():
            return float(found.mean())
        return float(
            np.mean([column[rows].mean() for column, rows in zip(found.T, known.T, strict=True)])
        )

    def unanswered(self, one: Outcomes) -> float:
        """Return the share of the answers of a cell that it is not about, such as no numbers."""
        found = self._kept(one)
        return 1.0 if found is None else float(np.isnan(found).mean())

    def intervals(self, one: Outcomes, level: float = 0.95) -> targets.Intervals | None:
        """Return its intervals for a cell; None where nothing can be said."""
        found = self.shares(one)
        return None if found is None else self.intervals_of(found, one.drawn, level)

    def intervals_of(
        self, found: Losses, drawn: bool, level: float = 0.95
    ) -> targets.Intervals | None:
        """Return its intervals for the shares of a cell, by queries that have one with every seed.

        Args:
            found: The shares, (queries, seeds).
            drawn: Whether another seed would have drawn other shots.
            level: The confidence of each interval.
        """
        table = found[~np.isnan(found).any(axis=1)]
        if not len(table):
            return None
        if self.counts and np.isin(table, (0, 1)).all():
            return targets.accuracy(table.astype(np.int64), drawn, level)
        return targets.mean(table, drawn, least=self.least, most=self.most, level=level)

    def paired(self, a: Outcomes, b: Outcomes) -> tuple[Losses, Losses] | None:
        """Return the shares of two cells in it, of the queries that have one in both.

        The shares of a cell are kept, since it is compared with many.
        """
        first, second = self._kept(a), self._kept(b)
        if first is None or second is None:
            return None
        known = ~np.isnan(first + second).any(axis=1)
        return (first[known], second[known]) if known.any() else None

    def difference(
        self, a: Outcomes, b: Outcomes, level: float = 0.95
    ) -> targets.Differences | None:
        """Return that of `b` less that of `a`, over the queries that have one in both.

        Args:
            a: The outcomes of a cell.
            b: Those of another one, with the same queries and seeds.
            level: The confidence of each interval.

        Returns:
            The difference; None where nothing can be said, as of a single query.
        """
        shares, drawn = self.paired(a, b), a.drawn or b.drawn
        if shares is None:
            return None
        if self.counts and all(np.isin(table, (0, 1)).all() for table in shares):
            return targets.difference(*shares, drawn, level)
        return targets.mean_difference(*shares, drawn, most=self.most - self.least, level=level)

    def _kept(self, one: Outcomes) -> Losses | None:
        if self.name not in one.kept_shares:
            one.kept_shares[self.name] = self.shares(one)
        return one.kept_shares[self.name]


def _measure(name: str, one: Outcomes) -> Losses | None:
    """Return a measure of the answers, or the shares in a metric of one label (`f1.LABEL`)."""
    found = one.measures.get(name)
    statistic, _, label = name.partition(".")
    if found is not None or one.sets is None or statistic not in set_metrics.OF_LABEL:
        return found
    return _of_sets(set_metrics.OF_LABEL[statistic], one, label)


def _of_sets(
    statistic: set_metrics.Statistic, one: Outcomes, label: str | None = None
) -> Losses | None:
    """Return shares by the lists of labels of each seed: of all labels, or of one."""
    sets = one.sets
    if sets is None or (label is not None and label not in sets.labels):
        return None
    which = slice(None) if label is None else sets.labels.index(label)
    gold, said = sets.gold, sets.said.swapaxes(0, 1)
    counts = [set_metrics.counts(gold, each)[:, which] for each in said]
    return np.stack([set_metrics.shares(statistic, each) for each in counts], axis=1)


def _rankings(one: Outcomes) -> Losses | None:
    sets = one.sets
    if sets is None or sets.logprobs is None:
        return None
    each = sets.logprobs.swapaxes(0, 1)
    return np.stack([set_metrics.ranking_precision(scores, sets.gold) for scores in each], axis=1)


def _macro_f1(one: Outcomes) -> Losses | None:
    if one.sets is not None:
        return _of_sets(set_metrics.macro_f1, one)
    return _classes(class_metrics.macro_f1)(one)


def _of_labels(
    shares: OfLabels, one: Outcomes, *, least: int, most: float, options: bool
) -> Losses | None:
    """Return shares by the label scores of each seed, for a number of labels or options."""
    scores = one.scores
    if scores is None or not (options or scores.labels):
        return None
    if not least <= scores.logprobs.shape[2] <= most:
        return None
    return np.stack([shares(scores, seed) for seed in range(scores.said.shape[1])], axis=1)


def _of_classes(statistic: class_metrics.Statistic, scores: LabelScores, seed: int) -> Losses:
    return class_metrics.shares(statistic, scores.gold, scores.said[:, seed], len(scores.labels))


def _top(k: int, scores: LabelScores, seed: int) -> Losses:
    return confidence_metrics.top_k(scores.logprobs[:, seed], scores.gold, k)


def _auroc(scores: LabelScores, seed: int) -> Losses:
    logprobs = scores.logprobs[:, seed]
    with np.errstate(invalid="ignore"):  # of two labels without any probability
        return confidence_metrics.auroc(logprobs[:, 1] - logprobs[:, 0], scores.gold == 1)


def _aurc(one: Outcomes) -> Losses | None:
    """Return shares by the probabilities of labels, or of votes over generated answers."""
    if one.shares is None:
        return _of_labels(_aurc_of_labels, one, least=2, most=math.inf, options=True)
    columns = zip(one.shares.T, one.correct.T, strict=True)
    return np.stack(
        [confidence_metrics.aurc(share, right == 0) for share, right in columns], axis=1
    )


def _aurc_of_labels(scores: LabelScores, seed: int) -> Losses:
    confidence = scores.logprobs[:, seed].max(axis=1)
    return confidence_metrics.aurc(confidence, scores.said[:, seed] != scores.gold)


def _of_numbers(shares: OfNumbers, one: Outcomes) -> Losses | None:
    """Return shares by the numbers of each seed."""
    numbers = one.values
    if numbers is None:
        return None
    return np.stack([shares(numbers.gold, said) for said in numbers.said.T], axis=1)


def _of_distributions(centre: OfDistribution, shares: OfNumbers, one: Outcomes) -> Losses | None:
    """Return shares by a mean or median over labels that are numbers, of each seed."""
    numbers, scores = one.values, one.scores
    if numbers is None or scores is None:
        return None
    values = np.array([float(label) for label in scores.labels])
    each = [centre(scores.logprobs[:, seed], values) for seed in range(scores.said.shape[1])]
    return np.stack([shares(numbers.gold, said) for said in each], axis=1)


def _quadratic_kappa(one: Outcomes) -> Losses | None:
    """Return shares in the weighted kappa of labels that are numbers."""
    numbers, scores = one.values, one.scores
    if numbers is None or scores is None or not scores.labels:
        return None
    statistic = class_metrics.quadratic_kappa([float(label) for label in scores.labels])
    return _classes(statistic)(one)


ACCURACY = Metric(
    "accuracy", mark("accuracy"), lambda one: one.correct.astype(np.float64), counts=True
)


def _labels(
    shares: OfLabels, *, least: int = 2, most: float = math.inf, options: bool = False
) -> Callable[[Outcomes], Losses | None]:
    return partial(_of_labels, shares, least=least, most=most, options=options)


_scored = partial(_labels, options=True)


def _classes(statistic: class_metrics.Statistic) -> Callable[[Outcomes], Losses | None]:
    return _labels(partial(_of_classes, statistic))


def _numbers(shares: OfNumbers) -> Callable[[Outcomes], Losses | None]:
    return partial(_of_numbers, shares)


def _mean(shares: OfNumbers) -> Callable[[Outcomes], Losses | None]:
    return partial(_of_distributions, number_metrics.distribution_means, shares)


def _median(shares: OfNumbers) -> Callable[[Outcomes], Losses | None]:
    return partial(_of_distributions, number_metrics.distribution_medians, shares)


_DISTANCES = number_metrics.absolute_errors

METRICS: tuple[Metric, ...] = (
    ACCURACY,
    Metric("micro_f1", "micro-F1", partial(_of_sets, set_metrics.micro_f1)),
    Metric("macro_f1", "macro-F1", _macro_f1),
    Metric("jaccard", mark("Jaccard index"), partial(_measure, "jaccard")),
    Metric(
        "hamming_loss",
        mark("Hamming loss"),
        partial(_measure, "hamming_loss"),
        larger_is_better=False,
    ),
    Metric("ranking_precision", mark("label ranking precision"), _rankings),
    Metric("log_loss", mark("log loss"), lambda one: one.log_losses, 0, math.inf, False),
    Metric("brier", mark("Brier score"), lambda one: one.brier_scores, 0, 2, False),
    Metric(
        "coverage", mark("coverage"), lambda one: one.coverage if one.scores or one.sets else None
    ),
    Metric(
        "balanced_accuracy", mark("balanced accuracy"), _classes(class_metrics.balanced_accuracy)
    ),
    Metric("mcc", mark("Matthews correlation"), _classes(class_metrics.mcc), -1),
    Metric("kappa", "Cohen's kappa", _classes(class_metrics.kappa), -1),
    Metric("auroc", "AUROC", _labels(_auroc, most=2)),
    Metric(
        "top_2_accuracy", mark("top-2 accuracy"), _scored(partial(_top, 2), least=3), counts=True
    ),
    Metric(
        "top_3_accuracy", mark("top-3 accuracy"), _scored(partial(_top, 3), least=4), counts=True
    ),
    Metric("aurc", mark("risk-coverage area"), _aurc, larger_is_better=False),
    Metric("mae", "MAE", _numbers(number_metrics.absolute_errors), 0, math.inf, False),
    Metric("rmse", "RMSE", _numbers(number_metrics.rmse), 0, math.inf, False),
    Metric("bias", mark("bias"), _numbers(number_metrics.errors), -math.inf, math.inf, None),
    Metric("pearson", mark("Pearson correlation"), _numbers(number_metrics.pearson), -1),
    Metric("spearman", mark("Spearman correlation"), _numbers(number_metrics.spearman), -1),
    Metric("mae_of_mean", mark("MAE of the mean"), _mean(_DISTANCES), 0, math.inf, False),
    Metric(
        "rmse_of_mean", mark("RMSE of the mean"), _mean(number_metrics.rmse), 0, math.inf, False
    ),
    Metric("mae_of_median", mark("MAE of the median"), _median(_DISTANCES), 0, math.inf, False),
    Metric("quadratic_kappa", mark("quadratic-weighted kappa"), _quadratic_kappa, -1),
)
"""Metrics in the order of tables."""

BY_NAME = {metric.name: metric for metric in METRICS}


def metrics_of(one: Outcomes) -> Iterator[tuple[Metric, Losses]]:
    """Yield the metrics that a cell has with its shares, those of measures and labels last."""
    labels = () if one.sets is None else one.sets.labels
    names = [
        *(name for name in one.measures if name not in BY_NAME),
        *(f"{name}.{label}" for name in set_metrics.OF_LABEL for label in labels),
    ]
    for metric in (*METRICS, *map(measured, names)):
        shares = metric.shares(one)
        if shares is not None:
            yield metric, shares


def measured(name: str) -> Metric:
    """Return the metric that is the mean of a measure of each answer (`Prediction.measures`)."""
    known = BY_NAME.get(name)
    return known or Metric(name, name.replace("_", " "), partial(_measure, name), counts=True)


def metric_named(name: str, one: Outcomes) -> Metric:
    """Return the metric of a cell by its name.

    Args:
        name: Its name, such as `mae`.
        one: Outcomes that should have it.

    Raises:
        TaskError: There is no such metric of these answers.
    """
    known = {metric.name: metric for metric, _ in metrics_of(one)}
    if name not in known:
        hint = did_you_mean(name, known, lead="; ")
        raise TaskError(
            tr(
                "metric {name}: these answers have no such metric; choose one of: {known}{hint}",
                name=shorten(name),
                known=", ".join(known),
                hint=hint,
            )
        )
    return known[name]
