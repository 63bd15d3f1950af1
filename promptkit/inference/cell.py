"""The cell of a grid: the one combination of factors that a prompt was made under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from promptkit.selection.strategies import is_seeded

RAW = "none"
"""The calibration of what is not calibrated."""


class Cell(NamedTuple):
    """Where a number stands in the grid; a seed of None is the aggregate over all seeds."""

    model: str
    template: str
    selection: str
    order: str
    verbalizer: str
    calibration: str
    shots: int
    seed: int | None


FACTORS = tuple([name for name in Cell._fields if name not in ("shots", "seed")])
"""What tells cells apart, besides the number of shots."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a figure is about: a cell of the grid, over all seeds unless it has one."""

    model: str
    template: str
    selection: str
    order: str
    """How the shots are ordered."""
    verbalizer: str
    """Which words stand for the labels."""
    calibration: str
    """How the probabilities were corrected; `none` for the model's own."""
    shots: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What a figure is about that compares several cells: None where they vary."""

    model: str
    template: str | None
    selection: str
    order: str | None
    verbalizer: str | None
    calibration: str
    shots: int


def is_drawn(cell: Cell) -> bool:
    """Return whether another seed draws other shots for a cell, by its selection."""
    return cell.shots > 0 and is_seeded(cell.selection)


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """The cells whose prompts can differ, of equal ones the first."""
    first: dict[Cell, Cell] = {}
    for cell in cells:
        unsaid: dict[str, Any] = dict.fromkeys(void(cell))
        first.setdefault(cell._replace(**unsaid), cell)
    return list(first.values())


def void(cell: Cell) -> tuple[str, ...]:
    """What says nothing there: without shots none are selected, and one has no order."""
    return () if cell.shots > 1 else ("order",) if cell.shots else ("selection", "order")


def without_seed(cell: Cell) -> dict[str, Any]:
    fields = cell._asdict()
    del fields["seed"]
    return fields
