"""Unintended bias of scores: whether identities move them, whatever is said of these.

Three areas under ROC curves for each subgroup of the queries:

- *subgroup AUC*: positive and negative queries of the subgroup; low where scores cannot tell them
  apart there.
- *BPSN AUC* (background positive, subgroup negative): low where the negative queries of the
  subgroup have higher scores than positive ones elsewhere: false positives.
- *BNSP AUC* (background negative, subgroup positive): low where the positive queries of the
  subgroup have lower scores than negative ones elsewhere: false negatives.

The background is all queries outside of the subgroup. Over subgroups each is summed up by a
generalised mean, which the worst of them decide.

Borkan, Dixon, Sorensen, Thain and Vasserman, "Nuanced metrics for measuring unintended bias with
real data for text classification", WWW 2019 Companion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promptkit.auditing.audited_answers import AuditedAnswers
from promptkit.auditing.group_sentences import positive_name
from promptkit.auditing.groups import positive_text
from promptkit.errors import TaskError
from promptkit.evaluation.confidence_metrics import auroc
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.outcomes import Losses
from promptkit.evaluation.results import Ends
from promptkit.translation import tr

AREA = BY_NAME["auroc"]

POWER = -5.0
"""Power of the generalised mean."""

SMALL_SIDE = 10
"""Number of queries of either side of an AUC below which a subgroup is small."""

KINDS = ("subgroup", "bpsn", "bnsp")


@dataclass(frozen=True, slots=True)
class Area:
    """An area under a ROC curve, or a mean of several."""

    value: float
    """From 0 to 1; 0.5 is chance."""
    ci: Ends | None
    """95 %, for new queries, and for new draws of shots where several were drawn."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """Queries that name one identity."""

    name: str
    n: int
    """Number of queries."""
    positives: int
    """Number of those whose gold output is the positive one."""
    small: bool
    """So few positive or negative queries that the subgroup is shown, and summed up nowhere."""
    subgroup: Area | None
    """AUC inside of the subgroup; each of the three is None where one side has no query."""
    bpsn: Area | None
    """AUC of positive queries of the background and negative ones of the subgroup."""
    bnsp: Area | None
    """AUC of negative queries of the background and positive ones of the subgroup."""


@dataclass(frozen=True, slots=True)
class UnintendedBias:
    """Areas under ROC curves by subgroup, and their generalised means."""

    positive: str
    """The positive output, whose scores are judged."""
    by: str
    """Column of the subgroups, or `terms`."""
    overall: Area
    """AUC over all queries."""
    subgroups: tuple[Subgroup, ...]
    """Those of the lowest areas first, and small ones last."""
    subgroup_mean: Area | None
    """Generalised mean of the subgroup AUCs of subgroups that are not small; None without any."""
    bpsn_mean: Area | None
    """That of the BPSN AUCs."""
    bnsp_mean: Area | None
    """That of the BNSP AUCs."""
    power: float = POWER
    """Power of these means."""


def unintended_bias_of(
    answers: AuditedAnswers, by: str, subgroups: Mapping[str, Sequence[str]]
) -> UnintendedBias:
    """Return the unintended bias of audited answers.

    Args:
        answers: The answers, with a positive output.
        by: Name of the column of the subgroups, or `terms`.
        subgroups: The ids of the queries of each subgroup; they may overlap.

    Raises:
        TaskError: There are no scores of a positive output, or all gold outputs are alike.
    """
    scores, gold = answers.scores, answers.gold
    if answers.positive is None or gold is None:
        raise TaskError(tr("unintended bias is of the scores of one label: name it in positive"))
    if scores is None:
        raise TaskError(
            tr(
                "{name}: no scores of the labels, which unintended bias is about; ask a "
                "model or a student that gives probabilities",
                name=answers.name,
            )
        )
    if gold.all() or not gold.any():
        positive = positive_name(positive_text(answers.positive))
        raise TaskError(
            tr(
                "unintended bias: all of the gold outputs is {positive}, and it takes both",
                positive=positive,
            )
            if gold.all()
            else tr(
                "unintended bias: none of the gold outputs is {positive}, and it takes both",
                positive=positive,
            )
        )
    curves = _Curves(scores, gold, answers.outcomes.drawn)
    places = {id: place for place, id in enumerate(answers.outcomes.queries)}
    found: list[Subgroup] = []
    shares: dict[str, list[Losses]] = {kind: [] for kind in KINDS}
    for name, ids in subgroups.items():
        inside = np.zeros(len(gold), dtype=np.bool_)
        inside[[places[id] for id in ids if id in places]] = True
        if not inside.any():
            continue
        one, own = curves.subgroup(name, inside)
        found.append(one)
        for kind, table in own.items():
            if not one.small and table is not None:
                shares[kind].append(table)
    if not found:
        raise TaskError(tr("unintended bias: no query is in any subgroup"))
    found.sort(key=lambda one: (one.small, _lowest(one)))
    subgroup, bpsn, bnsp = (curves.mean(shares[kind]) for kind in KINDS)
    overall = curves.area(auc_shares(scores, gold))
    assert overall is not None
    stated = positive_text(answers.positive) or ""
    return UnintendedBias(stated, by, overall, tuple(found), subgroup, bpsn, bnsp)


def auc_shares(
    scores: Losses, gold: NDArray[np.bool_], about: NDArray[np.bool_] | None = None
) -> Losses | None:
    """Return each query's share in an AUC, (queries, seeds); None where one side is empty.

    Args:
        scores: (queries, seeds)
        gold: True for positive queries, (queries,).
        about: The queries that the curve is of, (queries,); all by default. The others have the
            AUC itself for a share, and the shares of these are moved from it by as much more as
            there are queries more, so that the scatter of all is that of the AUC.
    """
    some = np.ones(len(gold), dtype=np.bool_) if about is None else about
    if not 0 < gold[some].sum() < some.sum():
        return None
    own = np.stack([auroc(column[some], gold[some]) for column in scores.T], axis=1)
    whole = np.repeat(own.mean(axis=0)[np.newaxis], len(gold), axis=0)
    whole[some] += (own - own.mean(axis=0)) * (len(gold) / some.sum())
    return whole


def power_mean(values: Sequence[float], power: float = POWER) -> float:
    """Return the generalised mean of numbers of 0 or more; 0 where one of them is.

    Example:
        >>> round(power_mean([0.5, 1.0]), 3)
        0.571
    """
    table = np.asarray(values, dtype=np.float64)
    if (table <= 0).any():
        return 0.0
    return float(np.mean(table**power) ** (1 / power))


class _Curves:
    """Areas under the curves of one predictor's scores."""

    def __init__(self, scores: Losses, gold: NDArray[np.bool_], drawn: bool) -> None:
        self._scores, self._gold, self._drawn = scores, gold, drawn

    def subgroup(
        self, name: str, inside: NDArray[np.bool_]
    ) -> tuple[Subgroup, dict[str, Losses | None]]:
        """Return the areas of a subgroup, and the shares that they are of."""
        gold = self._gold
        about = {
            "subgroup": inside,
            "bpsn": np.where(inside, ~gold, gold),
            "bnsp": np.where(inside, gold, ~gold),
        }
        shares = {kind: auc_shares(self._scores, gold, some) for kind, some in about.items()}
        n, positives = int(inside.sum()), int((inside & gold).sum())
        areas = {
            kind: self.area(
                None if found is None else auc_shares(self._scores[about[kind]], gold[about[kind]])
            )
            for kind, found in shares.items()
        }
        small = min(positives, n - positives) < SMALL_SIDE
        return Subgroup(name, n, positives, small, **areas), shares

    def area(self, shares: Losses | None) -> Area | None:
        """Return an area with its interval, given the shares in it."""
        if shares is None:
            return None
        found = AREA.intervals_of(shares, self._drawn)
        ends = None if found is None else (found.decisive.low, found.decisive.high)
        return Area(float(shares.mean()), ends)

    def mean(self, shares: Sequence[Losses]) -> Area | None:
        """Return the generalised mean of areas, given the shares in each over all queries.

        A query's share in it is the mean, moved as its shares in the areas move that.
        """
        if not shares:
            return None
        areas = np.array([table.mean(axis=0) for table in shares])  # (areas, seeds)
        means = np.array([power_mean(column) for column in areas.T])
        if not means.all():
            return Area(float(means.mean()), None)
        slopes = (areas / means) ** (POWER - 1) / len(shares)
        moved = sum(
            slope * (table - area) for slope, table, area in zip(slopes, shares, areas, strict=True)
        )
        return self.area(means + moved)


def _lowest(one: Subgroup) -> float:
    areas = (one.subgroup, one.bpsn, one.bnsp)
    return min((area.value for area in areas if area is not None), default=math.inf)


def worst(found: UnintendedBias) -> Iterator[tuple[str, Subgroup, Area]]:
    """Yield the lowest area of each kind among subgroups that are not small."""
    for kind in KINDS:
        known = [
            (area.value, one, area)
            for one in found.subgroups
            if not one.small and (area := getattr(one, kind)) is not None
        ]
        if known:
            _, one, area = min(known, key=lambda each: each[0])
            yield kind, one, area
