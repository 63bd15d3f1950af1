"""What an audit finds of groups, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from promptkit.evaluation.results import Ends, SliceDifference

Rule = Literal["kept", "missed", "open"]
"""Whether the four-fifths rule is kept, by the whole interval of the ratio; else it is open."""


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """A metric of one group."""

    value: float
    """Mean over the queries that it is about, and over seeds."""
    ci: Ends | None
    """95 %, for new queries, and for new draws of shots where several were drawn; None where
    nothing can be said, as of a single query."""
    n: int
    """Number of queries that it is about, such as those whose gold output is not the positive one
    for a false-positive rate."""
    small: bool
    """So few of these queries that the group is not ranked by it."""
    rest: SliceDifference | None = None
    """The metric in this group less that of all other queries; None for a small group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Queries that share a value of a column, or of two."""

    name: str
    """The value, as text."""
    n: int
    """Number of queries."""
    small: bool
    """So few queries that the group is shown, and ranked by nothing."""
    figures: Mapping[str, GroupFigure]
    """Metrics by name; without those that nothing is known of, such as a false-positive rate where
    every gold output is the positive one."""
    needed: int | None
    """About how many of its queries would show, four times in five, a difference of 10 points from
    the other queries; None where no number would, since the others are too few."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Difference of the highest and the lowest group by one metric, small groups aside."""

    metric: str
    """Name of the metric."""
    value: float
    """Highest less lowest."""
    ci: Ends | None
    """95 %: all differences of two groups hold at once."""
    ratio: float | None
    """Lowest divided by highest; None where that is 0, and for metrics that may be below 0."""
    ratio_ci: Ends | None
    """95 %, as `ci`."""
    highest: str
    lowest: str
    groups: int
    """Number of groups that are compared."""
    p: float | None
    """P-value of "all groups are alike" by permutation; None where it is not tested."""
    p_holm: float | None
    """`p` adjusted for the number of gaps (Holm)."""
    four_fifths: Rule | None = None
    """Verdict of the four-fifths rule on the ratio; None where it is not asked for."""

    @property
    def significant(self) -> bool:
        """Agreement of the adjusted p-value and the interval that there is a gap."""
        apart = self.ci is not None and self.ci[0] > 0
        return apart and self.p_holm is not None and self.p_holm <= 0.05


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups by one column, or by two together."""

    by: str
    """Name of the column; of two, both with a cross between them."""
    groups: tuple[Group, ...]
    """Those of most queries first."""
    gaps: tuple[Gap, ...]
    """One for each metric that two groups or more are ranked by."""
    sentences: tuple[str, ...]
    """Findings in words."""


@dataclass(frozen=True, slots=True)
class GroupAudit:
    """Groups of the tests, and the gaps between them.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
        >>> found = pk.audit(prompt, groups=["source"], positive="berry", store=pk.Store())
        >>> found.groups.positive, found.groups.overall.n
        ('berry', 51)
    """

    positive: str | None
    """The positive output; None where each label is judged against the rest."""
    overall: Group
    """All queries together."""
    groupings: tuple[Grouping, ...]
    """Groups by each column."""
