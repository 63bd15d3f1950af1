"""What a paired difference is called, and what it comes to."""

from __future__ import annotations

from promptkit.inference.cell import FACTORS, levels_of
from promptkit.report.cell_names import Data, Names
from promptkit.report.terminal import surely
from promptkit.text import counted

VERDICTS = ("better", "worse", "cannot tell")
"""What a paired difference comes to."""


def verdict(pair: Data) -> str:
    """Whether b is better than a."""
    return ("cannot tell", "better", "worse")[surely(pair)]


def compared(pair: Data, names: Names, limit: int = 40) -> tuple[str, str]:
    """The two cells of a pair in a few words: what differs, and what both have in common."""
    what, room = kind(pair), limit // 2
    a, b = levels_of(pair["a"]), levels_of(pair["b"])
    shots = counted(pair["b"]["shots"], "shot")
    others = names.of(b, [i for i in names.factors if FACTORS[i] != what], limit)
    if what == "shots":
        return f"{pair['a']['shots']} → {shots}", others
    at = FACTORS.index(what)
    main = f"{names.value(at, a[at], room)} → {names.value(at, b[at], room)}"
    return main, f"{shots} · {others}" if others else shots


def kind(pair: Data) -> str:
    """What the two cells of a pair differ in."""
    a, b = levels_of(pair["a"]), levels_of(pair["b"])
    return next((n for n, x, y in zip(FACTORS, a, b, strict=True) if x != y), "shots")
