"""Rationales before answers: what they rule out, and how many were cut."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.errors import TaskError
from promptkit.inference.batch import CellRequests
from promptkit.models.base import Generation
from promptkit.text import counted, listed

WITHOUT_PROBES = ("batch", "by_byte", "by_token")
"""Methods of calibration that ask nothing besides the queries."""


def usable(
    methods: Sequence[str], cells: Sequence[CellRequests], *, lenient: bool
) -> tuple[tuple[str, ...], list[str]]:
    """Return the methods of calibration that answers after rationales may have.

    Args:
        methods: The methods that are asked for.
        cells: The requests of every cell, before any rationale is generated.
        lenient: Whether other methods are left out, and the reason returned.

    Raises:
        TaskError: A method asks other inputs too, for which there is no rationale.
    """
    asked = any(cell.rationales or _ask(cell) for cell in cells)
    others = [name for name in methods if name not in WITHOUT_PROBES]
    if not asked or not others:
        return tuple(methods), []
    reason = "a template asks for a rationale, and the prompts that they add have none"
    if not lenient:
        raise TaskError(
            f"calibration {listed(others)}: {reason}; choose batch for labels, by_byte or by_token "
            "for options, or none"
        )
    kept = tuple(name for name in methods if name in WITHOUT_PROBES)
    return kept, [f"{', '.join(others)} left out: {reason}"]


def _ask(cell: CellRequests) -> bool:
    return any(one.prompt.asks_rationale for one in cell.requests)


def cut_off(cells: Sequence[CellRequests]) -> list[str]:
    """Return a warning of rationales that were cut at their budget of tokens, if any were."""
    every = [one for cell in cells for one in cell.rationales if isinstance(one, Generation)]
    cut = sum(one.finish == "length" for one in every)
    if not cut:
        return []
    return [
        f"{cut:,} of {counted(len(every), 'rationale')} were cut at their budget of tokens, and "
        "their answers asked after them all the same; allow more of them (rationale_tokens)"
    ]
