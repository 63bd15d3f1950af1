"""Intervals of accuracies as text, and the sentence that says what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.report.cell_names import Data, aggregates
from promptkit.text import number, percent


def ends_of(values: Data, name: str = "ci") -> Sequence[float]:
    """Return an interval: for new draws of shots, or for these shots where there is one draw."""
    ends: Sequence[float] = values[name] or values[f"{name}_fixed"]
    return ends


def accuracy(row: Data) -> str:
    """Return the accuracy of a row with its interval."""
    low, high = ends_of(row, "accuracy_ci")
    return f"{percent(row['accuracy'])} [{number(low)}, {number(high)}]"


def fixed(row: Data) -> str:
    """Return the interval for the shots that were drawn; empty where none are."""
    low, high = row["accuracy_ci_fixed"]
    return f"[{number(low)}, {number(high)}]" if row["shots"] else ""


def range_of(accuracies: Sequence[float]) -> str:
    """Return the range of accuracies over draws of shots."""
    low, high = number(min(accuracies)), number(max(accuracies))
    return low if low == high else f"{low}–{high}"


def has_draws(rows: Sequence[Data]) -> bool:
    """Return whether some rows have an interval for new draws and another one for these shots."""
    return any(row["accuracy_ci"] not in (None, row["accuracy_ci_fixed"]) for row in rows)


def brackets(data: Data, as_drawn: bool = True) -> str:
    """Return what the intervals are about; `as_drawn` if a column of that name is shown."""
    rows = aggregates(data)
    paired = "A change is paired over the same queries."
    if any(row["accuracy_ci"] is None for row in rows):
        return (
            "Brackets are 95 % intervals for new queries and these shots: one draw says nothing "
            f"about k shots in general. {paired}"
        )
    if not has_draws(rows):
        return f"Brackets are 95 % intervals for new queries. {paired}"
    column = "; under “as drawn”, for new queries and just the shots that were drawn"
    return (
        "Brackets are 95 % intervals for new queries and new draws of shots"
        f"{column if as_drawn else ''}. {paired}"
    )
