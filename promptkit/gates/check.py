"""`check`: gates on the answers to a task's tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from promptkit.auditing.audited_answers import audited
from promptkit.auditing.swaps import swap_audit
from promptkit.errors import TaskError, escaped, shorten
from promptkit.evaluation.chosen_metric import chosen_metric, known_metric
from promptkit.evaluation.matched import chosen_for, matched, shared
from promptkit.evaluation.metric import ACCURACY, Metric, measured
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.experiments.compare import SEEDS, compare
from promptkit.experiments.comparison import Comparison, encoded
from promptkit.experiments.run_changes import Moves, draws_of, moves
from promptkit.experiments.saved_runs import Run, read_run
from promptkit.gates.flip_gate import FlipBound
from promptkit.gates.gap_gate import GapBounds, GroupGates
from promptkit.gates.gate import ERROR_RATE, Bound, Gate, Reference, bounded, no_worse
from promptkit.inference.cell import NO_PROMPT, RAW, Cell, describe
from promptkit.inference.prediction import Prediction
from promptkit.inference.store import Store, opened
from promptkit.tasks.loading import load_task
from promptkit.tasks.task import Task
from promptkit.text import sentence
from promptkit.translation import tr

SHOTS = 8
"""Number of shots by default: the largest of a comparison's defaults."""


@dataclass(frozen=True)
class Checked:
    """Gates of a check, and the comparison behind them; `print` it."""

    gates: tuple[Gate, ...]
    comparison: Comparison
    than: str = ""
    """Folder of the saved run that gates compare with; empty without one."""
    moves: Moves | None = None
    """Changes of the pool and the draws since that run."""

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    def to_dict(self) -> dict[str, Any]:
        """Return the gates as JSON can hold them."""
        gates = [encoded(gate) for gate in self.gates]
        task = {"name": self.comparison.task, "fingerprint": self.comparison.fingerprint}
        moves = None if self.moves is None else asdict(self.moves)
        return {"task": task, "passed": self.passed, "gates": gates, "moves": moves}

    def __str__(self) -> str:
        marks = {True: tr("pass"), False: tr("FAIL")}
        lines = []
        for cell, gates in groupby(self.gates, key=lambda gate: gate.cell):
            lines.append(f"{self.comparison.task} · {describe(cell)}")
            lines += [f"  {marks[gate.passed]}  {gate.name}: {gate.reason}" for gate in gates]
        if self.moves is not None and (said := self.moves.sentence(self.than)):
            lines.append(sentence(said))
        lines += self.comparison.notes
        lines.append(tr("Brackets are {value:.4g} % intervals.", value=100 * self.gates[0].level))
        return "\n".join(map(escaped, lines))

    __repr__ = __str__


def check(
    task: Task[Any, Any] | str | Path,
    *,
    min: Mapping[str, float] | None = None,
    max: Mapping[str, float] | None = None,
    no_worse_than: Run | str | Path | None = None,
    margin: float = 0.0,
    max_gap: float | Mapping[str, float] | None = None,
    groups: Sequence[str] | str = (),
    positive: str | float | None = None,
    max_flip: float | None = None,
    strict: bool = False,
    shots: Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    **grid: Any,
) -> Checked:
    """Return gates on the answers to a task's tests: bounds, and a comparison with a saved run.

    A gate fails only if its whole interval is on the wrong side. The intervals hold for all gates
    together: their level is 1 - 0.05 / (number of gates). A strict check needs no correction, since
    all of its gates have to pass (Berger, Technometrics 24, 1982).

    Args:
        task: A task, its folder or its file.
        min: Lower bounds by metric, such as accuracy, macro_f1 or coverage.
        max: Upper bounds by metric, such as log_loss or mae.
        no_worse_than: A saved run, or its folder, that the answers must not fall behind: by their
            accuracy, or by the `metric` of the comparison.
        margin: The loss against that run that is allowed; 0.02 is two points.
        max_gap: The most that groups of the tests may be apart, the highest less the lowest: in
            accuracy, false-positive and false-negative rate, or by metric of an audit.
        groups: Columns of the tests that name these groups.
        positive: The label that these rates are about, as for `promptkit.audit`.
        max_flip: The largest share of labels that may flip where a term of the task takes the place
            of another one.
        strict: Pass only if the whole interval is on the right side.
        shots: Numbers of shots; by default the largest of the saved run, or else 8.
        seeds: Number of draws, or seeds; by default those of the saved run, or else 8.
        grid: Other arguments of `compare`. With `calibrations`, the calibrated answers are checked.

    Returns:
        The gates, with the comparison behind them.

    Raises:
        PromptkitError: Something is wrong; raised before any model runs where that can be known.

    Example:
        >>> from promptkit import FakeModel, Store, check
        >>> found = check(
        ...     "examples/fruit", min={"accuracy": 0.9}, models=[FakeModel()], store=Store()
        ... )
        >>> found.passed
        False
    """
    gaps = gap_bounds(max_gap, groups, positive)
    flips = None if max_flip is None else FlipBound(max_flip)
    requirements = Requirements(min, max, no_worse_than, margin, strict, gaps, flips)
    task = task if isinstance(task, Task) else load_task(task)
    return requirements.check(task, shots=shots, seeds=seeds, **grid)


