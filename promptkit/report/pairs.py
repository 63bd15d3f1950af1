"""What a paired difference is called, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.report import grid
from promptkit.report.grid import Data
from promptkit.report.terminal import FACTORS, counted, grid_line, visible

VERDICTS = ("better", "worse", "cannot tell")
"""What a paired difference comes to."""


def verdict(pair: Data) -> str:
    """Whether b is better than a: by the corrected p-value where there is one."""
    low, high = pair["ci"]
    sure = pair["p_holm"] < 0.05 if "p_holm" in pair else low > 0 or high < 0
    if not sure:
        return "cannot tell"
    return "better" if pair["delta"] > 0 else "worse"


def compared(pair: Data, factors: Sequence[int], limit: int = 44) -> str:
    """The two cells of a pair in a few words: what differs, then what both have in common."""
    room = limit // 3
    what = kind(pair)
    a, b = pair["a"], pair["b"]
    if what == "shots":
        main = f"{a['shots']} → {counted(b['shots'], 'shot')}"
    else:
        at = FACTORS.index(what)
        before, after = (grid.said(at, grid_line(cell)[at]) for cell in (a, b))
        main = f"{visible(before, room)} → {visible(after, room)}, {counted(b['shots'], 'shot')}"
    others = [i for i in factors if FACTORS[i] != what]
    return f"{main} · {grid.name(grid_line(b), others, room)}" if others else main


def kind(pair: Data) -> str:
    """What the two cells of a pair differ in."""
    a, b = grid_line(pair["a"]), grid_line(pair["b"])
    return next((n for n, x, y in zip(FACTORS, a, b, strict=True) if x != y), "shots")
