"""Swapped terms as titled tables of text."""

from __future__ import annotations

from collections.abc import Iterator

from promptkit.auditing.audit_block import AuditBlock
from promptkit.auditing.swap_results import SlotSwaps, SwapAudit, SwapFilling, SwapItem, TermSwaps
from promptkit.auditing.swap_verdicts import amount, change, said, share, subject
from promptkit.text import percent, plain, shown
from promptkit.translation import tr

MOST_LABELS = 3
"""Largest number of labels whose effects have a column each."""


def swap_blocks(audit: SwapAudit) -> Iterator[AuditBlock]:
    """Yield a table of each slot, and one of the worst items.

    Args:
        audit: The audit of swaps.
    """
    for slot in audit.slots:
        yield _slot(audit, slot)
    if audit.items:
        one = (tr("sentence"), tr("term"), tr("answer"), "")
        heads = (*one, tr("other term"), tr("answer"), "")
        rows = tuple([_item(audit, one) for one in audit.items])
        yield AuditBlock(tr("The worst items"), audit.notes, heads, rows)


def title_of_slot(slot: SlotSwaps) -> str:
    """Return the title of the table of a slot."""
    return tr("Swaps of {slot}", slot=slot.slot)


def _slot(audit: SwapAudit, slot: SlotSwaps) -> AuditBlock:
    effects = slot.terms[0].effects if slot.terms else ()
    effects = effects if len(effects) <= MOST_LABELS else ()
    changed = slot.change is not None
    heads = (
        slot.slot,
        tr("sentences:"),
        tr("labels that flip:"),
        *((tr("mean change:"), tr("worst change:")) if changed else ()),
        *(
            tr("{subject} against the others:", subject=subject(one, audit.measure))
            for one in effects
        ),
    )
    rows = [_term(audit, row, len(effects), changed) for row in (*slot.groups, *slot.terms)]
    return AuditBlock(title_of_slot(slot), tuple(said(audit, slot)), heads, tuple(rows))


def _term(audit: SwapAudit, row: TermSwaps, effects: int, changed: bool) -> tuple[str, ...]:
    cells = [row.name, f"{row.sentences:,}", share(row.flips, row.flips_ci)]
    if changed:
        amounts = (row.change, row.worst)
        cells += ["–" if one is None else amount(audit.measure, one) for one in amounts]
    told = [change(audit.measure, one.delta, one.ci) for one in row.effects[:effects]]
    return (*cells, *told, *[""] * (effects - len(told)))


def _item(audit: SwapAudit, one: SwapItem) -> tuple[str, ...]:
    return (shown(one.sentence), *_side(audit, one, one.first), *_side(audit, one, one.second))


def _side(audit: SwapAudit, one: SwapItem, side: SwapFilling) -> tuple[str, str, str]:
    answer = tr("(none)") if side.label is None else shown(side.label)
    measured = ""
    if side.measured is not None and audit.measure == "value":
        measured = plain(side.measured, 2)
    elif side.measured is not None:
        measured = f"P({one.label}) {percent(side.measured)}"
    return side.term, answer, measured
