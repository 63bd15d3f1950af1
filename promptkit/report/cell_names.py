"""Cells of a comparison in JSON: their levels, their names, and a choice of a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW, levels_of
from promptkit.text import counted, file_name, visible
from promptkit.translation import tr

Data = Mapping[str, Any]
Records = Sequence[Data]

Group = TypeVar("Group")

Key = tuple[Any, ...]
"""Levels of a cell, as `levels_of` returns them."""


_MODEL, _TEMPLATE = FACTORS.index("model"), FACTORS.index("template")


def has_prompt(cell: Data) -> bool:
    """Return whether a cell has prompts; without, only its model tells it from others."""
    return cell.get("template") != NO_PROMPT


class CellNames:
    """Short names that tell the cells of a comparison apart."""

    def __init__(self, cells: Sequence[Data]) -> None:
        keys = dict.fromkeys(map(levels_of, cells))
        prompted = [key for key in keys if key[_TEMPLATE] != NO_PROMPT] or [*keys]
        self._values = [[*dict.fromkeys(key[i] for key in keys)] for i in range(len(FACTORS))]
        self.factors = varied(prompted)
        """Factors of which the cells with prompts have more than one level, by their number."""

    def of(self, key: Key, factors: Sequence[int] | None = None, limit: int = 60) -> str:
        """Return a cell's levels of some factors, by default of all that tell cells apart."""
        if key[_TEMPLATE] == NO_PROMPT:
            return self.level(_MODEL, key[_MODEL], limit) if factors is None else ""
        chosen = self.factors if factors is None else factors
        room = max(12, limit // max(1, len(chosen)))
        return " · ".join(self.level(i, key[i], room) for i in chosen)

    def level(self, factor: int, value: str, room: int = 60) -> str:
        """Return one level, cut to `room` characters; levels that then look alike get a number."""
        cut = visible(level_name(factor, value), room)
        values = self._values[factor]
        if sum(visible(level_name(factor, other), room) == cut for other in values) < 2:
            return cut
        number = f" ({values.index(value) + 1})"
        return visible(level_name(factor, value), room - len(number)) + number

    def with_shots(self, cell: Data, factors: Sequence[int] | None = None) -> str:
        """Return a cell's number of shots, and what else tells it from the others."""
        rest = self.of(levels_of(cell), factors)
        if not has_prompt(cell):
            return rest or self.of(levels_of(cell))
        return f"{counted(cell['shots'], 'shot', 'shots')}{' · ' + rest if rest else ''}"

    def held(self, one: Data) -> str:
        """Return the levels that several cells share; a factor that varies among them is None."""
        key = levels_of(one)
        factors = [i for i in self.factors if key[i] is not None]
        return self.of(key, factors, 44) if factors else ""

    def place(self, one: Data) -> str:
        """Return the number of shots of several cells, and the levels that they share."""
        held = self.held(one)
        return f"{counted(one['shots'], 'shot', 'shots')}{' · ' + held if held else ''}"


def varied(keys: Iterable[Key]) -> list[int]:
    """Return the factors, by number, of which the keys have more than one level."""
    return [i for i, values in enumerate(zip(*keys, strict=True)) if len({*values}) > 1]


def level_name(factor: int, value: str) -> str:
    """Return a level's name: a model's file without its folders, `raw` for no calibration."""
    if FACTORS[factor] == "model":
        return file_name(value)
    return tr("raw") if FACTORS[factor] == "calibration" and value == RAW else value


def aggregates(data: Data) -> list[Data]:
    """Return the rows over all seeds."""
    return [row for row in data["rows"] if row["seed"] is None]


def grouped(rows: Iterable[Data], key: Callable[[Data], Group]) -> dict[Group, list[Data]]:
    """Return the rows by their key, in the order of the first row of each."""
    groups: dict[Group, list[Data]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def by_draw(data: Data) -> dict[tuple[Key, int], list[float]]:
    """Return the metric of a comparison for each seed, by cell and number of shots."""
    drawn = (row for row in data["rows"] if row["seed"] is not None)
    groups = grouped(drawn, lambda row: (levels_of(row), row["shots"]))
    name = data["metric"]
    return {
        cell: [row[name] for row in rows if row.get(name) is not None]
        for cell, rows in groups.items()
    }


def fewest_and_most(cells: Sequence[Data]) -> list[Data]:
    """Return the cells, those with the fewest and the most shots before all others.

    Cells without a prompt are the last.
    """
    counts = [cell["shots"] for cell in cells if has_prompt(cell)] or [0]
    ends = min(counts), max(counts)
    return sorted(cells, key=lambda cell: (not has_prompt(cell), cell["shots"] not in ends))


def few(cells: Sequence[Data], most: int) -> list[Data]:
    """Return up to `most` cells in their order, preferring the fewest and the most shots."""
    chosen = {id(cell) for cell in fewest_and_most(cells)[:most]}
    return [cell for cell in cells if id(cell) in chosen]
