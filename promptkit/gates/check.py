"""`check`: asks a task's tests, and says whether the answers are good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, cast, get_args

from promptkit.errors import TaskError, escaped, shorten
from promptkit.evaluation.matched import chosen_for, matched, shared
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.experiments.compare import SEEDS, compare
from promptkit.experiments.comparison import Comparison, encoded
from promptkit.experiments.run_changes import Moves, draws_of, moves
from promptkit.experiments.saved_runs import Run, read_run
from promptkit.gates.gate import ERROR_RATE, Before, Bound, Gate, Metric, bounded, no_worse
from promptkit.inference.cell import RAW, Cell, describe
from promptkit.tasks.loading import load_task
from promptkit.tasks.task import Task
from promptkit.text import sentence

Pairs = Sequence[tuple[Cell, Cell]]
"""Cells that are checked, each with the one of the other run."""

SHOTS = 8
"""How many shots are checked unasked: the most that a comparison asks unasked."""


@dataclass(frozen=True)
class Checked:
    """Every gate of a check, and the comparison behind them; `print` it."""

    gates: tuple[Gate, ...]
    comparison: Comparison
    than: str = ""
    """The saved run that the gates compare with, where there is one."""
    moves: Moves | None = None
    """What changed in the pool and the draws since that run."""

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    def to_dict(self) -> dict[str, Any]:
        """The gates as JSON can hold them."""
        gates = [encoded(gate) for gate in self.gates]
        task = {"name": self.comparison.task, "fingerprint": self.comparison.fingerprint}
        moves = None if self.moves is None else asdict(self.moves)
        return {"task": task, "passed": self.passed, "gates": gates, "moves": moves}

    def __str__(self) -> str:
        lines = []
        for cell, gates in groupby(self.gates, key=lambda gate: gate.cell):
            lines.append(f"{self.comparison.task} · {describe(cell)}")
            lines += [
                f"  {'pass' if gate.passed else 'FAIL'}  {gate.name}: {gate.reason}"
                for gate in gates
            ]
        if self.moves is not None and (said := self.moves.sentence(self.than)):
            lines.append(sentence(said))
        lines.append(f"Brackets are {100 * self.gates[0].level:.4g} % intervals.")
        return "\n".join(map(escaped, lines))

    __repr__ = __str__


def check(
    task: Task[Any, Any] | str | Path,
    *,
    min: Mapping[str, float] | None = None,
    max: Mapping[str, float] | None = None,
    no_worse_than: Run | str | Path | None = None,
    margin: float = 0.0,
    strict: bool = False,
    shots: Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    **grid: Any,
) -> Checked:
    """Ask every test, and hold the answers of each cell against bounds and a saved run.

    A gate fails only where its whole interval is on the wrong side; with `strict` it passes only
    where the whole interval is on the right side. The intervals hold for all gates together: their
    level is 1 - 0.05 / (number of gates); a strict check needs no correction, since all of its
    gates have to pass (Berger, Technometrics 24, 1982).

    Args:
        task: The task, or the path of its folder.
        min: Lower bounds by metric ("accuracy", "log_loss", "coverage").
        max: Upper bounds by metric.
        no_worse_than: A run, or a folder that `Comparison.save` wrote, to compare accuracies with.
        margin: Loss of accuracy against that run that is accepted; 0.02 is two points.
        strict: Whether a gate has to be passed for certain.
        shots: Numbers of shots; by default the most that the other run asked, or else 8.
        seeds: Draws of shots, as in `compare`; by default those of the other run.
        grid: Further arguments of `compare`. With `calibrations` the calibrated answers are held
            against the bounds.

    Returns:
        The outcome of every gate, with the comparison behind it.

    Raises:
        PromptkitError: Something is wrong, found before any model runs where that can be.

    Example:
        >>> from promptkit import FakeModel, Store, load_task
        >>> task = load_task("examples/fruit")
        >>> done = check(task, min={"accuracy": 0.9}, models=[FakeModel()], store=Store())
        >>> done.passed
        False
    """
    demands = Demands.of(min, max, no_worse_than, margin, strict)
    task = task if isinstance(task, Task) else load_task(task)
    demands.fit(task, grid.get("limit"))
    shots = demands.shots if shots is None else shots
    seeds = demands.seeds if seeds is None else seeds
    return demands.judge(task, compare(task, shots=shots, seeds=seeds, **grid))


@dataclass(frozen=True)
class Demands:
    """What is demanded of answers."""

    bounds: tuple[Bound, ...]
    before: Run | None
    margin: float
    strict: bool

    @classmethod
    def of(
        cls,
        min: Mapping[str, float] | None,
        max: Mapping[str, float] | None,
        no_worse_than: Run | str | Path | None,
        margin: float,
        strict: bool,
    ) -> Demands:
        """What `check` is asked. Raises `TaskError`, and `DataError` for a damaged run."""
        bounds = (*_bounds("min", min or {}), *_bounds("max", max or {}))
        if not bounds and no_worse_than is None:
            raise TaskError("nothing to check: give min, max or no_worse_than")
        _check_margin(margin, strict, no_worse_than)
        if isinstance(no_worse_than, str | Path):
            no_worse_than = read_run(no_worse_than)
        return cls(bounds, no_worse_than, margin, strict)

    @property
    def seeds(self) -> int | list[int]:
        """Which seeds are asked where nobody says so: those of the other run."""
        if self.before is None:
            return SEEDS
        return sorted({p.seed for p in self.before.predictions if p.seed is not None})

    @property
    def shots(self) -> list[int]:
        """How many shots are asked where nobody says so."""
        return [self.before.most_shots if self.before else SHOTS]

    def fit(self, task: Task[Any, Any], limit: int | None = None) -> None:
        """Raises `PromptkitError` where a task cannot be held against it: better known at first."""
        for bound in self.bounds:
            if bound.metric != "accuracy" and not task.labels:
                raise TaskError(
                    f"{bound.metric}: only answers that are labels have one; bound the accuracy"
                )
        if self.before is not None:
            plain, fields = task.output_type.plain, task.fields_of
            tests = task.tests[:limit]
            asked = {test.id: (fields(test), plain(test.output)) for test in tests}
            then = {p.id: (p.input, p.gold) for p in self.before.predictions}
            shared(asked, then, str(self.before.folder))

    def judge(self, task: Task[Any, Any], comparison: Comparison) -> Checked:
        """Holds the answers against what is demanded."""
        labels = task.output_type.label_of
        found = [*outcomes(comparison.predictions, labels).values()]
        # Whoever asks for calibrated answers wants those.
        now = [cell for cell in found if cell.cell.calibration != RAW] or found
        than, there = "", list[Outcomes]()
        rivals = list[Outcomes | None]([None] * len(now))
        if self.before is not None:
            than = str(self.before.folder)
            there = [*outcomes(self.before.predictions, labels).values()]
            rivals = [*matched(now, there, than)]
        count = len(now) * (len(self.bounds) + (self.before is not None))
        how: Any = {"level": 1 - ERROR_RATE / (1 if self.strict else count), "strict": self.strict}
        moved = self._moves(comparison)
        gates: list[Gate] = []
        for mine, rival in zip(now, rivals, strict=True):
            gates += [bounded(bound, mine, **how) for bound in self.bounds]
            if rival is not None and moved is not None:
                before = _before(mine, rival, there, than, moved([(mine.cell, rival.cell)]))
                gates.append(no_worse(mine, before, margin=self.margin, **how))
        pairs = [(m.cell, r.cell) for m, r in zip(now, rivals, strict=True) if r is not None]
        return Checked(tuple(gates), comparison, than, moved(pairs) if moved is not None else None)

    def _moves(self, comparison: Comparison) -> Callable[[Pairs], Moves] | None:
        """What tells how pool and draws of pairs of cells changed since the other run."""
        if self.before is None:
            return None
        now = comparison.pool, draws_of(comparison.predictions)
        return partial(moves, *now, self.before.pool, draws_of(self.before.predictions))


def _before(
    mine: Outcomes, rival: Outcomes, there: Sequence[Outcomes], than: str, moved: Moves
) -> Before:
    """Return what one cell is held against: the saved answers, and what is known of them."""
    drawn = mine.cell.is_drawn or rival.cell.is_drawn
    others = moved.moved > 0 or not {*mine.numbers} & {*rival.numbers}
    common = shared(mine.queries, rival.queries, than)
    return Before(rival, than, drawn and others, *chosen_for(there, rival, common))


def _bounds(kind: Any, values: Mapping[str, float]) -> Iterator[Bound]:
    for metric, value in values.items():
        known = get_args(Metric)
        if metric not in known:
            close = get_close_matches(str(metric), known, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else "none measures how near a wrong answer is"
            )
            raise TaskError(
                f"{kind} {shorten(metric)}: there is no such metric for a gate; choose one of "
                f"{', '.join(known)}; {hint}"
            )
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise TaskError(f"{kind} {metric}: {shorten(value)} is no number")
        if value < 0 or (metric != "log_loss" and value > 1):
            unit = "a number of nats, 0 or more" if metric == "log_loss" else "a share from 0 to 1"
            raise TaskError(f"{kind} {metric}: {value:g} is not {unit}")
        yield Bound(kind, cast(Metric, metric), value)


def _check_margin(margin: float, strict: bool, no_worse_than: object) -> None:
    if not 0 <= margin < 1:
        raise TaskError(
            f"margin {margin:g}: how much worse it may be is 0 to 1; 0.02 is two points"
        )
    if margin and no_worse_than is None:
        raise TaskError("margin: it is for no_worse_than, which is not given")
    if strict and no_worse_than is not None and not margin:
        raise TaskError(
            "strict: no number of queries can prove that nothing is lost; say with margin how much "
            "may be, such as 0.02 for two points"
        )
