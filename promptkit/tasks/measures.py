"""Measures of one answer against its gold output, beside equality."""

from __future__ import annotations

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
        if self.within is None or not _is_number(gold):
            return {}
        near = _is_number(value) and abs(value - gold) <= self.within
        return {"within": float(near)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
