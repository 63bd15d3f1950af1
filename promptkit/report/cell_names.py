"""The cells of a comparison by what tells them apart, for charts and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptkit.inference.cell import FACTORS, RAW, levels_of
from promptkit.text import counted, file_name, visible

Data = Mapping[str, Any]
Key = tuple[str, ...]
"""What a cell is made of, besides its shots and its seed: a value for each of `FACTORS`."""


class Names:
    """What tells cells apart, in a few words that no two of them share."""

    def __init__(self, cells: Sequence[Data]) -> None:
        keys = dict.fromkeys(map(levels_of, cells))
        self._values = [[*dict.fromkeys(key[i] for key in keys)] for i in range(len(FACTORS))]
        self.factors = [i for i, values in enumerate(self._values) if len(values) > 1]
        """Those of which there is more than one value, by their number."""

    def of(self, key: Key, factors: Sequence[int] | None = None, limit: int = 60) -> str:
        """A cell's values of some factors, by default of all that tell cells apart."""
        chosen = self.factors if factors is None else factors
        room = max(12, limit // max(1, len(chosen)))
        return " · ".join(self.value(i, key[i], room) for i in chosen)

    def value(self, factor: int, value: str, room: int = 60) -> str:
        """One value, cut to leave room for others; those that then look alike are numbered."""
        cut = visible(said(factor, value), room)
        values = self._values[factor]
        if sum(visible(said(factor, other), room) == cut for other in values) < 2:
            return cut
        number = f" ({values.index(value) + 1})"
        return visible(said(factor, value), room - len(number)) + number

    def with_shots(self, cell: Data, factors: Sequence[int] | None = None) -> str:
        """A cell's shots, and what else tells it from the others."""
        rest = self.of(levels_of(cell), factors)
        return f"{counted(cell['shots'], 'shot')}{' · ' + rest if rest else ''}"

    def held(self, one: Data) -> str:
        """What the cells have in common that something is said of together; what varies is None."""
        key = levels_of(one)
        factors = [i for i in self.factors if key[i] is not None]
        return self.of(key, factors, 44) if factors else ""

    def place(self, one: Data) -> str:
        """Their shots, and what they have in common."""
        held = self.held(one)
        return f"{counted(one['shots'], 'shot')}{' · ' + held if held else ''}"


def varied(keys: Iterable[Key]) -> list[int]:
    """The factors of which some cells have more than one value."""
    columns = zip(*keys, strict=True)
    return [i for i, values in enumerate(columns) if len({*values}) > 1]


def said(factor: int, value: str) -> str:
    """A value as people read it: a model's file without its folders, no calibration as raw."""
    if FACTORS[factor] == "model":
        return file_name(value)
    return "raw" if FACTORS[factor] == "calibration" and value == RAW else value


def whole(data: Data) -> list[Data]:
    """The rows over all seeds."""
    return [row for row in data["rows"] if row["seed"] is None]


def by_draw(data: Data) -> dict[tuple[Key, int], list[float]]:
    """The accuracies of the single seeds that a row over all seeds is made of."""
    accuracies: dict[tuple[Key, int], list[float]] = {}
    for row in data["rows"]:
        if row["seed"] is not None:
            accuracies.setdefault((levels_of(row), row["shots"]), []).append(row["accuracy"])
    return accuracies


def draws(data: Data) -> dict[tuple[Key, int], int]:
    """How many seeds a row over all seeds is made of."""
    return {place: len(accuracies) for place, accuracies in by_draw(data).items()}


def fewest_and_most(cells: Sequence[Data]) -> list[Data]:
    """Cells with the fewest and the most shots before all others, in their order."""
    counts = [cell["shots"] for cell in cells]
    return sorted(cells, key=lambda cell: cell["shots"] not in (min(counts), max(counts)))


def few(cells: Sequence[Data], most: int) -> list[Data]:
    """Up to `most` cells in their order, those with the fewest and the most shots before others."""
    chosen = {id(cell) for cell in fewest_and_most(cells)[:most]}
    return [cell for cell in cells if id(cell) in chosen]
