"""Costs of the cells of a comparison: their size, their speed and what they took to make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from promptkit.inference.cell import RAW, Cell
from promptkit.inference.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedCell(Cell):
    """Cell with its costs; None where they are not known, as in runs of earlier versions."""

    parameters: int | None = None
    """Number of parameters of the model, without those of adapters."""
    trained_parameters: int | None = None
    """Number of parameters that were trained for the task."""
    bytes: int | None = None
    """Bytes on disk, those of the model included."""
    items_per_second: float | None = None
    """Number of queries answered in a second, all of them asked at once. Answers from the store
    count with the time that they once took."""
    making_seconds: float | None = None
    """Seconds that it took to make, such as to train."""
    making_tokens: int | None = None
    """Tokens that a model read to make it, such as a teacher."""
    making_labels: int | None = None
    """Number of gold labels that it was made from: shots, or rows that it was trained on."""


Costed = TypeVar("Costed", bound=CostedCell)


def with_profiles(
    rows: Iterable[Costed], profiles: Mapping[Cell, Profile], held_out: Mapping[Cell, int]
) -> list[Costed]:
    """Return rows with the profiles of their predictors.

    Args:
        rows: Rows of a comparison.
        profiles: Profiles by the cell of the predictor, without its seed and calibration.
        held_out: Number of labelled examples that the calibration of a cell learnt from, if any.
    """
    found = []
    for row in rows:
        profile = profiles.get(row.at(seed=None, calibration=RAW))
        if profile is not None:
            more = held_out.get(row.at(seed=None), 0)
            row = replace(
                row,
                parameters=profile.parameters,
                trained_parameters=profile.trained,
                bytes=profile.bytes,
                making_seconds=profile.seconds if profile.is_timed else None,
                making_tokens=profile.tokens if profile.is_timed else None,
                making_labels=profile.labels + more,
            )
        found.append(row)
    return found


def items_per_second(queries: int, seconds: Iterable[float]) -> float | None:
    """Return how many queries are answered in a second; None where no time was measured.

    Args:
        queries: Number of queries.
        seconds: Time that they took, for each seed.
    """
    times = [*seconds]
    total = sum(times)
    return queries * len(times) / total if total > 0 else None
