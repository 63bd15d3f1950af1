"""Results of the runs of a grid: medians, ratios, agreement, and the goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contest import Run, Survey
from benchmarks.scale import Figure
from benchmarks.tables import Table
from benchmarks.work import Grid

OURS = "promptkit prepared"
AS_IS = "promptkit as-is"

TITLES = {
    "first token": "Llama, one token generated",
    "first token, sorted": "Llama, the same in sorted order",
    "generate": "Llama, greedy to the newline",
    "log-likelihood": "Llama, log-likelihood per label",
    "log-likelihood anew": "Llama, the same without reuse",
    "limit": "the limit, plain llama_decode",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """The runs of one grid; those at the same place in their lists were made in one round."""

    grid: Grid
    survey: Survey
    runs: Mapping[str, Sequence[Run | Failure]]

    def made(self, name: str) -> list[Run]:
        return [run for run in self.runs[name] if isinstance(run, Run)]

    @property
    def ours(self) -> str:
        """The contestant that the others are compared with."""
        return OURS if self.made(OURS) else AS_IS

    def seconds(self, name: str) -> list[float]:
        return [run.taken.seconds * run.times for run in self.made(name)]

    def ratio(self, name: str, other: str) -> float | None:
        """Return how many times longer one takes than the other: the median over the rounds."""
        ratios = [
            (a.taken.seconds * a.times) / (b.taken.seconds * b.times)
            for a, b in zip(self.runs[name], self.runs[other], strict=False)
            if isinstance(a, Run) and isinstance(b, Run)
        ]
        return median(ratios) if ratios else None

    def outside(self, name: str) -> float:
        """The share of the time that is not spent in `llama_decode`."""
        taken = [run.taken for run in self.made(name)]
        return median(1 - each.decode_seconds / each.seconds for each in taken)


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what it should be."""

    name: str
    found: float
    least: float
    aim: float
    unit: str = ""
    larger_is_better: bool = True

    @property
    def reached(self) -> str:
        sign = 1 if self.larger_is_better else -1
        if sign * self.found >= sign * self.aim:
            return "aim"
        return "yes" if sign * self.found >= sign * self.least else "no"


def table_of(result: Result) -> Table:
    """The contest of one grid."""
    load, grid = result.survey.load, result.grid
    columns = "seconds", "min–max", "times ours", "tokens", "rows", "outside", "MB", "labels"
    notes = [
        f"{grid.size:,} prompts: {grid.queries} queries, {', '.join(map(str, grid.shots))} shots. "
        f"Tokens: {load.naive:,} without prefix sharing, {load.tokens:,} unique, with "
        f"{load.rows:,} rows of logits; {load.depth:.0f} tokens precede one on average.",
        *_notes(result),
        *_differences(result),
    ]
    return Table(
        grid.title,
        ("", *(f"{column}:" for column in columns)),
        [_row(result, name) for name in grid.contestants],
        notes,
    )


def _row(result: Result, name: str) -> Sequence[str]:
    title, runs = TITLES.get(name, name), result.made(name)
    if not runs:
        return [title, "failed", *[""] * 7]
    seconds, ratio = result.seconds(name), result.ratio(name, result.ours)
    first = runs[0]
    return [
        title,
        f"{median(seconds):.1f}",
        f"{min(seconds):.1f}–{max(seconds):.1f}" if len(seconds) > 1 else "",
        f"{ratio:.2f}" if ratio is not None else "",
        f"{first.taken.tokens * first.times:,.0f}",
        f"{first.taken.rows * first.times:,.0f}",
        f"{result.outside(name):.1%}",
        f"{median(run.peak_mb for run in runs):,.0f}",
        _agreement(result, name),
    ]


def _agreement(result: Result, name: str) -> str:
    reference = result.made(result.grid.contestants[0])
    runs = result.made(name)
    if not reference or not runs[0].answers:
        return ""
    pairs = list(zip(runs[0].answers, reference[0].answers, strict=True))
    return f"{sum(a.label == b.label for a, b in pairs):,} / {len(pairs):,}"


