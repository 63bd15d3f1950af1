"""Results of a comparison as values: rows, pairs, the best cell, variance components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from promptkit.evaluation import class_metrics
from promptkit.evaluation.metrics import Bin
from promptkit.evaluation.row_costs import CostedCell
from promptkit.inference.cell import Cell

Ends = tuple[float, float]
"""Both ends of an interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of one cell, with its intervals."""

    value: float
    ci: Ends | None = None
    """95 %, for new queries and new draws; None where nothing can be said of them."""
    ci_fixed: Ends | None = None
    """95 %, for new queries and these shots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(CostedCell):
    """Metrics of one cell, with their intervals; a seed of None is the aggregate over all seeds."""

    n: int
    """Number of queries."""
    accuracy: float
    accuracy_ci: Ends | None
    """95 %, for new queries from the same source and new draws of shots: k shots in general. None
    where there is one draw of several possible ones. Where nothing is drawn, as without shots, it
    is `accuracy_ci_fixed`."""
    accuracy_ci_fixed: Ends
    """95 %, for new queries and these shots."""
    failures: int
    """Number of answers that are none."""
    tokens: int
    seconds: float
    macro_f1: float | None = None
    """This and the fields below are None for generated answers. In the aggregate each is the mean
    over seeds of the seed's own."""
    log_loss: float | None = None
    """In nats, of the probabilities normalised over the labels."""
    brier: float | None = None
    """Brier score of the probabilities normalised over the labels: from 0, best, to 2."""
    ece: float | None = None
    coverage: float | None = None
    """Mean probability mass on the labels."""
    macro_f1_ci: Ends | None = None
    """This and the fields below as for the accuracy; None also for a single query, and where a mean
    is infinite since a gold label has no probability at all."""
    macro_f1_ci_fixed: Ends | None = None
    log_loss_ci: Ends | None = None
    log_loss_ci_fixed: Ends | None = None
    brier_ci: Ends | None = None
    brier_ci_fixed: Ends | None = None
    coverage_ci: Ends | None = None
    coverage_ci_fixed: Ends | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """Other metrics by name (`promptkit.evaluation.metric`); in JSON each is a field of its own,
    with its intervals in `…_ci` and `…_ci_fixed`. One seed alone has no intervals here."""

    def figure(self, name: str) -> Figure | None:
        """Return a metric by its name, be it a field or one of `figures`; None if there is none."""
        if name in self.figures:
            return self.figures[name]
        value = getattr(self, name, None)
        if value is None:
            return None
        return Figure(value, getattr(self, f"{name}_ci"), getattr(self, f"{name}_ci_fixed"))


@dataclass(frozen=True, slots=True)
class LossDifference:
    """Paired difference of a loss between two cells; below 0 where `b` is better."""

    delta: float
    ci: Ends | None
    """95 %, for new queries and new draws; None where there is one draw only."""
    ci_fixed: Ends
    """95 %, for new queries and these shots."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Difference in the metric of a comparison between two cells, over the same queries and all
    seeds: in accuracy, where no other metric is chosen (`Comparison.metric`)."""

    a: Cell
    b: Cell
    delta: float
    """The metric of `b` less that of `a`."""
    ci: Ends | None
    """95 %, for this pair alone, for new queries and new draws of shots; None where there is one
    draw only. Where neither cell draws shots, it is `ci_fixed`."""
    ci_fixed: Ends
    """95 %, for this pair alone, for new queries and these shots."""
    p: float | None
    """P-value of this pair alone, for new queries and new draws as `ci`."""
    p_fixed: float
    """P-value of this pair alone, for new queries and these shots as `ci_fixed`."""
    p_holm: float
    """`p`, or `p_fixed` where that is None, adjusted for all pairs of the comparison (Holm)."""
    verdict: str
    """The difference in a sentence; see `promptkit.evaluation.sentences`."""
    log_loss: LossDifference | None = None
    """None for generated answers."""
    brier: LossDifference | None = None
    n: int | None = None
    """Number of queries that it is over, those that have the metric in both cells. None in runs of
    earlier versions."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A cell that is compared with the best one."""

    cell: Cell
    delta: float | None
    """The metric of the best cell less that of this one. None, as `ci`, where nothing can be said,
    as of a single query."""
    ci: Ends | None
    """Simultaneous 95 % with those of all other rivals, for new queries and new draws, or for these
    shots where there is one draw only."""
    p: float
    """P-value of this pair alone."""
    separated: bool
    """Significantly worse than the best cell, corrected for the number of rivals."""


