"""Outcomes: predictions against the gold outputs, grouped by cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from promptkit.errors import DataError, Problem
from promptkit.evaluation import metrics
from promptkit.evaluation.set_outcomes import LabelSets, label_sets
from promptkit.inference.cell import FIELDS, RAW, Cell, describe
from promptkit.inference.prediction import Prediction
from promptkit.tasks.judging import OfLabel
from promptkit.tasks.measures import number_of
from promptkit.text import counted
from promptkit.translation import tr

Table = npt.NDArray[np.int64]
"""Correctness of answers as 0 and 1, (queries, seeds)."""

Losses = npt.NDArray[np.float64]
"""A number for each answer, such as its log loss, (queries, seeds)."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """Scores of the labels under one cell; labels by their number."""

    labels: tuple[str, ...]
    """Empty where each query has options of its own, which are numbered instead."""
    logprobs: npt.NDArray[np.float64]
    """Log-probabilities, normalised over the labels, (queries, seeds, labels); -inf beyond the
    last option of a query."""
    gold: Table
    """Gold label of each query, (queries,)."""
    said: Table
    """Most probable label, of equal ones the first, (queries, seeds)."""

    def each(self, metric: Callable[[npt.NDArray[np.float64], Table, Table], Any]) -> list[Any]:
        """Return a metric of each seed, from its log-probabilities, gold labels and answers."""
        return [
            metric(self.logprobs[:, seed], self.gold, self.said[:, seed])
            for seed in range(self.said.shape[1])
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Answers that are numbers, against the gold ones."""

    gold: Losses
    """Gold number of each query, (queries,)."""
    said: Losses
    """Answers, (queries, seeds); NaN where there is none."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Predictions of one cell against the gold outputs, seeds side by side."""

    cell: Cell
    correct: Table
    scores: LabelScores | None = None
    """None where answers are generated, or gold outputs are no labels of the task."""
    coverage: Losses | None = None
    """Probability mass on the labels, (queries, seeds); None where answers are generated."""
    drawn: bool = True
    """Dependence on the seed: another one would have drawn other shots."""
    queries: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Input and gold output by the id of the query, as JSON has them."""
    seeds: tuple[int, ...] = ()
    """Seeds of the columns; empty where they are numbered from 0."""
    prompts: tuple[int, ...] = ()
    """A hash of the prompts of each seed: equal numbers are equal prompts."""
    failures: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    measures: Mapping[str, Losses] = field(default_factory=dict)
    """Measures of each answer by name (`Prediction.measures`), (queries, seeds); NaN where there
    is none."""
    values: Numbers | None = None
    """None where gold outputs are no numbers."""
    sets: LabelSets | None = None
    """None unless answers are lists of labels."""
    shares: Losses | None = None
    """Share of the votes that each generated answer has, (queries, seeds), 0 where there is no
    answer; None where nothing voted, or labels are scored."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Seeds of the columns."""
        return self.seeds or tuple(range(self.correct.shape[1]))

    @property
    def size(self) -> str:
        """Numbers of queries and seeds in words."""
        n, seeds = self.correct.shape
        asked = counted(n, "query", "queries")
        return asked if seeds == 1 else tr("{asked} and {seeds} seeds", asked=asked, seeds=seeds)

    @cached_property
    def kept_shares(self) -> dict[str, Losses | None]:
        """Shares of the answers in metrics by name, for those that are compared with many."""
        return {}

    @cached_property
    def log_losses(self) -> Losses | None:
        """Log loss of each answer, (queries, seeds); None without label scores."""
        return self._table(lambda logprobs, gold, _: metrics.log_losses(logprobs, gold))

    @cached_property
    def brier_scores(self) -> Losses | None:
        """Brier score of each answer, (queries, seeds); None without probabilities.

        Of votes over generated answers it is that of two cases: right or wrong.
        """
        if self.shares is not None:
            scores: Losses = (self.shares - self.correct) ** 2
            return scores
        return self._table(lambda logprobs, gold, _: metrics.brier_scores(np.exp(logprobs), gold))

    def _table(self, of_seed: Callable[..., Losses]) -> Losses | None:
        return None if self.scores is None else np.stack(self.scores.each(of_seed), axis=1)

    def of(self, ids: Sequence[str], seeds: Sequence[int] = ()) -> Outcomes:
        """Return the outcomes of some queries and seeds, without what they took.

        Args:
            ids: The queries.
            seeds: The seeds; all of them where none are named.
        """
        at = {id: index for index, id in enumerate(self.queries)}
        rows = [at[id] for id in ids]
        columns = [self.numbers.index(seed) for seed in seeds] or [*range(self.correct.shape[1])]
        place, scores, values = np.ix_(rows, columns), self.scores, self.values
        if scores is not None:
            scores = LabelScores(
                scores.labels, scores.logprobs[place], scores.gold[rows], scores.said[place]
            )
        return Outcomes(
            self.cell,
            self.correct[place],
            scores,
            None if self.coverage is None else self.coverage[place],
            self.drawn,
            {id: self.queries[id] for id in ids},
            tuple([self.numbers[column] for column in columns]),
            measures={name: table[place] for name, table in self.measures.items()},
            values=values and Numbers(values.gold[rows], values.said[place]),
            sets=self.sets and self.sets.at(rows, columns),
            shares=None if self.shares is None else self.shares[place],
        )

    def by_seed(self) -> Iterator[Outcomes]:
        """Yield the outcomes of each seed alone."""
        for i, seed in enumerate(self.numbers):
            scores, one = self.scores, slice(i, i + 1)
            if scores is not None:
                scores = replace(scores, logprobs=scores.logprobs[:, one], said=scores.said[:, one])
            yield replace(
                self,
                cell=self.cell.at(seed=seed),
                correct=self.correct[:, one],
                scores=scores,
                coverage=None if self.coverage is None else self.coverage[:, one],
                seeds=(seed,),
                prompts=self.prompts[one],
                failures=self.failures[one],
                measures={name: table[:, one] for name, table in self.measures.items()},
                values=self.values and replace(self.values, said=self.values.said[:, one]),
                sets=self.sets and self.sets.at(slice(None), one),
                shares=None if self.shares is None else self.shares[:, one],
                tokens=self.tokens[one],
                seconds=self.seconds[one],
            )