def _notes(result: Result) -> Iterator[str]:
    for name in result.grid.contestants:
        notes = [run.note for run in result.made(name)[:1] if run.note]
        failures = [run for run in result.runs[name] if isinstance(run, Failure)]
        notes += [f"failed: {failure.reason}" for failure in failures[:1]]
        if notes:
            yield f"{TITLES.get(name, name)}: {'; '.join(notes)}."
    flash = result.survey.flash_seconds
    yield (
        f"Llama and guidance run {'with' if result.survey.flash_attention else 'without'} flash "
        f"attention, which was faster on a part of the grid ({flash['on']:.2f} s with, "
        f"{flash['off']:.2f} s without)."
    )


def _differences(result: Result) -> Iterator[str]:
    """Return how near to a tie the labels were where they differ."""
    reference = result.made(result.grid.contestants[0])
    for name in (AS_IS, OURS):
        runs = result.made(name)
        if not (reference and runs):
            continue
        pairs = zip(runs[0].answers, reference[0].answers, strict=True)
        margins = [(a.margin or 0.0, b.margin or 0.0) for a, b in pairs if a.label != b.label]
        if margins:
            ours, theirs = (max(side) for side in zip(*margins, strict=True))
            yield (
                f"{name}: labels that are not those of the first loop: {len(margins)}. There the "
                f"best label was ahead by {ours:.2f} nats at most, and by {theirs:.2f} in the loop."
            )


def goals_of(results: Sequence[Result], figures: Sequence[Figure]) -> Iterator[Goal]:
    """Everything that there is a goal for, among what was measured."""
    for result in results:
        for rival, (least, aim) in result.grid.rivals.items():
            ratio = result.ratio(rival, result.ours)
            if ratio is not None:
                name = f"{result.grid.name}: times faster than {TITLES[rival]}"
                yield Goal(name, ratio, least, aim)
    for result in results:
        share = result.ratio("limit", result.ours)
        if share is not None:
            yield Goal(f"{result.grid.name}: share of the limit", share, 0.80, 0.95)
            run = result.made(result.ours)[0]
            read = run.taken.tokens / (run.unique or result.survey.load.tokens)
            name = f"{result.grid.name}: tokens decoded ÷ unique"
            yield Goal(name, read, 1.02, 1.0, larger_is_better=False)
            outside = 100 * result.outside(result.ours)
            name = f"{result.grid.name}: time outside llama_decode"
            yield Goal(name, outside, 5, 2, " %", larger_is_better=False)
    for figure in figures:
        least, aim = figure.goals
        name = f"{figure.prompts:,} prompts: {figure.name}"
        yield Goal(name, figure.total, least, aim, " s", larger_is_better=False)
        if figure.goal_mb is not None:
            name = f"{figure.prompts:,} prompts: peak memory"
            yield Goal(name, figure.peak_mb, figure.goal_mb, figure.goal_mb, " MB", False)


def table_of_goals(goals: Sequence[Goal]) -> Table:
    rows = [
        [
            goal.name,
            _number(goal.found) + goal.unit,
            _number(goal.least) + goal.unit,
            _number(goal.aim) + goal.unit,
            goal.reached,
        ]
        for goal in goals
    ]
    return Table("Goals", ("", "found:", "at least:", "aim:", "reached"), rows)


def table_of_figures(figures: Sequence[Figure]) -> Table:
    rows = [
        [
            f"{figure.name}, {figure.prompts:,} prompts",
            ", ".join(f"{step} {seconds:.2f} s" for step, seconds in figure.seconds.items()),
            f"{figure.peak_mb:,.0f}",
            f"{figure.base_mb:,.0f}",
        ]
        for figure in figures
    ]
    return Table("Large grids", ("", "seconds", "peak MB:", "before MB:"), rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")
