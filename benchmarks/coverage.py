"""Are the intervals right? Simulated answers whose truth is known, and how often it is covered.

`python -m benchmarks.coverage`; with `--write` the tables go into docs/evidence.md.

A query has a difficulty that all cells share, and each answer some luck of its own; both are
normal, and an answer is right where their sum is below what the cell's accuracy asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from scipy.stats import multivariate_normal, norm

from benchmarks import new_draws, tables
from benchmarks.new_draws import SHARED
from benchmarks.work import ROOT
from promptkit.evaluation import intervals, pairs, power, sentences, variance
from promptkit.evaluation.intervals import Interval

PAGE = ROOT / "docs" / "evidence.md"
MARKS = "<!-- coverage -->", "<!-- end of coverage -->"

GOAL = (0.93, 0.97)

Floats = NDArray[np.float64]
Answers = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Setting:
    """A truth, and an interval for it from one sample."""

    of: str
    where: str
    truth: float
    sample: Callable[[Generator], Interval]
    why: str = ""
    """Reason for a coverage that is not within the goal."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Shares of runs with the truth within the interval, below it and above it."""

    setting: Setting
    within: float
    below: float
    above: float


def measure(setting: Setting, runs: int, seed: int = 0) -> Covered:
    """The coverage in `runs` samples."""
    rng = np.random.default_rng(seed)
    slack = 1e-9  # an end may be the truth itself
    below = above = 0
    for _ in range(runs):
        interval = setting.sample(rng)
        below += setting.truth < interval.low - slack
        above += setting.truth > interval.high + slack
    return Covered(setting, 1 - (below + above) / runs, below / runs, above / runs)


def answers(rng: Generator, n: int, accuracies: ArrayLike, shared: float = SHARED) -> Answers:
    """Right or wrong, (queries, *cells), for cells of these accuracies."""
    needed = norm.ppf(np.asarray(accuracies))
    difficulty = rng.standard_normal((n, *[1] * needed.ndim))
    luck = rng.standard_normal((n, *needed.shape))
    right: Answers = np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * luck < needed
    return right


FEW_WRONG = "few answers are wrong: one more or less is a step wider than the goal"
FEW_DIFFER = "few answers differ: one more or less is a step wider than the goal"
AT_ZERO = "the truth is 0 or next to it: it is missed on one side only"


def settings() -> Iterator[Setting]:
    """All settings, most of them as hard as real ones."""
    for n, seeds, accuracy in [
        *((37, 1, 0.6), (37, 3, 0.6), (37, 3, 0.9), (100, 1, 0.9), (100, 8, 0.6)),
        *((100, 3, 0.97), (300, 1, 0.97), (300, 3, 0.8)),
    ]:
        yield _accuracy(n, seeds, accuracy)
    for n, seeds, a, b in [
        *((37, 1, 0.6, 0.6), (37, 1, 0.5, 0.7), (37, 3, 0.6, 0.6), (37, 3, 0.5, 0.7)),
        *((37, 3, 0.9, 0.97), (100, 1, 0.6, 0.65), (100, 1, 0.9, 0.95), (100, 3, 0.6, 0.65)),
        *((100, 8, 0.6, 0.7), (300, 1, 0.6, 0.65), (300, 3, 0.9, 0.9), (37, 1, 0.97, 0.97)),
    ]:
        yield _difference(n, seeds, a, b)
    for n, levels, others, base, sd in [
        *((37, 4, 1, 0.6, 0.0), (37, 4, 3, 0.6, 0.05), (37, 4, 1, 0.6, 0.1)),
        *((100, 3, 1, 0.6, 0.1), (100, 8, 1, 0.6, 0.05), (100, 6, 3, 0.6, 0.0)),
        *((300, 3, 1, 0.8, 0.05), (300, 8, 3, 0.8, 0.03), (100, 4, 1, 0.9, 0.03)),
    ]:
        yield _deviation(n, levels, others, base, sd)
        yield _range(n, levels, others, base, sd)
    for n, cells, accuracy in [(37, 3, 0.6), (37, 12, 0.8), (100, 12, 0.8), (300, 6, 0.9)]:
        yield from _components(n, cells, accuracy)


