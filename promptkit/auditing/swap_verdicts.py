"""Sentences on swapped terms: what is significant, and what these sentences could have seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptkit.auditing.swap_results import (
    Ends,
    SlotSwaps,
    SwapAudit,
    SwapMeasure,
    TermEffect,
    TermSwaps,
)
from promptkit.text import (
    capital,
    counted,
    listed,
    number,
    p_value,
    percent,
    places,
    plain,
    points,
    quoted,
    signed,
)
from promptkit.translation import tr

SHOWN = 6
"""Number of significant effects of a slot that are told one by one."""


def said(audit: SwapAudit, slot: SlotSwaps) -> Iterator[str]:
    """Yield sentences on a slot: its flips, its significant effects, and the power of the audit.

    Args:
        audit: The audit.
        slot: A slot of it.
    """
    yield _flips(audit.measure, slot)
    for kind, rows in (("group", slot.groups), ("term", slot.terms)):
        yield from _effects(audit, slot, kind, rows)
    if slot.detectable is not None and audit.comparisons:
        size = amount(audit.measure, slot.detectable)
        many = counted(audit.comparisons, "comparison", "comparisons")
        yield tr(
            "{sentences} find a true effect of one term of about {size} (power 0.8, "
            "corrected for {many}).",
            sentences=counted(slot.sentences, "sentence", "sentences"),
            size=size,
            many=many,
        )


def amount(measure: SwapMeasure, value: float) -> str:
    """Return the size of a change: `4 points`, `0.31`."""
    if measure == "value":
        return plain(value, places(value))
    return points(value, 1 if abs(value) < 0.0095 else 0)


def change(measure: SwapMeasure, delta: float, ends: Ends | None) -> str:
    """Return a difference with its sign and interval: `+12 [+8, +16]`."""
    if measure == "value":
        digits = places(ends[1] - ends[0]) if ends else places(abs(delta))
        shown = [plain(one, digits, "+") for one in (delta, *(ends or ()))]
    else:
        near = ends is not None and ends[1] - ends[0] < 0.04
        shown = [signed(one, int(near)) for one in (delta, *(ends or ()))]
    return shown[0] + (f" [{shown[1]}, {shown[2]}]" if ends else "")


def share(value: float, ends: Ends | None) -> str:
    """Return a share with its interval: `12 % [8, 17]`."""
    return percent(value) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")


def subject(effect: TermEffect, measure: SwapMeasure) -> str:
    """Return what an effect is about: `P(toxic)`, `the answer`."""
    if effect.label is None:
        return tr("the answer")
    name = quoted(effect.label, 24)
    return (
        f"P({effect.label})" if measure == "probability" else tr("the share of {name}", name=name)
    )


def _flips(measure: SwapMeasure, slot: SlotSwaps) -> str:
    flips = tr(
        "{slot}: {share} of labels flip", slot=slot.slot, share=share(slot.flips, slot.flips_ci)
    )
    if slot.change is None or slot.worst is None:
        return f"{capital(flips)}."
    what = tr("the answer") if measure == "value" else tr("the probability of a label")
    mean, worst = amount(measure, slot.change), amount(measure, slot.worst)
    return tr(
        "{flips}; {what} changes by {mean} on average, and by {worst} at worst.",
        flips=capital(flips),
        what=what,
        mean=mean,
        worst=worst,
    )


def _effects(
    audit: SwapAudit, slot: SlotSwaps, kind: str, rows: Sequence[TermSwaps]
) -> Iterator[str]:
    tested = [(row, effect) for row in rows for effect in row.effects]
    found = [(row, effect) for row, effect in tested if effect.significant]
    if len(rows) == 2:  # one is the other with its sign turned
        found = [pair for pair in found if pair[0] is rows[0]]
    found.sort(key=lambda pair: -abs(pair[1].delta))
    for row, effect in found[:SHOWN]:
        delta = change(audit.measure, effect.delta, effect.ci)
        unit = "" if audit.measure == "value" else tr(" points")
        rest = tr("the other groups") if kind == "group" else tr("the other terms")
        others = quoted(rows[1].name, 24) if len(rows) == 2 else rest
        of = tr("terms of ") if kind == "group" else ""
        p = "" if effect.p_holm is None else tr(" (Holm-adjusted {p})", p=p_value(effect.p_holm))
        yield tr(
            "{what} with {of}{name} against {others}: {delta}{unit}, significant{p}.",
            what=capital(subject(effect, audit.measure)),
            of=of,
            name=quoted(row.name, 24),
            others=others,
            delta=delta,
            unit=unit,
            p=p,
        )
    if found[SHOWN:]:
        names = [quoted(row.name, 24) for row, _ in found[SHOWN : SHOWN + 3]]
        more = [tr("{count} more", count=len(found) - SHOWN - 3)] if found[SHOWN + 3 :] else []
        yield tr("Significant effects too: {names}.", names=listed([*names, *more]))
    if tested and not found:
        group = tr("No group of {slot} has a significant effect.", slot=slot.slot)
        term = tr("No term of {slot} has a significant effect.", slot=slot.slot)
        yield group if kind == "group" else term
