"""The predictions of a run cell by cell, and which cells and queries two runs have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import DataError, Problem, shorten
from promptkit.evaluation.variance import flattery
from promptkit.inference.cell import FACTORS, RAW, Cell
from promptkit.inference.cell import distinct as distinct_cells
from promptkit.inference.prediction import Prediction, calibrated_label, cell_of
from promptkit.selection.orders import DEFAULT
from promptkit.tasks.examples import canonical
from promptkit.tasks.verbalizers import LABELS
from promptkit.text import counted

DEFAULTS = {"order": DEFAULT, "verbalizer": LABELS, "calibration": RAW}
"""What is not said of a cell."""


class Answers(NamedTuple):
    """All predictions of one cell, as what gates are decided by."""

    cell: Cell
    queries: Mapping[str, tuple[Any, Any]]
    """Per id the input and the gold output, as JSON has them."""
    correct: NDArray[np.int64]
    """Whether each answer is right, (queries, seeds)."""
    losses: NDArray[np.float64] | None
    """The negative log-probability of the gold label, (queries, seeds), where it is known."""
    coverage: NDArray[np.float64] | None
    seeds: tuple[int, ...] = ()
    """The seeds of the columns; empty where they are numbered from 0."""

    def rows(self, ids: Sequence[str], seeds: Sequence[int] = ()) -> NDArray[np.int64]:
        """Return whether the answers to these queries are right, (ids, seeds).

        All seeds where none are named.
        """
        at = {id: index for index, id in enumerate(self.queries)}
        columns = [self.numbers.index(seed) for seed in seeds] or [*range(self.correct.shape[1])]
        return self.correct[np.ix_([at[id] for id in ids], columns)]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds of the columns."""
        return self.seeds or tuple(range(self.correct.shape[1]))

    @property
    def size(self) -> str:
        queries, seeds = self.correct.shape
        of = counted(queries, "query", "queries")
        return of if seeds == 1 else f"{of} and {seeds} seeds"


def answers(predictions: Iterable[Prediction], labels: Mapping[Any, str]) -> list[Answers]:
    """The predictions cell by cell, seeds together, raw and under each calibration.

    `labels` names the label of each gold output. Raises `DataError` where the seeds of a cell were
    not asked the same queries, or where an answer is not known to be right or wrong.
    """
    cells: dict[Cell, dict[str, list[Prediction]]] = {}
    for prediction in predictions:
        cell = cell_of(prediction)._replace(seed=None)
        cells.setdefault(cell, {}).setdefault(prediction.id, []).append(prediction)
    found = []
    for cell, by_query in cells.items():
        _check_whole(cell, by_query)
        methods = next(iter(by_query.values()))[0].calibrated
        found += [_answers(cell, by_query, labels, method) for method in (RAW, *methods)]
    return found


def _check_whole(cell: Cell, by_query: Mapping[str, Sequence[Prediction]]) -> None:
    seeds = [p.seed for p in next(iter(by_query.values()))]
    for id, asked in by_query.items():
        other = [p.seed for p in asked]
        if other != seeds:
            reason = f"asked with seeds {other} in {describe(cell)}, and others with {seeds}"
            raise DataError([Problem(reason, example=id)])
        if any(p.correct is None for p in asked):
            raise DataError([Problem("its gold output is not known", example=id)])


def _answers(
    cell: Cell,
    by_query: Mapping[str, Sequence[Prediction]],
    labels: Mapping[Any, str],
    method: str,
) -> Answers:
    rows = list(by_query.values())
    scored = all(p.logprobs and p.gold in labels for row in rows for p in row)
    known = all(p.coverage is not None for row in rows for p in row)
    return Answers(
        cell._replace(calibration=method),
        {id: (asked[0].input, asked[0].gold) for id, asked in by_query.items()},
        np.array([[_right(p, labels, method) for p in row] for row in rows], dtype=np.int64),
        np.array([[loss(p, labels, method) for p in row] for row in rows]) if scored else None,
        np.array([[p.coverage for p in row] for row in rows], dtype=np.float64) if known else None,
        tuple(p.seed for p in rows[0]),
    )