ByCell = Mapping[Cell, Outcomes]
"""The outcomes of a run by their cells, all over the same queries."""


def outcomes(
    predictions: Iterable[Prediction], labels: Mapping[Any, str], judge: OfLabel | None = None
) -> ByCell:
    """Return the outcomes of a run by cell, raw and under each calibration.

    Args:
        predictions: The predictions of any number of cells.
        labels: The label of each gold output (`OutputType.label_of`); empty for generated answers
            and for options of each query.
        judge: Measures of the most probable labels under a calibration (`Judge.of_label`), if the
            task has any; predictions hold those of the raw ones.

    Raises:
        DataError: The seeds of a cell were not asked the same queries, or a gold output is not
            known.
    """
    place = attrgetter(*[name for name in FIELDS if name != "seed"])
    cells: dict[Any, dict[str, list[Prediction]]] = {}
    for prediction in predictions:
        cells.setdefault(place(prediction), {}).setdefault(prediction.id, []).append(prediction)
    found = [one for by_query in cells.values() for one in _outcomes(by_query, labels, judge)]
    return {one.cell: one for one in found}


def _outcomes(
    by_query: Mapping[str, Sequence[Prediction]], labels: Mapping[Any, str], judge: OfLabel | None
) -> Iterator[Outcomes]:
    """Yield the outcomes of one cell: raw, then under each calibration."""
    rows = list(by_query.values())
    cell = rows[0][0].at(seed=None)
    _check_whole(cell, by_query)
    columns = list(zip(*rows, strict=True))
    prompts = tuple([hash(tuple([p.prompt_sha256 for p in column])) for column in columns])
    covered = all(p.coverage is not None for row in rows for p in row)
    raw = Outcomes(
        cell,
        np.array([[bool(p.correct) for p in row] for row in rows], dtype=np.int64),
        _scores(rows, labels, RAW),
        np.array([[p.coverage for p in row] for row in rows], np.float64) if covered else None,
        cell.is_drawn or len({*prompts}) > 1,
        {id: (asked[0].input, asked[0].gold) for id, asked in by_query.items()},
        tuple([p.seed or 0 for p in rows[0]]),
        prompts,
        tuple([sum(p.failure is not None for p in column) for column in columns]),
        tuple([sum(p.tokens for p in column) for column in columns]),
        tuple([math.fsum(p.seconds for p in column) for column in columns]),
        _measures(rows),
        _numbers(rows, labels),
        label_sets(rows),
        _shares(rows),
    )
    yield replace(raw, scores=_known(raw.scores))
    for method in rows[0][0].calibrated:
        scores = _scores(rows, labels, method)
        if scores is not None:
            right = scores.said == scores.gold[:, np.newaxis]
            yield replace(
                raw,
                cell=cell.at(calibration=method),
                correct=right.astype(np.int64),
                scores=_known(scores),
                measures={} if judge is None else _judged(rows, scores, judge),
                values=_numbers_of_labels(raw.values, scores),
            )


