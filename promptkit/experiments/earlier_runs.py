"""Runs of earlier versions: what `comparison.json` had in another form, in the form of today.

Fields that were missing and have a default are left to it. What is no comparison at all passes
unchanged: it is checked afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from promptkit.evaluation.intervals import holm
from promptkit.evaluation.results import Row


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return `comparison.json` of any version with the fields of this one."""
    changes: dict[str, Callable[[Any], Any]] = {
        "rows": lambda row: _with_figures(_with_fixed_intervals(row)),
        "pairs": _with_fixed_intervals,
        "confusion": _sparse,
        "field_confusion": _sparse,
    }
    lists = {
        name: [change(one) if isinstance(one, dict) else one for one in data[name]]
        for name, change in changes.items()
        if isinstance(data.get(name), list)
    }
    if "pairs" in lists:
        lists["pairs"] = _corrected(lists["pairs"])
    if isinstance(data.get("slices"), list):
        lists["slices"] = [_with_rows(one) for one in data["slices"]]
    return {**data, **lists}


def _with_rows(slicing: Any) -> Any:
    """Return the slices of a column with rows as `Row` has them."""
    try:
        parts = [
            {**part, "rows": [_with_figures(row) for row in part["rows"]]}
            for part in slicing["slices"]
        ]
    except (KeyError, TypeError):
        return slicing
    return {**slicing, "slices": parts}


def _with_fixed_intervals(value: dict[str, Any]) -> dict[str, Any]:
    """Return a row or a pair with two intervals; the only one of old was for these shots."""
    for name in ("accuracy_ci", "ci"):
        if name in value and f"{name}_fixed" not in value:
            value = {**value, f"{name}_fixed": value[name], name: None}
            if "p" in value:
                value |= {"p_fixed": value["p"], "p": None}
    return value


def _with_figures(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the metrics that are no fields of it in one, as `Row` has them."""
    known = {one.name for one in fields(Row)}
    names = [name for name in row if f"{name}_ci_fixed" in row and name not in known]
    parts = {"value": "", "ci": "_ci", "ci_fixed": "_ci_fixed"}
    figures = {
        name: {part: row[name + suffix] for part, suffix in parts.items() if name + suffix in row}
        for name in names
    }
    return {**row, "figures": figures}


def _corrected(pairs: list[Any]) -> list[Any]:
    """Return pairs with p-values corrected for their number, and with verdicts."""
    if all(isinstance(pair, dict) and "p_holm" in pair for pair in pairs):
        return pairs
    try:
        ps = holm([pair["p_fixed"] if pair["p"] is None else pair["p"] for pair in pairs]).tolist()
    except (KeyError, TypeError, ValueError):
        return pairs
    return [{"p_holm": p, "verdict": "", **pair} for p, pair in zip(ps, pairs, strict=True)]


def _sparse(matrix: dict[str, Any]) -> dict[str, Any]:
    """Return a confusion matrix without its zeros, which are most of it with many labels."""
    rows, labels = matrix.get("counts"), matrix.get("labels")
    if isinstance(rows, list) and isinstance(labels, list):
        rows = [
            [pair for pair in enumerate(row) if pair[1]] if _is_dense(row, len(labels)) else row
            for row in rows
        ]
    return {**matrix, "answers": rows}


def _is_dense(row: object, size: int) -> bool:
    return isinstance(row, list) and len(row) == size and all(type(count) is int for count in row)