class Requirements:
    """Requirements on the answers to a task's tests: the arguments of `check` that state them.

    Raises:
        TaskError: There are none, or one is not valid.
        DataError: The saved run is damaged.
    """

    def __init__(
        self,
        min: Mapping[str, float] | None,
        max: Mapping[str, float] | None,
        no_worse_than: Run | str | Path | None,
        margin: float,
        strict: bool,
        gaps: GapBounds | None = None,
        flips: FlipBound | None = None,
    ) -> None:
        self.bounds = (*_bounds("min", min or {}), *_bounds("max", max or {}))
        if not self.bounds and no_worse_than is None and gaps is None and flips is None:
            raise TaskError(
                tr("nothing to check: give min, max, no_worse_than, max_gap or max_flip")
            )
        _check_margin(margin, strict, no_worse_than)
        if isinstance(no_worse_than, str | Path):
            no_worse_than = read_run(no_worse_than)
        self.saved = no_worse_than
        self.margin, self.strict, self.gaps, self.flips = margin, strict, gaps, flips

    def fit(
        self,
        task: Task[Any, Any],
        limit: int | None = None,
        metric: str | None = None,
        *,
        votes: bool = False,
    ) -> None:
        """Raise `PromptkitError` for a task that cannot be checked; no model is needed for that."""
        for bound in self.bounds:
            _check_bound(bound, known_metric(task, bound.metric, votes=votes))
        chosen = chosen_metric(task, metric, votes=votes)
        if chosen.is_share and self.margin >= 1:
            raise TaskError(_margin(self.margin, chosen))
        if self.gaps is not None:
            self.gaps.checked(task, task.tests[:limit])
        if self.flips is not None:
            self.flips.slots(task)
        if self.saved is not None:
            plain, fields = task.output_type.plain, task.fields_of
            tests = task.tests[:limit]
            now = {test.id: (fields(test), plain(test.output)) for test in tests}
            then = {p.id: (p.input, p.gold) for p in self.saved.predictions}
            shared(now, then, str(self.saved.folder))

    def check(
        self,
        task: Task[Any, Any],
        *,
        shots: Sequence[int] | None = None,
        seeds: int | Sequence[int] | None = None,
        **grid: Any,
    ) -> Checked:
        """Return the gates on a comparison of the task; the arguments are those of `check`."""
        votes = grid.get("rationales", 1) > 1
        self.fit(task, grid.get("limit"), grid.get("metric"), votes=votes)
        if shots is None:
            shots = [self.saved.most_shots if self.saved else SHOTS]
        if seeds is None:
            seeds = SEEDS
            if self.saved is not None:
                seeds = sorted({p.seed for p in self.saved.predictions if p.seed is not None})
        comparison = compare(task, shots=shots, seeds=seeds, **grid)
        return self._gates(task, comparison, grid.get("limit"), grid.get("store"))

    def _gates(
        self,
        task: Task[Any, Any],
        comparison: Comparison,
        limit: int | None,
        store: Store | str | Path | None,
    ) -> Checked:
        judged = task.output_type.label_of, task.judge.of_label
        found = [*outcomes(comparison.predictions, *judged).values()]
        # With calibrations, the calibrated answers are meant.
        corrected = {one.cell.at(calibration=RAW) for one in found if one.cell.calibration != RAW}
        now = [one for one in found if one.cell not in corrected]
        apart = self._apart(task, comparison, now, limit)
        gaps = sum(one.count for one in apart) + self._flip_count(task, now)
        count = len(now) * (len(self.bounds) + (self.saved is not None)) + gaps
        how: Any = {"level": 1 - ERROR_RATE / (1 if self.strict else count), "strict": self.strict}
        gates = [[bounded(bound, cell, **how) for bound in self.bounds] for cell in now]
        for own, groups in zip(gates, apart, strict=False):
            own += groups.gates(**how)
        for own, one in zip(gates, now, strict=True):
            own += self._flips(task, comparison, one, store, how)
        if self.saved is None:
            return Checked(tuple(chain.from_iterable(gates)), comparison)
        run = str(self.saved.folder)
        asked = {one.cell.model for one in now}
        then = [
            one  # what has no prompt, such as a trained baseline, is compared with itself only
            for one in outcomes(self.saved.predictions, *judged).values()
            if one.cell.template != NO_PROMPT or one.cell.model in asked
        ]
        draws = comparison.pool, draws_of(comparison.predictions)
        moved = partial(moves, *draws, self.saved.pool, draws_of(self.saved.predictions))
        metric = measured(comparison.metric)
        pairs: list[tuple[Cell, Cell]] = []
        for own, mine, theirs in zip(gates, now, matched(now, then, run), strict=True):
            pairs.append((mine.cell, theirs.cell))
            drawn = mine.cell.is_drawn or theirs.cell.is_drawn
            others = moved(pairs[-1:]).moved > 0 or not {*mine.numbers} & {*theirs.numbers}
            bias = chosen_for(then, theirs, shared(mine.queries, theirs.queries, run), metric)
            reference = Reference(theirs, run, drawn and others, *bias)
            own.append(no_worse(mine, reference, metric, margin=self.margin, **how))
        return Checked(tuple(chain.from_iterable(gates)), comparison, run, moved(pairs))

    def _flip_count(self, task: Task[Any, Any], now: Sequence[Outcomes]) -> int:
        """Return the number of gates on labels that flip."""
        if self.flips is None:
            return 0
        return self.flips.slots(task) * sum(one.cell.template != NO_PROMPT for one in now)

    def _flips(
        self,
        task: Task[Any, Any],
        comparison: Comparison,
        one: Outcomes,
        store: Store | str | Path | None,
        how: Mapping[str, Any],
    ) -> Iterator[Gate]:
        """Yield the gates on labels that flip of a cell, asked with its first draw of shots."""
        if self.flips is None or one.cell.template == NO_PROMPT:
            return
        with opened(store) as kept:
            predictor = comparison.predictor(one.cell, store=kept)
            found = swap_audit(predictor, task, level=how["level"], store=kept)
        yield from self.flips.gates(one, found, **how)

    def _apart(
        self,
        task: Task[Any, Any],
        comparison: Comparison,
        now: Sequence[Outcomes],
        limit: int | None,
    ) -> list[GroupGates]:
        """Return the groups of each cell whose gaps are bounded; empty without such bounds."""
        if self.gaps is None:
            return []
        checked = self.gaps.checked(task, task.tests[:limit])
        by_cell: dict[Cell, list[Prediction]] = {}
        for made in comparison.predictions:
            by_cell.setdefault(made.at(seed=None), []).append(made)
        return [
            checked.of(
                audited(
                    one.cell.model,
                    task,
                    one,
                    by_cell[one.cell.at(calibration=RAW)],
                    checked.positive,
                )
            )
            for one in now
        ]


