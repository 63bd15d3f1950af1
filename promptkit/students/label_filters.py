"""Rows of a labelled pool that a student learns from: those of which the teacher is sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import TaskError
from promptkit.students.left_out import AGREEMENT, CONFIDENCE, COVERAGE, reason_text
from promptkit.students.pool_labels import PoolLabels
from promptkit.translation import tr

Kept = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelFilters:
    """Least values that a row must have; None for no filter.

    Raises:
        TaskError: One is not from 0 to 1.
    """

    confidence: float | None = None
    """Probability of the most probable label."""
    coverage: float | None = None
    """Probability mass on the labels together."""
    agreement: float | None = None
    """Share of the teacher's members whose most probable label is that of their mean."""

    def __post_init__(self) -> None:
        for name in ("confidence", "coverage", "agreement"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise TaskError(
                    tr("least {name} {value}: it is from 0 to 1", name=name, value=value)
                )

    def check(self, members: int, numeric: bool) -> None:
        """Raise `TaskError` for filters that a teacher's answers do not have."""
        if self.agreement is not None and members < 2:
            raise TaskError(
                tr("least agreement: of one prompt there is none; ask several orders of its shots")
            )
        if numeric and self != LabelFilters():
            raise TaskError(
                tr("filters are by probabilities of labels; this task's outputs are none")
            )

    def kept(self, labels: PoolLabels) -> tuple[Kept, Mapping[str, int]]:
        """Return the rows that are kept, and the number that each filter drops of the others.

        Raises:
            TaskError: The coverage of an answer is not known, or no row is left.
        """
        kept, dropped = np.ones(len(labels.fields), np.bool_), {}
        for reason, passed in self._each(labels):
            dropped[reason] = int((kept & ~passed).sum())
            kept &= passed
        if not kept.any():
            said = ", ".join(f"{count:,} {reason_text(one)}" for one, count in dropped.items())
            raise TaskError(
                tr(
                    "no row of the pool is left to learn from ({said}); relax the filters, or "
                    "give more rows",
                    said=said or tr("it is empty"),
                )
            )
        return kept, dropped

    def _each(self, labels: PoolLabels) -> Iterator[tuple[str, Kept]]:
        targets = labels.targets
        if self.confidence is not None:
            name = f"{CONFIDENCE} {self.confidence:g}"
            yield name, targets.max(axis=1) >= self.confidence
        if self.coverage is not None:
            if np.isnan(labels.coverage).any():
                raise TaskError(tr("least coverage: the teacher's answers do not say theirs"))
            yield f"{COVERAGE} {self.coverage:g}", labels.coverage >= self.coverage
        if self.agreement is not None:
            agreed = labels.tables.argmax(axis=2) == targets.argmax(axis=1)
            name = f"{AGREEMENT} {self.agreement:g}"
            yield name, agreed.mean(axis=0) >= self.agreement
