"""Predictions against the gold answers: a row per cell, and what differs between cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit.evaluation import metrics, targets
from promptkit.evaluation.results import Confusion, Reliability, Row
from promptkit.inference.cell import RAW, Cell, is_drawn, without_seed
from promptkit.inference.prediction import Prediction, calibrated_label, cell_of
from promptkit.tasks.task import Task

Table = npt.NDArray[np.int64]
"""Whether each answer is right, (queries, seeds)."""

Losses = npt.NDArray[np.float64]
"""A loss of each answer, (queries, seeds) or of one seed."""


class Scored(NamedTuple):
    """What a model said of the labels; the labels by their number."""

    labels: tuple[str, ...]
    logprobs: npt.NDArray[np.float64]
    """Normalised over the labels, (queries, labels)."""
    gold: list[int]
    said: list[int]
    coverage: list[float]


class Judged(NamedTuple):
    """The predictions of one cell, as what its row is made of."""

    cell: Cell
    correct: list[bool]
    failures: int
    tokens: int
    seconds: float
    scored: Scored | None
    """None where answers are generated."""
    drawn: bool = True
    """Whether another seed would have drawn other shots."""


LossTable = Callable[[Sequence[Judged]], Losses | None]
"""A table of numbers, one for each answer, (queries, seeds); None where answers are generated."""

Groups = Mapping[Cell, Sequence[Judged]]
"""Per aggregate its cells, one for each seed, over the same queries."""


def judged(task: Task[Any, Any], predictions: Sequence[Sequence[Prediction]]) -> Groups:
    """Each cell's predictions judged, raw and under each calibration; seeds side by side."""
    output = task.output_type
    labels = {value: index for index, value in enumerate(output.label_of)}
    groups: dict[Cell, list[Judged]] = {}
    for raw_cells in _by_aggregate(predictions):
        drawn = _is_drawn(raw_cells)
        for method in (RAW, *raw_cells[0][0].calibrated):
            for cell in raw_cells:
                one = _judge(cell, labels, output.labels, method)._replace(drawn=drawn)
                groups.setdefault(one.cell._replace(seed=None), []).append(one)
    return groups


def _by_aggregate(
    predictions: Sequence[Sequence[Prediction]],
) -> Iterator[list[Sequence[Prediction]]]:
    for _, cells in groupby(predictions, key=lambda cell: cell_of(cell[0])._replace(seed=None)):
        yield list(cells)


def _is_drawn(cells: Sequence[Sequence[Prediction]]) -> bool:
    """Return whether another seed draws other shots for a cell, of which these are the seeds."""
    if is_drawn(cell_of(cells[0][0])):
        return True
    prompts = {tuple(one.prompt_sha256 for one in predictions) for predictions in cells}
    return len(prompts) > 1


def _judge(
    predictions: Sequence[Prediction],
    numbers: Mapping[Any, int],
    labels: tuple[str, ...],
    method: str,
) -> Judged:
    cell = cell_of(predictions[0], method)
    scored = None
    correct = [bool(p.correct) for p in predictions]
    if predictions[0].logprobs is not None:
        scored = _scored(predictions, numbers, labels, method)
        if method != RAW:
            correct = [said == gold for said, gold in zip(scored.said, scored.gold, strict=True)]
    return Judged(
        cell,
        correct,
        failures=sum(p.failure is not None for p in predictions),
        tokens=sum(p.tokens for p in predictions),
        seconds=math.fsum(p.seconds for p in predictions),
        scored=scored,
    )


def _scored(
    predictions: Sequence[Prediction],
    numbers: Mapping[Any, int],
    labels: tuple[str, ...],
    method: str,
) -> Scored:
    gold = [numbers[p.gold] for p in predictions]
    coverage = [p.coverage for p in predictions if p.coverage is not None]
    if method == RAW:
        raw = np.array([[*(p.logprobs or {}).values()] for p in predictions])
        logprobs = raw - np.logaddexp.reduce(raw, axis=1, keepdims=True)
        said = [numbers[p.label] for p in predictions]
    else:
        with np.errstate(divide="ignore"):  # a probability of nothing
            logprobs = np.log([[*p.calibrated[method].values()] for p in predictions])
        places = {label: place for place, label in enumerate(labels)}
        said = [places[calibrated_label(p, method)] for p in predictions]
    return Scored(labels, logprobs, gold, said, coverage)


def rows(groups: Groups) -> Iterator[Row]:
    """Per shot count the aggregate over seeds, then each seed."""
    for aggregate, cells in groups.items():
        yield _row(aggregate, cells)
        for one in cells:
            yield _row(one.cell, [one])


def accuracy(cells: Sequence[Judged]) -> targets.Intervals:
    """Return the intervals of the accuracy of a cell, from its seeds."""
    return targets.accuracy(correct(cells), cells[0].drawn)


def _row(cell: Cell, cells: Sequence[Judged]) -> Row:
    table = correct(cells)
    row = Row(
        **cell._asdict(),
        n=len(table),
        accuracy=metrics.accuracy(table),
        **_ends("accuracy", accuracy(cells)),
        failures=sum(one.failures for one in cells),
        tokens=sum(one.tokens for one in cells),
        seconds=math.fsum(one.seconds for one in cells),
    )
    scored = [one.scored for one in cells if one.scored is not None]
    return replace(row, **_label_metrics(scored), **_label_intervals(cells))