@dataclass(frozen=True, slots=True)
class Best:
    """Cell with the best value of the metric of a comparison, against all others (multiple
    comparisons with the best)."""

    cell: Cell
    accuracy: float
    rivals: tuple[Rival, ...]
    separated: bool
    """Separated from every rival: only then it is the best."""
    baseline: float | None
    """The metric of answers without a model (`promptkit.evaluation.baselines`): the majority class,
    chance among the options of each query, or a constant number. None where there are none, as for
    texts."""
    value: float | None = None
    """The metric of the cell: its accuracy, where no other one is chosen. None in runs of earlier
    versions."""
    baseline_name: str = ""
    """What answers so without a model, such as `a constant 3.0 (the median of the pool)`."""


@dataclass(frozen=True, slots=True)
class VarianceComponent:
    """Part of the variance of a metric; see `promptkit.evaluation.variance`."""

    factor: str
    """A factor of the cell; `query` for the sample of queries, `residual` for answers that change
    from cell to cell though the metric need not."""
    levels: int
    """Number of levels in the comparison."""
    sd: float
    """Standard deviation, in the unit of the metric: for an accuracy from 0 to 1."""
    ci: Ends
    truncated: bool
    """An estimate of the variance below 0, replaced by 0."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance(Cell):
    """Variance components of the metric at one number of shots; None for factors that vary."""

    n: int
    """Number of queries that have the metric in all cells."""
    sources: tuple[VarianceComponent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Cell):
    """Range of the metric of a comparison over the levels of one factor, all else held, so that it
    is None here."""

    factor: str
    """One of `promptkit.inference.cell.SWEPT`."""
    levels: tuple[str, ...]
    accuracies: tuple[float, ...]
    """The metric of each level, over all seeds: its accuracy, where no other one is chosen."""
    observed: float
    """Highest less lowest value."""
    noise: float
    """Expected range if all levels were equally good."""
    estimate: float
    """Range without the noise."""
    ci: Ends
    """95 %, of `estimate`."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability(Cell):
    """Reliability bins of one cell, its answers of all seeds together.

    For display: a row's `ece` is computed per seed and averaged, so it can be larger than these
    bins show, where one seed is too sure and another not sure enough.
    """

    bins: tuple[Bin, ...]
    """By confidence, empty bins left out; `n` counts answers, of every seed."""