def _right(prediction: Prediction, labels: Mapping[Any, str], method: str) -> bool:
    if method == RAW:
        return bool(prediction.correct)
    return calibrated_label(prediction, method) == labels.get(prediction.gold)


def loss(prediction: Prediction, labels: Mapping[Any, str], method: str = RAW) -> float:
    """The negative log-probability of the gold label among all labels, in nats."""
    gold = labels[prediction.gold]
    if method == RAW:
        logprobs = prediction.logprobs or {}
        return float(np.logaddexp.reduce([*logprobs.values()]) - logprobs[gold])
    prob = prediction.calibrated[method][gold]
    return -math.log(prob) if prob else math.inf


def chosen_for(all: Sequence[Answers], one: Answers, ids: Sequence[str]) -> tuple[int, float]:
    """Return among how many cells of a run one was the best, and how much that flatters it.

    Args:
        all: The answers of all cells of the run.
        one: One of them.
        ids: The queries that it is judged by.

    Returns:
        The number of distinct cells and the selection bias of the accuracy
        (`promptkit.evaluation.variance.flattery`); 1 and 0 for a cell that was not the best.
    """
    distinct = {*distinct_cells([answers.cell for answers in all])}
    tables = [answers.rows(ids) for answers in all if answers.cell in distinct]
    shapes = {table.shape for table in tables}
    best = max(float(table.mean()) for table in tables)
    if len(tables) < 2 or len(ids) < 2 or len(shapes) > 1 or one.rows(ids).mean() < best:
        return 1, 0.0
    return len(tables), flattery(np.stack(tables, axis=1))


def shared(
    now: Mapping[str, tuple[Any, Any]], before: Mapping[str, tuple[Any, Any]], than: str
) -> list[str]:
    """The ids of the queries that two runs have in common, in the order of the first.

    Raises `DataError` where there is none, or where one of them is not the same query.
    """
    common = [id for id in now if id in before]
    if not common:
        some = ", ".join(map(shorten, [*before][:3]))
        raise DataError(
            [Problem(f"none of the queries stands in {than}, which asked {some} …; compare anew")]
        )
    for id in common:
        for what, mine, theirs in zip(("input", "gold output"), now[id], before[id], strict=True):
            if canonical(mine) != canonical(theirs):
                reason = (
                    f"the {what} is another than in {than}, {shorten(theirs)}; what changed cannot "
                    "be told from a new question: compare anew, or give it another id"
                )
                raise DataError([Problem(reason, example=id, value=mine)])
    return common


def matched(now: Sequence[Answers], before: Sequence[Answers], than: str) -> Iterator[Answers]:
    """For each cell the one of the other run that it is to be held against.

    That is the one with the same model, template, selection and so on, and as many shots. A factor
    of which both runs have one value only may differ: then it is what was changed. Raises
    `DataError` where there is none.
    """
    changed = [
        name
        for name in FACTORS
        if len(_values(now, name) | _values(before, name)) > 1
        and len(_values(now, name)) == len(_values(before, name)) == 1
    ]

    def key(cell: Cell) -> tuple[Any, ...]:
        return (cell.shots, *(getattr(cell, name) for name in FACTORS if name not in changed))

    there = {key(answers.cell): answers for answers in before}
    for mine in now:
        if key(mine.cell) not in there:
            have = "; ".join(describe(answers.cell) for answers in before[:8])
            more = f"; and {len(before) - 8} more" if len(before) > 8 else ""
            reason = f"{than} has no {describe(mine.cell)}; it has {have}{more}"
            raise DataError([Problem(reason)])
        yield there[key(mine.cell)]


def _values(run: Sequence[Answers], factor: str) -> set[Any]:
    return {getattr(answers.cell, factor) for answers in run}


def describe(cell: Cell) -> str:
    """A cell in words; what stands at its default is not said."""
    named = [getattr(cell, name) for name in FACTORS]
    usual = [DEFAULTS.get(name) for name in FACTORS]
    words = [str(value) for value, default in zip(named, usual, strict=True) if value != default]
    return " · ".join([*words, counted(cell.shots, "shot")])