def _label_intervals(cells: Sequence[Judged]) -> dict[str, Any]:
    """Return the intervals of the metrics of scored labels; none without scores."""
    found: dict[str, Any] = {}
    for name, tabled, most in _LABEL_TABLES:
        table = tabled(cells)
        if table is not None:
            found |= _ends(name, targets.mean(table, cells[0].drawn, least=0.0, most=most))
    return found


def _ends(name: str, found: targets.Intervals | None) -> dict[str, Any]:
    """Return the fields of a row that hold the intervals of a figure."""
    general, these = (None, None) if found is None else found.ends
    return {f"{name}_ci": general, f"{name}_ci_fixed": these}


def _label_metrics(seeds: Sequence[Scored]) -> dict[str, Any]:
    """Return the metrics of scored labels, each the mean over seeds; none without scores.

    Pooled over seeds, opposite biases would cancel: a seed that always answers A and another that
    always answers B would look like a model that tells them apart half of the time.
    """
    if not seeds:
        return {}
    return {
        name: float(np.mean([metric(scored) for scored in seeds]))
        for name, metric in _LABEL_METRICS.items()
    }


_LABEL_METRICS: Mapping[str, Callable[[Scored], float]] = {
    "macro_f1": lambda seed: metrics.macro_f1(seed.gold, seed.said, range(len(seed.labels))),
    "log_loss": lambda seed: metrics.log_loss(seed.logprobs, seed.gold),
    "brier": lambda seed: metrics.brier_score(np.exp(seed.logprobs), seed.gold),
    "ece": lambda seed: metrics.expected_calibration_error(np.exp(seed.logprobs), seed.gold),
    "coverage": lambda seed: float(np.mean(seed.coverage)),
}
"""Fields of a row by name, each computed from the scored labels of one seed."""


def _pooled(cells: Sequence[Judged]) -> Scored | None:
    """Return all seeds of a cell as one, for counts that are shown; no metric is taken of it."""
    scored = [one.scored for one in cells if one.scored is not None]
    if not scored:
        return None
    return Scored(
        scored[0].labels,
        np.concatenate([s.logprobs for s in scored]),
        [label for s in scored for label in s.gold],
        [label for s in scored for label in s.said],
        [coverage for s in scored for coverage in s.coverage],
    )


def correct(cells: Sequence[Judged]) -> Table:
    """Whether each answer is right, (queries, seeds)."""
    return np.array([one.correct for one in cells], dtype=int).T


def log_losses(cells: Sequence[Judged]) -> Losses | None:
    """Return the log loss of each answer, (queries, seeds); None where answers are generated."""
    return _losses(cells, lambda seed: metrics.log_losses(seed.logprobs, seed.gold))


def brier_scores(cells: Sequence[Judged]) -> Losses | None:
    """Return the Brier score of each answer, (queries, seeds); None where answers are generated."""
    return _losses(cells, lambda seed: metrics.brier_scores(np.exp(seed.logprobs), seed.gold))


def _f1_shares(cells: Sequence[Judged]) -> Losses | None:
    """Return each answer's share in the macro-F1 of its seed, (queries, seeds)."""
    return _losses(
        cells,
        lambda seed: metrics.macro_f1_shares(seed.gold, seed.said, range(len(seed.labels))),
    )


def _coverages(cells: Sequence[Judged]) -> Losses | None:
    return _losses(cells, lambda seed: np.asarray(seed.coverage))


def _losses(cells: Sequence[Judged], of_seed: Callable[[Scored], Losses]) -> Losses | None:
    tables = [of_seed(one.scored) for one in cells if one.scored is not None]
    return np.stack(tables, axis=1) if tables else None


_LABEL_TABLES: Sequence[tuple[str, LossTable, float]] = (
    ("macro_f1", _f1_shares, 1.0),
    ("log_loss", log_losses, math.inf),
    ("brier", brier_scores, 2.0),
    ("coverage", _coverages, 1.0),
)
"""Metrics of scored labels that have intervals: how each is tabled, and the most it can be."""


def reliability(groups: Groups) -> Iterator[Reliability]:
    """Yield the reliability bins of each cell, over the answers of all its seeds.

    They are for display: the calibration error of a row is the mean of its seeds' own.
    """
    for cell, cells in groups.items():
        scored = _pooled(cells)
        if scored is not None:
            bins = metrics.reliability(np.exp(scored.logprobs), scored.gold)
            yield Reliability(**without_seed(cell), bins=tuple(bins))


def confusion(groups: Groups) -> Iterator[Confusion]:
    """Yield the confusion matrix of each cell, the counts summed over its seeds.

    It is for display: the macro-F1 of a row is the mean of its seeds' own.
    """
    for cell, cells in groups.items():
        scored = _pooled(cells)
        if scored is not None:
            rows: list[Counter[int]] = [Counter() for _ in scored.labels]
            for gold, said in zip(scored.gold, scored.said, strict=True):
                rows[gold][said] += 1
            answers = tuple(tuple(sorted(row.items())) for row in rows)
            yield Confusion(**without_seed(cell), labels=scored.labels, answers=answers)
