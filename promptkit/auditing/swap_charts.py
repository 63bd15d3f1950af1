"""Charts of swapped terms: a dot and an interval for each term."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from promptkit.auditing.swap_blocks import title_of_slot
from promptkit.auditing.swap_results import (
    Ends,
    SlotSwaps,
    SwapAudit,
    TermEffect,
    TermSwaps,
)
from promptkit.auditing.swap_verdicts import subject
from promptkit.report.charts.panels import Panel, interval_row, intervals
from promptkit.text import capital, counted, number, places, plain, signed, visible
from promptkit.translation import tr

MOST = 16
"""Largest number of terms in one panel."""

NAME = 60
"""Largest number of characters of a term in a chart."""


def swap_panels(audit: SwapAudit) -> dict[str, list[Panel]]:
    """Return the panels of each slot, by the title of its table.

    Args:
        audit: The audit of swaps.
    """
    return {title_of_slot(slot): [*_panels(audit, slot)] for slot in audit.slots}


def _panels(audit: SwapAudit, slot: SlotSwaps) -> Iterator[Panel]:
    rows = [*slot.groups, *slot.terms][:MOST]
    yield from _flips(slot, rows)
    effects = slot.terms[0].effects if slot.terms else ()
    label = audit.label if audit.label is not None else effects[0].label if effects else None
    yield from _effects(audit, slot, rows, label)


def _flips(slot: SlotSwaps, rows: Sequence[TermSwaps]) -> Iterator[Panel]:
    shown = [
        interval_row(
            _name(one, slot), _about(one), one.flips, one.flips_ci, number, "not significant"
        )
        for one in rows
        if one.flips_ci is not None
    ]
    if shown:
        title = tr("labels that flip, in percent")
        yield Panel(
            tr("labels that flip"), intervals(shown, title), _said(tr("Labels that flip"), shown)
        )


def _effects(
    audit: SwapAudit, slot: SlotSwaps, rows: Sequence[TermSwaps], label: str | None
) -> Iterator[Panel]:
    """Yield the panel of the differences that terms make to one label, or to the number."""
    found: list[tuple[TermSwaps, TermEffect]] = [
        (one, effect) for one in rows for effect in one.effects if effect.label == label
    ]
    number_like = audit.measure == "value"
    shown = []
    for one, effect in found:
        if effect.ci is None:
            continue
        digits = places(effect.ci[1] - effect.ci[0])
        write = partial(plain, digits=digits, sign="+") if number_like else _points(effect.ci)
        verdict = "" if effect.significant else "not significant"
        unit = 1 if number_like else 100
        shown.append(
            interval_row(
                _name(one, slot), _about(one), effect.delta, effect.ci, write, verdict, unit
            )
        )
    if not shown:
        return
    about = visible(subject(found[0][1], audit.measure), NAME)
    title = (
        tr("{about} against the others", about=about)
        if number_like
        else tr("{about} against the others, in points", about=about)
    )
    chart = intervals(shown, title, signs="+~g" if number_like else "+d")
    yield Panel(tr("{about} against the others", about=about), chart, _said(capital(title), shown))


def _points(ends: Ends) -> Callable[[float], str]:
    """Return what writes points, with a decimal where the interval is narrow."""
    return partial(signed, digits=int(ends[1] - ends[0] < 0.04))


def _name(one: TermSwaps, slot: SlotSwaps) -> str:
    return visible(tr("all {name}", name=one.name) if one in slot.groups else one.name, NAME)


def _about(one: TermSwaps) -> str:
    return counted(one.sentences, "sentence", "sentences")


def _said(title: str, rows: Sequence[dict[str, Any]]) -> str:
    return f"{title}. " + "; ".join(f"{row['name']}: {row['number']}" for row in rows) + "."
