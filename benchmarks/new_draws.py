"""Do intervals and verdicts hold for new draws of shots? Part of `python -m benchmarks.coverage`.

Queries have a difficulty that all cells share; every draw of a cell has an effect on its accuracy,
normal with a standard deviation of 0, 3 or 7 points (SST-2 on the bundled model has 6 to 8); and
each answer has some luck of its own. The truth is the accuracy over all queries and all draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.tables import Table
from promptkit.evaluation import best_cell, pairs, sentences, targets
from promptkit.evaluation.intervals import Interval
from promptkit.evaluation.matched import chosen_for
from promptkit.evaluation.outcomes import Outcomes
from promptkit.experiments import draw_count
from promptkit.gates.gate import Reference, no_worse
from promptkit.inference.cell import Cell

QUERIES = (51, 100, 300, 872)
DRAWS = (3, 5, 10, 20)
EFFECTS = (0.0, 0.03, 0.07)
"""Standard deviations of an accuracy between draws."""

HEAD = [f"± {100 * effect:.0f}" for effect in EFFECTS]

SHARED = 0.7
"""Share of an answer's variance that is the difficulty common to all cells."""

CELL = Cell(model="model", template="template", selection="random", shots=0)

Right = NDArray[np.int64]
Groups = dict[Cell, Outcomes]


def answers(
    rng: Generator, n: int, seeds: int, accuracies: Sequence[float], effect: float
) -> Right:
    """Return right or wrong, (cells, queries, draws), for cells of these accuracies."""
    needed = norm.ppf(np.asarray(accuracies))[:, np.newaxis, np.newaxis]
    spread = effect / norm.pdf(needed)
    cells = len(accuracies)
    difficulty = rng.standard_normal((1, n, 1)) * SHARED**0.5
    luck = rng.standard_normal((cells, n, seeds)) * (1 - SHARED) ** 0.5
    drawn = rng.standard_normal((cells, 1, seeds)) * spread
    right: Right = (difficulty + luck + drawn < needed * np.sqrt(1 + spread**2)).astype(np.int64)
    return right


def grouped(right: Right) -> Groups:
    """Return shot counts as a comparison judges them."""
    return {
        (cell := CELL.at(shots=shots)): Outcomes(cell, table) for shots, table in enumerate(right)
    }


def share(runs: int, holds: Callable[[Generator], bool]) -> float:
    """Return in how many samples it holds."""
    rng = np.random.default_rng(0)
    return sum(holds(rng) for _ in range(runs)) / runs


