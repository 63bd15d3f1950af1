"""Paired differences: their significance, and short names for the two cells."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.inference.cell import FACTORS, levels_of
from promptkit.report.cell_names import CellNames, Data, Key, has_prompt
from promptkit.report.interval_text import ends_of
from promptkit.text import counted
from promptkit.translation import mark

ALPHA = 0.05
"""Largest p-value of a significant difference."""


def direction(pair: Data, metric: Metric = ACCURACY) -> int:
    """Return 1 where b is significantly better, -1 where it is worse, 0 where neither.

    The corrected p-value and the interval have to agree.
    """
    low, high = ends_of(pair)
    if pair["p_holm"] > ALPHA:
        return 0
    return metric.sign * (1 if low > 0 else -1 if high < 0 else 0)


_VERDICTS = (mark("not significant"), mark("better"), mark("worse"))


def verdict(pair: Data, metric: Metric = ACCURACY) -> str:
    """Return `better` or `worse`, for b against a, or `not significant`."""
    return _VERDICTS[direction(pair, metric)]


def changes_of(pairs: Sequence[Data], key: Key) -> dict[int, Data]:
    """Return the pair of each number of shots with the number before it, all else equal."""
    along = [pair for pair in pairs if levels_of(pair["a"]) == levels_of(pair["b"]) == key]
    along.sort(key=lambda pair: int(pair["a"]["shots"]))
    return {pair["b"]["shots"]: pair for pair in along}


def compared(pair: Data, names: CellNames, limit: int = 40) -> tuple[str, str]:
    """Return the factor in which the cells of a pair differ with both levels, and the rest."""
    factor, room = factor_of(pair), limit // 2
    a, b = levels_of(pair["a"]), levels_of(pair["b"])
    prompt = pair["b"] if has_prompt(pair["b"]) else pair["a"]
    shots = counted(prompt["shots"], "shot", "shots")
    rest = [i for i in names.factors if FACTORS[i] != factor]
    others = names.of(levels_of(prompt), rest, limit)
    if factor == "shots":
        return f"{pair['a']['shots']} → {shots}", others
    at = FACTORS.index(factor)
    main = f"{names.level(at, a[at], room)} → {names.level(at, b[at], room)}"
    return main, f"{shots} · {others}" if others else shots


def factor_of(pair: Data) -> str:
    """Return the factor in which the two cells of a pair differ."""
    a, b = levels_of(pair["a"]), levels_of(pair["b"])
    return next((n for n, x, y in zip(FACTORS, a, b, strict=True) if x != y), "shots")