def _accuracy(n: int, seeds: int, accuracy: float) -> Setting:
    def sample(rng: Generator) -> Interval:
        return intervals.wilson(answers(rng, n, np.full(seeds, accuracy)))

    why = FEW_WRONG if n * (1 - accuracy) < 10 else ""
    return Setting("accuracy", f"{_asked(n, seeds)}, {accuracy:.2f}", accuracy, sample, why)


def _difference(n: int, seeds: int, a: float, b: float) -> Setting:
    def sample(rng: Generator) -> Interval:
        drawn = answers(rng, n, np.repeat([[a], [b]], seeds, axis=1))
        return intervals.paired_difference(drawn[:, 0], drawn[:, 1]).ci

    where = f"{_asked(n, seeds)}, {a:.2f} and {b:.2f}"
    why = FEW_DIFFER if n * (2 - a - b) < 15 else ""
    return Setting("paired difference", where, b - a, sample, why)


def _accuracies(levels: int, others: int, base: float, sd: float) -> Floats:
    """(levels, others), the levels evenly spaced with this standard deviation."""
    steps = np.linspace(-1, 1, levels)
    places = np.linspace(-0.03, 0.03, others) if others > 1 else np.zeros(1)
    accuracies: Floats = base + (sd * steps / steps.std(ddof=1))[:, np.newaxis] + places
    return accuracies


def _deviation(n: int, levels: int, others: int, base: float, sd: float) -> Setting:
    true = _accuracies(levels, others, base, sd)

    def sample(rng: Generator) -> Interval:
        found = variance.components(answers(rng, n, true)).factors[0]
        assert found is not None
        return found.ci

    where = _levels(n, levels, others, base, sd)
    return Setting("deviation by a factor", where, sd, sample, AT_ZERO if sd < 0.04 else "")


def _range(n: int, levels: int, others: int, base: float, sd: float) -> Setting:
    true = _accuracies(levels, others, base, sd)

    def sample(rng: Generator) -> Interval:
        return variance.extent(answers(rng, n, true)).ci

    where = _levels(n, levels, others, base, sd)
    truth = float(np.ptp(true.mean(axis=1)))
    return Setting("range of levels", where, truth, sample, AT_ZERO if sd < 0.04 else "")


def _components(n: int, cells: int, accuracy: float) -> Iterator[Setting]:
    threshold = norm.ppf(accuracy)
    both = multivariate_normal(cov=[[1, SHARED], [SHARED, 1]]).cdf([threshold, threshold])
    query = float(both) - accuracy**2
    truths = {"query": query, "residual": accuracy * (1 - accuracy) - query}

    def sample(source: str, rng: Generator) -> Interval:
        found = variance.components(answers(rng, n, np.full(cells, accuracy)))
        interval: Interval = getattr(found, source).ci
        return interval

    for source, truth in truths.items():
        where = f"{n} queries, {cells} cells, {accuracy:.2f}"
        yield Setting(f"deviation by {source}", where, (truth / n) ** 0.5, partial(sample, source))


def _asked(n: int, seeds: int) -> str:
    return f"{n} queries, {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _levels(n: int, levels: int, others: int, base: float, sd: float) -> str:
    beside = f" x {others}" if others > 1 else ""
    return f"{n} queries, {levels}{beside} levels, {base:.2f} ± {sd:.2f}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Share of comparisons that called something better, and its goal."""

    what: str
    where: str
    said: float
    goal: str


def false_claims(n: int, seeds: int, accuracies: Sequence[float], runs: int) -> float:
    """Share of comparisons that say "better" of cells that are equally good.

    `accuracies` are those of the shot counts; of those that differ nothing is counted.
    """
    rng = np.random.default_rng(1)
    true = np.repeat(np.asarray(accuracies)[:, np.newaxis], seeds, axis=1)
    wrong = 0
    for _ in range(runs):
        table = answers(rng, n, true)
        for one in pairs.compared(_groups(table)):
            equal = accuracies[one.a.shots] == accuracies[one.b.shots]
            if equal and sentences.judge(one.compared) in ("better", "worse"):
                wrong += 1
                break
    return wrong / runs