@dataclass(frozen=True, slots=True)
class PerClass:
    """Precision, recall and F1 of each label, in the order of the labels; 0 where undefined."""

    precision: tuple[float, ...]
    """Share of right ones among the answers that name the label."""
    recall: tuple[float, ...]
    """Share of right answers among the queries of the label."""
    f1: tuple[float, ...]
    """Harmonic mean of precision and recall."""
    support: tuple[int, ...]
    """Number of queries of the label, counted once per seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion(Cell):
    """Confusion matrix of one cell, the counts of its seeds summed.

    For display: a row's `macro_f1` is computed per seed and averaged, and cannot be had from the
    sums.
    """

    labels: tuple[str, ...]
    answers: tuple[tuple[tuple[int, int], ...], ...]
    """Pairs of an answer, by its number, and its count, for each gold label."""

    @property
    def counts(self) -> tuple[tuple[int, ...], ...]:
        """Counts with a row per gold label and a column per answer, of all queries and seeds."""
        every = range(len(self.labels))
        return tuple(tuple(map(dict(row).get, every, [0] * len(every))) for row in self.answers)

    @property
    def per_class(self) -> PerClass:
        """Precision, recall, F1 and support of each label, from the counts of all seeds."""
        hits, gold, said = np.zeros((3, len(self.labels)), dtype=np.int64)
        for label, row in enumerate(self.answers):
            for answer, count in row:
                gold[label] += count
                said[answer] += count
                hits[label] += count if answer == label else 0
        precision, recall, f1 = map(tuple, class_metrics.per_class(hits, gold, said).tolist())
        return PerClass(precision, recall, f1, tuple(gold.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldConfusion(Confusion):
    """Confusion matrix of a field of records, whose labels are its values, in one cell.

    The last label is `(no answer)` where answers have no value of the field.
    """

    field: str
    """Name of the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeAnswers(Cell):
    """FreeAnswers-form answers of a cell in which the model gives the labels little probability."""

    coverage: float
    """Mean over the queries of the cell."""
    texts: tuple[str, ...]
    """Answers to its first queries, cut after a few tokens."""
    labels: tuple[str | None, ...]
    """Label that each answer writes, in any casing; None for something else."""


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """Difference in the metric of a comparison that concerns one slice of the queries."""

    delta: float
    ci: Ends | None
    """95 %, for new queries and new draws of shots; None where there is one draw only."""
    ci_fixed: Ends
    """95 %, for new queries and these shots."""
    p: float
    """P-value of this slice alone."""
    p_holm: float
    """`p` adjusted for the number of slices (Holm)."""

    @property
    def ends(self) -> Ends:
        """Interval that is shown."""
        return self.ci_fixed if self.ci is None else self.ci

    @property
    def significant(self) -> bool:
        """Agreement of the adjusted p-value and the interval that there is a difference."""
        low, high = self.ends
        return self.p_holm <= 0.05 and (low > 0 or high < 0)


@dataclass(frozen=True, slots=True)
class Slice:
    """Queries that share one value of a column."""

    level: str
    """The value, as text."""
    n: int
    """Number of queries."""
    small: bool
    """So few queries that nothing is compared."""
    rows: tuple[Row, ...]
    """Metrics of the cells over these queries and all seeds."""
    change: SliceDifference | None
    """The metric of `Slicing.b` less that of `Slicing.a` over these queries; None for a small slice
    and for a comparison of one cell."""
    rest: SliceDifference | None
    """The metric of `Slicing.b` over these queries less that over all others; None for a small
    slice and where there are no others."""


@dataclass(frozen=True, slots=True)
class Slicing:
    """Slices of the queries by the values of one column."""

    by: str
    """Name of the column."""
    a: Cell | None
    b: Cell
    """Cells that are compared in every slice: the first one and the best one; where the first is
    the best, the next best one is `a`. None in a comparison of one cell."""
    slices: tuple[Slice, ...]
    """Those of most queries first."""
    sentences: tuple[str, ...]
    """The differences in words."""


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """A point of a risk-coverage curve."""

    share: float
    """Share of the queries that are answered, the most confident first."""
    risk: float
    """Share of wrong answers among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selective(Cell):
    """Queries that one cell can answer with a stated error, and hold back the others.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
        >>> found = pk.selective(predictor.predict(task.tests), error=0.2)
        >>> found.answered, found.threshold
        (0, None)
    """

    error: float
    """Largest share of wrong answers among those given."""
    level: float
    """Confidence that the error on new queries is no larger."""
    n: int
    """Number of queries that the threshold was tested on."""
    threshold: float | None
    """Probability above which an answer is given; 0 where all are, and None where no threshold is
    shown to keep the error."""
    answered: int
    """Number of these queries that are answered."""
    wrong: int
    """Number of wrong answers among them."""
    bound: float | None
    """Upper bound on the error, corrected for all thresholds and cells."""
    choices: int
    """Number of cells that this one was chosen from."""
    queries_needed: int | None
    """About how many queries would show a threshold; None where there is one, or none would."""
    curve: tuple[RiskPoint, ...]
    """Risk-coverage curve."""
    sentence: str

    @property
    def share(self) -> float:
        """Share of the queries that are answered."""
        return self.answered / self.n
