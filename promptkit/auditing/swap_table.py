"""Tables of swapped terms in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from promptkit.auditing.swap_results import SlotSwaps, SwapAudit, SwapFilling, SwapItem, TermSwaps
from promptkit.auditing.swap_verdicts import amount, change, said, share, subject
from promptkit.report.conclusions import item
from promptkit.report.rich_tables import table, titled
from promptkit.terminal_text import TextTable
from promptkit.text import counted, percent, plain, shown, visible
from promptkit.translation import tr

MOST_TERMS = 16
"""Largest number of terms of a slot that are listed."""

MOST_LABELS = 2
"""Largest number of labels whose effects have a column each."""

MOST_ITEMS = 6
"""Number of the worst items that are shown."""


def swap_tables(audit: SwapAudit, width: int = 110) -> Iterator[RenderableType]:
    """Yield the tables of an audit: each slot with its terms, the worst items, and the notes.

    Args:
        audit: The audit.
        width: Width in characters.
    """
    for slot in audit.slots:
        sentences = counted(slot.sentences, "sentence", "sentences")
        terms = counted(len(slot.terms), "term", "terms")
        yield titled(
            tr(
                "Swaps of {slot} · {model} · {sentences} · {terms}",
                slot=slot.slot,
                model=audit.model,
                sentences=sentences,
                terms=terms,
            )
        )
        yield _terms(audit, slot, width)
        if len(slot.terms) > MOST_TERMS:
            yield Text(tr("… and {count} more", count=len(slot.terms) - MOST_TERMS), "dim")
        yield from map(item, said(audit, slot))
        yield ""
    if audit.items:
        yield titled(tr("The worst items"))
        yield _items(audit, width)
        if len(audit.items) > MOST_ITEMS:
            yield Text(tr("… and {count} more", count=len(audit.items) - MOST_ITEMS), "dim")
        yield ""
    for note in audit.notes:
        yield item(note, "dim", "–")
    yield Text(
        tr(
            "Brackets are 95 % intervals for new sentences. A swap is a diagnostic, "
            "not proof: it shows what other terms change in these sentences."
        ),
        "dim",
    )


def _terms(audit: SwapAudit, slot: SlotSwaps, width: int) -> TextTable:
    """Return the groups, then the terms with the largest effects."""
    labels = [effect.label for effect in (slot.terms[0].effects if slot.terms else ())]
    columns = _columns(audit, slot, labels)
    changed = slot.change is not None
    made = table(
        slot.slot,
        tr("sentences:"),
        tr("flips:"),
        *([tr("mean change:"), tr("worst:")] if changed else []),
        *(f"{name}:" for name in columns),
    )
    rows = [*slot.groups, *sorted(slot.terms, key=_size)[:MOST_TERMS]]
    for row in rows:
        grouped = row in slot.groups
        name = visible(row.name, max(width // 5, 12))
        cells = [Text(tr("all {name}", name=name) if grouped else name, "bold" if grouped else "")]
        cells += [Text(f"{row.sentences:,}"), Text(share(row.flips, row.flips_ci))]
        if changed:
            cells += [_amount(audit, row.change), _amount(audit, row.worst)]
        made.add_row(*cells, *_effects(audit, row, labels))
    return made


def _columns(audit: SwapAudit, slot: SlotSwaps, labels: Sequence[str | None]) -> list[str]:
    if not labels:
        return []
    if len(labels) > MOST_LABELS:
        return [tr("largest effect")]
    effects = slot.terms[0].effects
    return [
        tr("{about} against the others", about=visible(subject(one, audit.measure), 24))
        for one in effects
    ]


def _effects(audit: SwapAudit, row: TermSwaps, labels: Sequence[str | None]) -> list[Text]:
    effects = row.effects
    if len(labels) > MOST_LABELS:
        largest = max(effects, key=lambda one: abs(one.delta), default=None)
        if largest is None:
            return [Text()]
        style = "yellow" if largest.significant else ""
        told = f"{visible(largest.label, 16)} {change(audit.measure, largest.delta, largest.ci)}"
        return [Text(told, style)]
    found = [
        Text(change(audit.measure, one.delta, one.ci), "yellow" if one.significant else "")
        for one in effects
    ]
    return found + [Text()] * (len(labels) - len(found))


def _size(row: TermSwaps) -> tuple[float, float]:
    return -max((abs(one.delta) for one in row.effects), default=0.0), -row.flips


def _amount(audit: SwapAudit, value: float | None) -> Text:
    return Text("–" if value is None else amount(audit.measure, value))


def _items(audit: SwapAudit, width: int) -> TextTable:
    made = table(tr("sentence"), *(tr("term"), tr("answer"), "") * 2)
    room = max(width - 70, 24)
    for one in audit.items[:MOST_ITEMS]:
        first, second = (_side(audit, one, side) for side in (one.first, one.second))
        made.add_row(Text(visible(shown(one.sentence), room)), *first, *second)
    return made


def _side(audit: SwapAudit, one: SwapItem, side: SwapFilling) -> tuple[Text, Text, Text]:
    answer = tr("(none)") if side.label is None else visible(shown(side.label), 14)
    measured = ""
    if side.measured is not None and audit.measure == "value":
        measured = plain(side.measured, 2)
    elif side.measured is not None:
        measured = f"P({visible(one.label, 12)}) {percent(side.measured)}"
    style = "red" if one.flipped else ""
    return Text(visible(side.term, 16)), Text(answer, style), Text(measured, "dim")