def gap_bounds(
    most: float | Mapping[str, float] | None,
    groups: Sequence[str] | str,
    positive: str | float | None,
) -> GapBounds | None:
    """Return bounds on gaps; None where none are given. Raises `TaskError` for groups alone."""
    names = [groups] if isinstance(groups, str) else [*groups]
    if most is not None:
        return GapBounds(most, names, positive)
    if names or positive is not None:
        raise TaskError(
            tr(
                "{option}: only for max_gap, which is not given",
                option="groups" if names else "positive",
            )
        )
    return None


def _bounds(kind: Any, values: Mapping[str, float]) -> Iterator[Bound]:
    for metric, value in values.items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not math.isfinite(value):
            raise TaskError(
                tr(
                    "{kind} {metric}: {value} is not a number",
                    kind=kind,
                    metric=metric,
                    value=shorten(value),
                )
            )
        yield Bound(kind, str(metric), value)


def _check_bound(bound: Bound, metric: Metric) -> None:
    """Raise `TaskError` for a bound beyond what a metric can be."""
    if metric.least <= bound.value <= metric.most:
        return
    unit = tr("a number from {least:g} to {most:g}", least=metric.least, most=metric.most)
    if metric.is_share:
        unit = tr("a share from 0 to 1")
    elif not math.isfinite(metric.most):
        unit = tr("a number of nats, 0 or more") if metric.name == "log_loss" else tr("0 or more")
    raise TaskError(
        tr(
            "{kind} {name}: {value:g} is not {unit}",
            kind=bound.kind,
            name=metric.name,
            value=bound.value,
            unit=unit,
        )
    )


def _margin(margin: float, metric: Metric = ACCURACY) -> str:
    return tr(
        "margin {margin:g}: not a loss of {noun} from 0 to 1; 0.02 is two points",
        margin=margin,
        noun=metric.noun,
    )


def _check_margin(margin: float, strict: bool, no_worse_than: object) -> None:
    if not 0 <= margin < math.inf:
        raise TaskError(_margin(margin))
    if margin and no_worse_than is None:
        raise TaskError(tr("margin: only for no_worse_than, which is not given"))
    if strict and no_worse_than is not None and not margin:
        raise TaskError(
            tr(
                "strict: no number of queries can prove that nothing is lost; allow a loss "
                "with margin, such as 0.02 for two points"
            )
        )
