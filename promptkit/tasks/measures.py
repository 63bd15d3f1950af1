"""Measures of one answer against its gold output, beside equality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scoring:
    """What else than equality answers are measured by; `[output]` of task.toml declares it.

    Example:
        >>> Scoring(within=0.5).measures(4.2, 4.0)
        {'within': 1.0}
    """

    within: float | None = None
    """The distance from the gold number up to which a number counts as near enough."""

    def measures(self, value: Any, gold: Any) -> dict[str, float]:
        """Return the measures of an answer by name; none for what they do not apply to.

        Args:
            value: The answer, as a prediction holds it; None where there is none.
            gold: The gold output, in the same form.
        """
        if self.within is None or (right := number_of(gold)) is None:
            return {}
        said = number_of(value)
        return {"within": float(said is not None and abs(said - right) <= self.within)}


def number_of(value: Any, *, text: bool = True) -> float | None:
    """Return a value as a finite number, a text that writes one too if `text`; else None."""
    if isinstance(value, bool) or not (isinstance(value, int | float) or text):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
