"""The cells of a comparison by what tells them apart, for charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptkit.report.terminal import FACTORS, counted, grid_line, visible

Data = Mapping[str, Any]
Key = tuple[str, ...]
"""What a cell is made of, besides its shots and its seed: a value for each of `FACTORS`."""

RAW = "none"


def varied(cells: Sequence[Data]) -> list[int]:
    """The factors of which there is more than one value."""
    keys = {grid_line(cell) for cell in cells}
    return [i for i in range(len(FACTORS)) if len({one[i] for one in keys}) > 1]


def name(of: Key, factors: Sequence[int], limit: int = 60) -> str:
    """What tells a cell from the others, every part of it short enough to leave room for all."""
    room = max(12, limit // max(1, len(factors)))
    return " · ".join(visible(said(i, of[i]), room) for i in factors)


def titled(cell: Data, factors: Sequence[int]) -> str:
    """A cell's shots, and what else tells it from the others."""
    rest = name(grid_line(cell), factors)
    return f"{counted(cell['shots'], 'shot')}{' · ' + rest if rest else ''}"


def said(factor: int, value: str) -> str:
    """A value as people read it: a model's file without its folders, no calibration as raw."""
    if FACTORS[factor] == "model" and value.endswith(".gguf"):
        return value.rpartition("/")[2]
    if FACTORS[factor] == "calibration" and value == RAW:
        return "raw"
    return value


def whole(data: Data) -> list[Data]:
    """The rows over all seeds."""
    return [row for row in data["rows"] if row["seed"] is None]


def draws(data: Data) -> dict[tuple[Key, int], int]:
    """How many seeds a row over all seeds is made of."""
    counts: dict[tuple[Key, int], int] = {}
    for row in data["rows"]:
        if row["seed"] is not None:
            place = grid_line(row), row["shots"]
            counts[place] = counts.get(place, 0) + 1
    return counts
