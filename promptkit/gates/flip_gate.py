"""Gates on swaps: the share of labels that may flip when a term takes another one's place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from promptkit.auditing.swap_results import SlotSwaps, SwapAudit
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.outcomes import Outcomes
from promptkit.gates.gate import Gate, Sides
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr


@dataclass(frozen=True)
class FlipBound:
    """Upper bound on the share of labels that flip, in each slot of a task.

    Raises:
        TaskError: It is not from 0 to 1.
    """

    most: float

    def __post_init__(self) -> None:
        numeric = isinstance(self.most, int | float) and not isinstance(self.most, bool)
        if not numeric or not 0 <= self.most <= 1:
            raise TaskError(
                tr("max_flip: {most} is not a share from 0 to 1", most=shorten(self.most))
            )

    def slots(self, task: Task[Any, Any]) -> int:
        """Return the number of slots of a task. Raises `TaskError` where it has none."""
        if not task.swaps.slots:
            raise TaskError(
                tr(
                    "max_flip: {name} has no terms to swap; write [audit.swap.NAME] with terms "
                    "in task.toml",
                    name=task.name,
                )
            )
        return len(task.swaps.slots)

    def gates(
        self, one: Outcomes, found: SwapAudit, *, level: float, strict: bool
    ) -> Iterator[Gate]:
        """Yield a gate for each slot.

        Args:
            one: The outcomes of the cell that was audited.
            found: Its swaps, with intervals of the level.
            level: The confidence level of the intervals that decide.
            strict: Pass only if the whole interval is on the right side.
        """
        for slot in found.slots:
            yield self._gate(one, slot, level, strict)

    def _gate(self, one: Outcomes, slot: SlotSwaps, level: float, strict: bool) -> Gate:
        low, high = ends = slot.flips_ci or (0.0, 1.0)
        limit = f"{100 * self.most:g} %"
        sides = Sides(self.most - slot.flips, self.most - high, self.most - low)
        draws = (
            tr(", with the first draw of shots")
            if one.cell.shots and one.correct.shape[1] > 1
            else ""
        )
        return Gate(
            name=tr("labels that flip by {slot} at most {limit}", slot=slot.slot, limit=limit),
            cell=one.cell,
            passed=sides.passes(strict),
            reason=(
                tr(
                    "{flips:.1f} % [{low:.1f}, {high:.1f}] of {sentences} and "
                    "{terms}{draws}{verdict}",
                    flips=100 * slot.flips,
                    low=100 * low,
                    high=100 * high,
                    sentences=counted(slot.sentences, "sentence", "sentences"),
                    terms=counted(len(slot.terms), "term", "terms"),
                    draws=draws,
                    verdict=sides.verdict(tr("above {limit}", limit=limit), strict),
                )
            ),
            metric=f"flip.{slot.slot}",
            estimate=slot.flips,
            ci=ends,
            level=level,
            bound=self.most,
            queries=slot.sentences,
            seeds=1,
        )
