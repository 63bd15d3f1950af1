"""The figures that a comparison comes to, as values: rows, pairs, what moves them, what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptkit.inference.cell import Cell, Setting, Settings

if TYPE_CHECKING:
    from promptkit.evaluation.metrics import Bin


Ends = tuple[float, float]
"""The two ends of an interval."""


@dataclass(frozen=True, slots=True)
class Row(Setting):
    """What one cell came to."""

    seed: int | None
    """None for the aggregate over all seeds."""
    n: int
    """The number of queries."""
    accuracy: float
    accuracy_ci: Ends | None
    """95 %, for new queries from the same source and new draws of shots: k shots in general. None
    where there is one draw of several possible ones. Where nothing is drawn, as without shots, it
    is `accuracy_ci_fixed`."""
    accuracy_ci_fixed: Ends
    """95 %, for new queries and these shots."""
    failures: int
    """Answers that are none."""
    tokens: int
    seconds: float
    macro_f1: float | None = None
    """This and what follows is None where answers are generated, not scored. In the aggregate
    each is the mean over seeds of the seed's own."""
    log_loss: float | None = None
    """In nats, of the probabilities normalised over the labels."""
    brier: float | None = None
    """Brier score of the probabilities normalised over the labels: from 0, best, to 2."""
    ece: float | None = None
    coverage: float | None = None
    """The mean probability that the model gives to the labels together."""
    macro_f1_ci: Ends | None = None
    """This and what follows as for the accuracy; None also of a single query, and where a mean has
    no end since a gold label has no probability at all."""
    macro_f1_ci_fixed: Ends | None = None
    log_loss_ci: Ends | None = None
    log_loss_ci_fixed: Ends | None = None
    brier_ci: Ends | None = None
    brier_ci_fixed: Ends | None = None
    coverage_ci: Ends | None = None
    coverage_ci_fixed: Ends | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The paired difference of a loss between two cells; below 0 where `b` is better."""

    delta: float
    ci: Ends | None
    """95 %, for new queries and new draws; None where there is one draw only."""
    ci_fixed: Ends
    """95 %, for new queries and these shots."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The difference in accuracy between two aggregates, over the same queries."""

    a: Cell
    b: Cell
    delta: float
    """The accuracy of `b` less that of `a`."""
    ci: Ends | None
    """95 %, for this pair alone, for new queries and new draws of shots; None where there is one
    draw only. Where neither cell draws shots, it is `ci_fixed`."""
    ci_fixed: Ends
    """95 %, for this pair alone, for new queries and these shots."""
    p: float | None
    """Of this pair alone, about the same as `ci`."""
    p_fixed: float
    """Of this pair alone, about the same as `ci_fixed`."""
    p_holm: float
    """`p`, or `p_fixed` where there is none, as it stands when all pairs of the comparison were
    looked at (Holm)."""
    verdict: str
    """What it comes to, in a sentence; see `promptkit.evaluation.sentences`."""
    log_loss: Change | None = None
    """None where answers are generated, not scored."""
    brier: Change | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """A cell beside the one that scored highest."""

    cell: Cell
    delta: float
    """The accuracy of the best cell less this one's."""
    ci: Ends
    """Simultaneous 95 % with those of all other rivals, for new queries and new draws, or for these
    shots where there is one draw only."""
    p: float
    """Of this pair alone."""
    separated: bool
    """Whether this cell is worse than the best one, when all rivals were looked at."""


@dataclass(frozen=True, slots=True)
class Best:
    """The cell that scored highest, against all others (multiple comparisons with the best)."""

    cell: Cell
    accuracy: float
    rivals: tuple[Rival, ...]
    separated: bool
    """Whether every rival is separated from it: only then it is the best."""
    baseline: float | None
    """The accuracy of always answering the commonest gold label; None where answers are
    generated."""


@dataclass(frozen=True, slots=True)
class Source:
    """How much one thing moves the accuracy of a cell; see `promptkit.evaluation.variance`."""

    factor: str
    """A field of the cell; `query` for which queries are asked, `residual` for answers that change
    from cell to cell though the accuracy need not."""
    levels: int
    """How many of it were tried."""
    sd: float
    """A standard deviation, in accuracy from 0 to 1."""
    ci: tuple[float, float]
    truncated: bool
    """Whether its variance was estimated to be below 0, and 0 stands for it."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Variance(Settings):
    """What moves the accuracy at one number of shots."""

    n: int
    """The number of queries."""
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Spread(Settings):
    """Distance between the levels of one factor, all else held; see `evaluation.variance`."""

    factor: str
    """`order`, `template`, `verbalizer` or `seed`."""
    levels: tuple[str, ...]
    accuracies: tuple[float, ...]
    """Of each level, over all seeds."""
    observed: float
    """The highest less the lowest."""
    noise: float
    """What that would be on average if all levels were equally good."""
    estimate: float
    """How far apart they are without the noise."""
    ci: tuple[float, float]
    """95 %, of `estimate`."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Reliability(Setting):
    """Reliability bins of one cell, its answers of all seeds together.

    For display: a row's `ece` is computed per seed and averaged, so it can be larger than these
    bins show, where one seed is too sure and another not sure enough.
    """

    bins: tuple[Bin, ...]
    """By confidence, empty bins left out; `n` counts answers, of every seed."""


@dataclass(frozen=True, slots=True)
class Confusion(Setting):
    """Confusion matrix of one cell, the counts of its seeds summed.

    For display: a row's `macro_f1` is computed per seed and averaged, and cannot be had from the
    sums.
    """

    labels: tuple[str, ...]
    answers: tuple[tuple[tuple[int, int], ...], ...]
    """Per gold label the answers that were given, by their number, each with how often."""

    @property
    def counts(self) -> tuple[tuple[int, ...], ...]:
        """A row per gold label, a column per answer; in all queries × seeds."""
        every = range(len(self.labels))
        return tuple(tuple(map(dict(row).get, every, [0] * len(every))) for row in self.answers)


@dataclass(frozen=True, slots=True)
class Free(Setting):
    """Free-form answers of a cell in which the model gives the labels little probability."""

    seed: int | None
    coverage: float
    """The mean over the cell's queries."""
    texts: tuple[str, ...]
    """The answers to its first queries, cut after a few tokens."""
    labels: tuple[str | None, ...]
    """The label that each of them writes, in any casing; None for something else."""
