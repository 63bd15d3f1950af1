"""Factors of a comparison, and the cell: one combination of them.

`Cell` alone defines the factors. Rows and predictions inherit its fields, so one more field here is
one more factor in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from promptkit.selection.orders import DEFAULT
from promptkit.selection.strategies import is_seeded
from promptkit.tasks.languages import OWN
from promptkit.tasks.verbalizers import LABELS
from promptkit.text import counted, file_name, visible
from promptkit.translation import mark, tr

NO_PROMPT = "no prompt"
"""Template and selection of a predictor that has no prompt."""

RAW = "none"
"""Calibration of what is not calibrated."""


def factor(
    default: Any = MISSING,
    *,
    noun: str = "",
    said: str = "",
    unset: str = "",
    title: str = "",
    min_shots: int | None = 0,
    swept: bool = False,
) -> Any:
    """Return a field of `Cell` that is a factor.

    Args:
        default: The level where nothing is chosen; required without one.
        noun: What a level is called; the factor's name by default.
        said: A level in words, such as "{} calibration"; the noun and the level by default.
        unset: The default level in words, where it differs from `said`.
        title: A level in a title, such as "{} shots"; as in a sentence by default.
        min_shots: The fewest shots with which another level can change a prompt; None for a factor
            that acts outside of the prompt.
        swept: Whether its levels are a source of variance, estimated with all else held.
    """
    names = ("noun", "said", "unset", "title", "min_shots", "swept")
    return field(
        default=default,
        metadata=dict(zip(names, (noun, said, unset, title, min_shots, swept), strict=True)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of the factors of a comparison.

    A factor is None where a value is about several of its levels: all seeds together, or those
    that a variance is estimated among.

    Example:
        >>> cell = Cell(model="smollm2", template="colon.j2", selection="balanced", shots=4)
        >>> describe(cell)
        'smollm2 · colon.j2 · balanced shots · 4 shots'
    """

    model: str = factor(title="{}", min_shots=None)
    """Name of the model."""
    template: str | None = factor(title="{}", swept=True)
    """Name of the template."""
    language: str | None = factor(OWN)
    """Language of the prompt, or those of its parts (`Languages.name`)."""
    selection: str = factor(title=mark("{} shots"), min_shots=1)
    """Name of the selection of shots."""
    order: str | None = factor(DEFAULT, min_shots=2, swept=True)
    """Name of the order of shots."""
    verbalizer: str | None = factor(LABELS, swept=True)
    """Name of the verbalizer."""
    calibration: str = factor(
        RAW, said=mark("{} calibration"), unset=mark("no calibration"), min_shots=None
    )
    """Method of calibration."""
    shots: int = field()
    """Number of shots."""
    seed: int | None = factor(None, noun="draw", min_shots=1, swept=True)
    """Seed of the draw of shots."""

    @property
    def cell(self) -> Cell:
        """Cell alone, without the other fields of a row or a prediction."""
        return self.at()

    @property
    def predictor(self) -> str:
        """Return `prompt`, or the name of what answers without one."""
        return self.model if self.template == NO_PROMPT else "prompt"

    @property
    def is_drawn(self) -> bool:
        """Dependence of the shots on the seed, by the selection."""
        return self.shots > 0 and is_seeded(self.selection)

    @property
    def idle(self) -> tuple[str, ...]:
        """Factors that cannot change the prompt at this shot count."""
        if self.template == NO_PROMPT:
            return (*MIN_SHOTS, "shots")
        return tuple(name for name, least in MIN_SHOTS.items() if self.shots < least)

    def at(self, **levels: Any) -> Cell:
        """Return the cell with other levels of some factors."""
        return Cell(**(self.factors() | levels))

    def factors(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return the levels by the name of the factor, of all factors by default."""
        return {name: getattr(self, name) for name in names or FIELDS}


_NOUNS = (
    *(mark("model"), mark("template"), mark("language"), mark("selection"), mark("order")),
    *(mark("verbalizer"), mark("calibration"), mark("draw")),
)
"""What sentences call the factors."""

FIELDS = tuple(one.name for one in fields(Cell))
"""Every factor, with the number of shots and the seed."""

_FACTORS: Mapping[str, Mapping[str, Any]] = {
    one.name: one.metadata for one in fields(Cell) if one.metadata
}

FACTORS = tuple(name for name in _FACTORS if name != "seed")
"""Factors along whose levels the number of shots grows."""

DEFAULTS: Mapping[str, Any] = {
    one.name: one.default for one in fields(Cell) if one.default is not MISSING
}
"""Levels where nothing is chosen."""

SWEPT = tuple(name for name, one in _FACTORS.items() if one["swept"])
"""Factors whose levels are a source of variance."""

MIN_SHOTS: Mapping[str, int] = {
    name: one["min_shots"] for name, one in _FACTORS.items() if one["min_shots"] is not None
}
"""The fewest shots with which another level of a factor can change a prompt."""


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells whose prompts can differ, of equal ones the first."""
    first: dict[Cell, Cell] = {}
    for cell in cells:
        first.setdefault(cell.at(**dict.fromkeys(cell.idle)), cell)
    return list(first.values())


def levels_of(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the levels of `FACTORS` of a cell in JSON, defaults where they are missing."""
    return tuple([cell.get(name, DEFAULTS.get(name)) for name in FACTORS])


def noun(factor: str) -> str:
    """Return what a level of a factor is called: `draw` for a seed."""
    return tr(_FACTORS.get(factor, {}).get("noun") or factor)


def bare(factor: str, level: object) -> str:
    """Return a level beside another one of the same factor: `0`, `colon.j2`, `no calibration`."""
    said = _FACTORS.get(factor, {})
    if said.get("unset") and level == DEFAULTS[factor]:
        return tr(str(said["unset"]))
    text = visible(file_name(str(level)) if factor == "model" else level, 60)
    return tr(str(said["said"])).format(text) if said.get("said") else text


def named(factor: str, level: object) -> str:
    """Return a level as a sentence calls it: `8 shots`, `template colon.j2`, `order 2/4`."""
    if factor == "shots":
        return counted(int(str(level)), "shot", "shots")
    text = bare(factor, level)
    said = _FACTORS.get(factor, {}).get("said")
    return text if said or text.startswith(f"{noun(factor)} ") else f"{noun(factor)} {text}"


def titled(levels: Mapping[str, Any]) -> list[str]:
    """Return levels as a title calls them, without defaults: `colon.j2`, `balanced shots`."""
    return [
        tr(_FACTORS.get(name, {}).get("title", "")).format(bare(name, level)) or named(name, level)
        for name, level in levels.items()
        if level not in (DEFAULTS.get(name), NO_PROMPT)
    ]


def line_title(levels: Sequence[Any], factors: Sequence[int] = range(len(FACTORS))) -> list[str]:
    """Return `levels_of` a cell as a title calls them, those of some factors by their number."""
    return titled({FACTORS[i]: levels[i] for i in factors})


def describe(cell: Cell) -> str:
    """Return a cell in words, without the factors that are at their default."""
    return " · ".join(titled(cell.factors((*FACTORS, "shots"))))