def within(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def accuracy_covered(n: int, seeds: int, effect: float, rng: Generator) -> bool:
    (table,) = answers(rng, n, seeds, [0.7], effect)
    found = targets.accuracy(table, drawn=True).general
    assert found is not None
    return within(found, 0.7)


def covered_as_drawn(n: int, seeds: int, effect: float, rng: Generator) -> bool:
    (table,) = answers(rng, n, seeds, [0.7], effect)
    return within(targets.accuracy(table, drawn=True).these, 0.7)


def difference_covered(n: int, seeds: int, effect: float, rng: Generator) -> bool:
    a, b = answers(rng, n, seeds, [0.6, 0.7], effect)
    return within(targets.difference(a, b, drawn=True).decisive.ci, 0.1)


def says_better(n: int, seeds: int, cells: int, effect: float, rng: Generator) -> bool:
    """Return whether any of equal cells is said to be better, in a pair or in the headline."""
    groups = grouped(answers(rng, n, seeds, [0.6] * cells, effect))
    if best_cell.best(groups, None).separated:
        return True
    kinds = {sentences.judge(one.compared) for one in pairs.compared(groups)}
    return bool(kinds & {"better", "worse"})


def finds(n: int, seeds: int, effect: float, rng: Generator) -> bool:
    a, b = answers(rng, n, seeds, [0.55, 0.65], effect)
    found = targets.difference(a, b, drawn=True).decisive
    return found.p <= sentences.ALPHA and found.ci.low > 0


def percents(runs: int, holds: Callable[[float, Generator], bool], digits: int = 1) -> list[str]:
    """Return for each effect of draws in how many samples it holds."""
    return [f"{100 * share(runs, partial(holds, effect)):.{digits}f}" for effect in EFFECTS]


def coverage_table(runs: int) -> Table:
    rows = [
        (
            f"{n}",
            f"{seeds}",
            *percents(runs, partial(accuracy_covered, n, seeds)),
            *percents(max(runs // 2, 1), partial(difference_covered, n, seeds)),
        )
        for n, seeds in product(QUERIES, DRAWS)
    ]
    head = [f"{what}{effect}:" for what in ("accuracy, ", "difference, ") for effect in HEAD]
    return Table(
        "Coverage for new queries and new draws, percent",
        ("queries:", "draws:", *head),
        rows,
        [
            "Of 95 % intervals, with draws that move the accuracy by 0, 3 and 7 points. Above 97 "
            "where draws do nothing: few of them cannot tell that from an effect that happened not "
            "to show, and the interval leaves room for it."
        ],
    )


def fixed_table(runs: int) -> Table:
    rows = [
        (
            f"{n}",
            *(
                f"{100 * share(runs, partial(covered_as_drawn, n, seeds, 0.07)):.0f}"
                for seeds in DRAWS
            ),
        )
        for n in QUERIES
    ]
    return Table(
        "What the interval for these shots covers when it is read for new draws, percent",
        ("queries:", *(f"{seeds} draws:" for seeds in DRAWS)),
        rows,
        ["With draws that move the accuracy by 7 points."],
    )


def false_table(runs: int) -> Table:
    rows = [
        (
            f"{cells}",
            f"{n}",
            f"{seeds}",
            *percents(max(runs // cells, 2), partial(says_better, n, seeds, cells)),
        )
        for cells, n in ((2, 51), (2, 300), (5, 100), (5, 300), (20, 100))
        for seeds in (3, 8)
    ]
    return Table(
        "How often equal cells are called different, percent",
        ("cells:", "queries:", "draws:", *(f"{effect}:" for effect in HEAD)),
        rows,
        [
            "At most 5 is meant, in the whole family of a comparison, its headline included. Of "
            f"{runs:,} samples over the number of cells: with 5 cells a share is right to about "
            f"{200 * (0.05 * 0.95 * 5 / runs) ** 0.5:.0f} points."
        ],
    )


def power_table(runs: int) -> Table:
    rows = [
        (f"{n} × {seeds}", *percents(runs, partial(finds, n, seeds), 0))
        for n, seeds in ((300, 3), (180, 5), (112, 8), (90, 10), (45, 20))
    ]
    return Table(
        "More draws, fewer queries: how often 900 prompts a cell find a true +10, percent",
        ("queries × draws", *(f"{effect}:" for effect in HEAD)),
        rows,
        ["One pair of cells. 8 draws are the default, and `--seeds auto` decides by a pilot."],
    )


def headline(accuracies: Sequence[float], effect: float, rng: Generator) -> tuple[bool, bool, bool]:
    """Return whether a cell is called the best wrongly, whether rightly, and whether one that truly
    is the best is the leader or not separated from it."""
    best = best_cell.best(grouped(answers(rng, 300, 8, accuracies, effect)), None)
    top = {shots for shots, one in enumerate(accuracies) if one == max(accuracies)}
    right = best.separated and top == {best.cell.shots}
    kept = {best.cell.shots, *(one.cell.shots for one in best.rivals if not one.separated)}
    return best.separated and not right, right, bool(top & kept)


def headline_table(runs: int) -> Table:
    """Return how often the headline names a best cell, and rightly."""
    rows = []
    for name, accuracies in (
        ("0.40 and four of 0.60", [0.4, 0.6, 0.6, 0.6, 0.6]),
        ("five of 0.60", [0.6] * 5),
        ("four of 0.50 and 0.65", [0.5, 0.5, 0.5, 0.5, 0.65]),
        ("fewest shots 0.67, four of 0.50", [0.67, 0.5, 0.5, 0.5, 0.5]),
    ):
        for effect, head in zip(EFFECTS, HEAD, strict=True):
            rng = np.random.default_rng(0)
            some = [headline(accuracies, effect, rng) for _ in range(max(runs // 5, 2))]
            rows.append((name, head, *(f"{100 * one:.1f}" for one in np.mean(some, axis=0))))
    return Table(
        "The headline: 5 cells, 300 queries, 8 draws, percent",
        ("truth", "draws", "called best wrongly:", "called best rightly:", "best is kept:"),
        rows,
        [
            "A cell is called the best only where it is separated from every other one. Kept: one "
            "that truly is the best scored highest or is not separated from what did."
        ],
    )


def gates_table(runs: int) -> Table:
    """Return how often a gate fails though nothing became worse."""
    some = max(runs // 2, 2)
    kinds: list[tuple[str, Callable[[Generator], bool]]] = [
        ("the same draws", partial(gate_fails, 1, 0.0)),
        ("the best of 20 cells, its selection bias allowed for", partial(gate_fails, 20, 0.0)),
        ("the best of 20 cells, not allowed for", partial(gate_fails, 20, 0.0, allowed=False)),
        ("all draws moved, judged as new draws", partial(gate_fails, 1, 0.07, moved=True)),
        ("all draws moved, judged as the same draws", partial(gate_fails, 1, 0.07)),
    ]
    rows = [(name, f"{100 * share(some, fails):.1f}") for name, fails in kinds]
    return Table(
        "Gates that fail though nothing is worse, percent",
        ("saved run", "fails:"),
        rows,
        [
            "300 queries, 3 draws; those that moved do so by 7 points. A gate is meant to fail in "
            "at most 2.5 %. A pool that grew by a row moves only the draws that the row enters."
        ],
    )


def gate_fails(
    cells: int, effect: float, rng: Generator, *, moved: bool = False, allowed: bool = True
) -> bool:
    """Return whether a gate fails where a new cell is as good as the saved best of some."""
    *saved, now = answers(rng, 300, 3, [0.6] * (cells + 1), effect)
    before = [_answers(table, number) for number, table in enumerate(saved)]
    best = max(before, key=lambda one: float(one.correct.mean()))
    count, bias = chosen_for(before, best, list(best.queries)) if allowed else (1, 0.0)
    held = Reference(best, "the last run", other_draws=moved, cells=count, bias=bias)
    return not no_worse(_answers(now, 0), held).passed


def _answers(table: Right, number: int) -> Outcomes:
    cell = CELL.at(shots=4, template=str(number))
    queries = {str(place): ("", "") for place in range(len(table))}
    return Outcomes(cell, table, queries=queries)


def auto_table(runs: int) -> Table:
    """The coverage where a pilot decides how many draws there are."""
    rows = []
    for n, (effect, head) in product((100, 300), zip(EFFECTS, HEAD, strict=True)):
        rng = np.random.default_rng(0)
        asked, covered = [], 0
        for _ in range(runs):
            (table,) = answers(rng, n, draw_count.MOST, [0.7], effect)
            pilot = grouped(table[np.newaxis, :, : draw_count.PILOT])
            seeds = draw_count.enough(pilot)
            found = targets.accuracy(table[:, :seeds], drawn=True).general
            assert found is not None
            asked.append(seeds)
            covered += within(found, 0.7)
        rows.append(
            (
                f"{n}",
                head,
                f"{np.mean(asked):.1f}",
                f"{100 * covered / runs:.1f}",
            )
        )
    return Table(
        "`--seeds auto`: a pilot of 5 draws decides",
        ("queries:", "draws move it by", "draws asked:", "covered, percent:"),
        rows,
    )


def tables_of(runs: int) -> Iterator[Table]:
    """Yield all tables about new draws."""
    yield coverage_table(runs)
    yield fixed_table(runs)
    yield false_table(runs)
    yield power_table(runs)
    yield headline_table(runs)
    yield gates_table(runs)
    yield auto_table(runs)