def claims_of_agreement(n: int, seeds: int, accuracy: float, runs: int) -> float:
    """Share of comparisons that call one of two equal cells better, where one has the same answer
    in all seeds, as without shots, and the other one guesses in each."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(runs):
        agreed = np.repeat(answers(rng, n, [accuracy]), seeds, axis=1)
        loose = answers(rng, n, np.full(seeds, accuracy), shared=0.3)
        (one,) = pairs.compared(_groups(np.stack([agreed, loose], axis=1)))
        wrong += sentences.judge(one.compared) in ("better", "worse")
    return wrong / runs


def true_claims(n: int, a: float, b: float, runs: int) -> float:
    """Share of comparisons of two cells that say that `b` is better."""
    rng = np.random.default_rng(2)
    right = 0
    for _ in range(runs):
        (one,) = pairs.compared(_groups(answers(rng, n, [[a], [b]])))
        right += sentences.judge(one.compared) == "better"
    return right / runs


def disagreement(a: float, b: float) -> float:
    """The share of queries that only one of two cells has right."""
    both = multivariate_normal(cov=[[1, SHARED], [SHARED, 1]]).cdf([norm.ppf(a), norm.ppf(b)])
    return a + b - 2 * float(both)


def _groups(table: Answers) -> new_draws.Groups:
    """Shot counts by (queries, shot counts, seeds)."""
    return new_draws.grouped(np.moveaxis(table.astype(np.int64), 1, 0))


def claims(runs: int) -> Iterator[Claim]:
    """False and true claims."""
    null = "says better, nothing is"
    for n, seeds, cells in [(37, 1, 2), (100, 1, 2), (37, 3, 2), (100, 3, 5), (100, 1, 12)]:
        said = false_claims(n, seeds, [0.6] * cells, runs)
        yield Claim(null, f"{_asked(n, seeds)}, {cells} cells of 0.60", said, "at most 5 %")
    for n, seeds, accuracy in [(37, 5, 0.95), (100, 3, 0.8)]:
        said = claims_of_agreement(n, seeds, accuracy, runs)
        where = f"{_asked(n, seeds)}, two cells of {accuracy:.2f}, in one of them seeds agree"
        yield Claim(null, where, said, "at most 5 %")
    mixed = [0.4, 0.6, 0.6, 0.6, 0.6]
    said = false_claims(100, 3, mixed, runs)
    where = f"{_asked(100, 3)}, one cell of 0.40 and 4 of 0.60"
    yield Claim("says better of equal cells", where, said, "at most 5 %")
    for a, b in [(0.6, 0.7), (0.5, 0.7), (0.9, 0.95)]:
        needed = power.queries_needed(b - a, power.SampleSize(disagreement(a, b)))
        assert needed is not None
        said = true_claims(needed, a, b, runs)
        where = f"{needed} queries, as planned for {a:.2f} and {b:.2f}"
        yield Claim("says better, it is", where, said, "about 80 %")


def table_of(covered: Sequence[Covered], runs: int) -> tables.Table:
    rows = [
        (
            one.setting.of,
            one.setting.where,
            f"{100 * one.within:.1f} %",
            f"{100 * one.below:.1f} %",
            f"{100 * one.above:.1f} %",
            "" if _is_within(one) else one.setting.why,
        )
        for one in covered
    ]
    return tables.Table(
        "Coverage of 95 % intervals",
        ("interval of", "truth", "covered:", "too high:", "too low:", "why not 93 to 97 %"),
        rows,
        [f"{runs:,} samples each, so that a coverage is right to about {_error(runs):.1f} points."],
    )


def _is_within(one: Covered) -> bool:
    return GOAL[0] <= one.within <= GOAL[1]


def _error(runs: int) -> float:
    """Two standard errors of a coverage of 95 %, in points."""
    return 200 * float(np.sqrt(0.95 * 0.05 / runs))


def table_of_claims(claims: Sequence[Claim]) -> tables.Table:
    rows = [(one.what, one.where, f"{100 * one.said:.1f} %", one.goal) for one in claims]
    return tables.Table("Verdicts", ("a comparison", "truth", "share:", "goal"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.coverage", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="samples each (%(default)s)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args(arguments)
    covered = [measure(setting, options.runs) for setting in settings()]
    shown = [
        *new_draws.tables_of(options.runs),
        table_of(covered, options.runs),
        table_of_claims(list(claims(options.runs))),
    ]
    console = Console(width=max(120, Console().width))
    for table in shown:
        tables.show(table, console)
    if options.write:
        tables.write(PAGE, tables.markdown(shown), MARKS)


if __name__ == "__main__":
    main()
