"""Evidence on a cascade: what each step answered of the rows that its thresholds were tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.cascades.cascade_thresholds import Routed, StepAnswers, Thresholds, route
from promptkit.evaluation.intervals import paired_difference
from promptkit.evaluation.selective import LEVEL, error_bound
from promptkit.text import counted, listed, percent
from promptkit.translation import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvidence:
    """Evidence on one step of a cascade."""

    name: str
    threshold: float | None
    """Confidence that its answers must be above; None for a step that answers everything."""
    asked: int
    """Number of rows that came to it."""
    answered: int
    """Number of rows that it answered."""
    wrong: int
    """Number of these that it answered wrongly."""
    bound: float
    """Upper bound on its error, of this step alone."""
    seconds: float
    """Seconds for each row that comes to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeEvidence:
    """Evidence on a cascade; `sentence` says the most of it."""

    max_error: float
    """Largest share of wrong answers among those that are given, as stated."""
    level: float
    """Confidence of the statement."""
    learnt: int
    """Number of rows that the thresholds were learnt from."""
    rows: int
    """Number of other rows, that they were tested on; all figures are of these."""
    steps: tuple[StepEvidence, ...]
    answered: int
    """Number of rows that were answered; the others were held back."""
    wrong: int
    """Number of rows that were answered wrongly."""
    bound: float
    """Upper bound on the error of the cascade."""
    seconds: float
    """Seconds for each row, from those of its steps."""
    last_right: int
    """Number of answered rows that the last step alone has right."""
    difference: tuple[float, float, float]
    """Accuracy of the cascade less that of the last step alone, on the rows that are answered, with
    the ends of its interval."""
    last_seconds: float
    """Seconds for each row of the last step alone."""

    def to_dict(self) -> dict[str, Any]:
        """Return the evidence as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CascadeEvidence:
        """Return the evidence that `to_dict` wrote."""
        steps = tuple([StepEvidence(**one) for one in data["steps"]])
        delta, low, high = data["difference"]
        return cls(**{**data, "steps": steps, "difference": (delta, low, high)})

    @property
    def sentence(self) -> str:
        """Return the statement, and the share of the answers of each step."""
        said = [
            tr(
                "{percent} are answered by {name}",
                percent=percent(one.answered / self.rows),
                name=one.name,
            )
            for one in self.steps
            if one.answered or one is not self.steps[-1]
        ]
        if held := self.rows - self.answered:
            said.append(tr("{percent} are held back", percent=percent(held / self.rows)))
        most = tr(
            "an error of at most {max_error} ({level} confidence)",
            max_error=percent(self.max_error),
            level=percent(self.level),
        )
        return tr(
            "Keeps {most}: of {rows}, {said}; {wrong:,} of {answered:,} answers are wrong.",
            most=most,
            rows=counted(self.rows, "row", "rows"),
            said=listed(said),
            wrong=self.wrong,
            answered=self.answered,
        )


def evidence_of(
    names: Sequence[str],
    steps: Sequence[StepAnswers],
    seconds: Sequence[float],
    thresholds: Thresholds,
    tested: NDArray[np.intp],
    max_error: float,
) -> CascadeEvidence:
    """Return the evidence on a cascade.

    Args:
        names: Names of the steps.
        steps: The answers of each step to all rows.
        seconds: Seconds of each step for each row.
        thresholds: The thresholds that were chosen.
        tested: Numbers of the rows that they were tested on.
        max_error: The stated error.
    """
    held_out = [one.of(tested) for one in steps]
    routed = route(held_out, thresholds)
    every = [
        _step(number, names[number], thresholds[number], routed, seconds[number])
        for number in range(len(names))
    ]
    given = routed.step >= 0
    right, last = ~routed.wrong[given], ~held_out[-1].wrong[given]
    difference = (0.0, 0.0, 0.0)
    if given.any():
        found = paired_difference(last.astype(int), right.astype(int))
        difference = (found.delta, found.ci.low, found.ci.high)
    rows = len(tested)
    return CascadeEvidence(
        max_error=max_error,
        level=LEVEL,
        learnt=len(steps[0].wrong) - rows,
        rows=rows,
        steps=tuple(every),
        answered=routed.answered,
        wrong=int(routed.wrong.sum()),
        bound=routed.bound,
        seconds=sum(one.seconds * one.asked for one in every) / rows,
        last_right=int(last.sum()),
        difference=difference,
        last_seconds=seconds[-1],
    )


def _step(
    number: int, name: str, threshold: float | None, routed: Routed, seconds: float
) -> StepEvidence:
    mine = routed.step == number
    answered, wrong = int(mine.sum()), int(routed.wrong[mine].sum())
    return StepEvidence(
        name=name,
        threshold=threshold,
        asked=int(((routed.step >= number) | (routed.step < 0)).sum()),
        answered=answered,
        wrong=wrong,
        bound=error_bound(wrong, answered, 1 - LEVEL),
        seconds=seconds,
    )