def _shares(rows: Sequence[Sequence[Prediction]]) -> Losses | None:
    """Return the share of the votes that each generated answer has; None where nothing voted."""
    voted = [[p.logprobs is None and bool(p.probs or p.failure) for p in row] for row in rows]
    if not any(p.probs for row in rows for p in row) or not all(map(all, voted)):
        return None
    return np.array([[max((p.probs or {"": 0.0}).values()) for p in row] for row in rows])


def _measures(rows: Sequence[Sequence[Prediction]]) -> dict[str, Losses]:
    """Return the measures of the answers by name, (queries, seeds)."""
    names = dict.fromkeys(name for row in rows for p in row for name in p.measures)
    return {
        name: np.array([[p.measures.get(name, math.nan) for p in row] for row in rows])
        for name in names
    }


def _numbers(rows: Sequence[Sequence[Prediction]], labels: Mapping[Any, str]) -> Numbers | None:
    """Return answers and gold outputs as numbers; labels are numbers where all of them are."""
    if not all(number_of(label) is not None for label in labels.values()):
        return None
    gold = [number_of(row[0].gold, text=bool(labels)) for row in rows]
    if None in gold:
        return None
    said = [[number_of(p.label, text=bool(labels)) for p in row] for row in rows]
    return Numbers(np.array(gold, np.float64), np.array(said, np.float64))


def _numbers_of_labels(values: Numbers | None, scores: LabelScores) -> Numbers | None:
    """Return the numbers that the most probable labels stand for, where labels are numbers."""
    if values is None:
        return None
    return replace(values, said=np.array([number_of(name) for name in scores.labels])[scores.said])


def _judged(
    rows: Sequence[Sequence[Prediction]], scores: LabelScores, judge: OfLabel
) -> dict[str, Losses]:
    """Return the measures of the most probable labels by name, (queries, seeds)."""
    found = []
    for row, said in zip(rows, scores.said.tolist(), strict=True):
        labels = scores.labels or tuple(row[0].logprobs or ())
        found.append([judge(labels[number], row[0].gold) for number in said])
    return {name: np.array([[one[name] for one in row] for row in found]) for name in found[0][0]}


def _check_whole(cell: Cell, by_query: Mapping[str, Sequence[Prediction]]) -> None:
    seeds = [p.seed for p in next(iter(by_query.values()))]
    for id, asked in by_query.items():
        other = [p.seed for p in asked]
        if other != seeds:
            reason = tr(
                "asked with seeds {other} in {describe}, and others with {seeds}",
                other=other,
                describe=describe(cell),
                seeds=seeds,
            )
            raise DataError([Problem(reason, example=id)])
        if any(p.correct is None for p in asked):
            raise DataError([Problem(tr("its gold output is not known"), example=id)])


def _scores(
    rows: Sequence[Sequence[Prediction]], labels: Mapping[Any, str], method: str
) -> LabelScores | None:
    """Return the scores under a calibration; a gold output that is no label has number -1."""
    if not all(p.logprobs for row in rows for p in row) or isinstance(rows[0][0].gold, list):
        return None
    if labels:
        names = tuple(rows[0][0].logprobs or ())
        numbers = {name: number for number, name in enumerate(names)}
        values = np.array([[_values(p, method, names) for p in row] for row in rows])
        gold = [numbers.get(labels.get(row[0].gold, ""), -1) for row in rows]
    else:
        names = ()
        own = [tuple(row[0].logprobs or ()) for row in rows]
        values = _padded(rows, own, method)
        pairs = zip(own, rows, strict=True)
        gold = [own.index(row[0].gold) if row[0].gold in own else -1 for own, row in pairs]
    if method == RAW:
        logprobs = values - np.logaddexp.reduce(values, axis=2, keepdims=True)
    else:
        with np.errstate(divide="ignore"):  # a probability of nothing
            logprobs = np.log(values)
    # The most probable label is found before logarithms make neighbouring probabilities equal.
    return LabelScores(names, logprobs, np.array(gold), values.argmax(axis=2))


def _padded(
    rows: Sequence[Sequence[Prediction]], options: Sequence[Sequence[str]], method: str
) -> Losses:
    """Return the values of each query's own options, with no probability beyond the last one."""
    size = len(rows), len(rows[0]), max(map(len, options))
    values = np.full(size, -math.inf if method == RAW else 0.0)
    for number, (row, own) in enumerate(zip(rows, options, strict=True)):
        values[number, :, : len(own)] = [_values(p, method, own) for p in row]
    return values


def _values(prediction: Prediction, method: str, labels: Sequence[str]) -> list[float]:
    known = prediction.logprobs if method == RAW else prediction.calibrated[method]
    return [*map((known or {}).__getitem__, labels)]


def _known(scores: LabelScores | None) -> LabelScores | None:
    """Return the scores where every gold output is a label."""
    return None if scores is None or (scores.gold < 0).any() else scores
