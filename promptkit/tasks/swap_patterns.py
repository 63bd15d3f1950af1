"""Texts with slots: `{person} lost {person.possessive} keys`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from promptkit.tasks.swap_slots import SwapSlot, SwapTerm, missing_form, unknown_slot
from promptkit.text import capital
from promptkit.translation import tr

Case = Literal["as it is", "capital", "upper", "lower"]
"""Letters of what is put into a place: those of the term, or the first one or all changed."""


class Hole(NamedTuple):
    """A place in a text that a form of a term is put into."""

    slot: str
    form: str | None
    """Name of the form; None for the term itself."""
    case: Case = "as it is"

    def filled(self, term: SwapTerm) -> str:
        """Return a term as it stands in this place; it has the form."""
        text = term.form(self.form)
        assert text is not None  # checked before anything is filled
        match self.case:
            case "capital":
                return capital(text)
            case "upper":
                return text.upper()
            case "lower":
                return text.lower()
        return text


@dataclass(frozen=True)
class Pattern:
    """A text in pieces: what stays, and the places that terms are put into."""

    pieces: tuple[str | Hole, ...]

    def filled(self, terms: Mapping[str, SwapTerm]) -> str:
        """Return the text with a term for each slot."""
        return "".join(
            [one if isinstance(one, str) else one.filled(terms[one.slot]) for one in self.pieces]
        )

    @property
    def holes(self) -> Iterator[Hole]:
        """The places that terms are put into."""
        return (one for one in self.pieces if not isinstance(one, str))

    def __str__(self) -> str:
        return "".join([one if isinstance(one, str) else _shown(one) for one in self.pieces])


def _shown(hole: Hole) -> str:
    name = capital(hole.slot) if hole.case == "capital" else hole.slot
    return f"{{{name}{'' if hole.form is None else f'.{hole.form}'}}}"


_BRACES = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


def pattern_of(text: str, slots: Mapping[str, SwapSlot]) -> Pattern:
    """Return a sentence of an audit as a pattern; `{{` and `}}` stand for braces.

    A slot that is written with a capital, `{Person.subject}`, is filled with one.

    Args:
        text: The sentence.
        slots: The slots by name.

    Raises:
        ValueError: A slot is unknown, a term lacks a form, or braces are no slot.

    Example:
        >>> ann, ben = SwapTerm("Ann", {"subject": "she"}), SwapTerm("Ben", {"subject": "he"})
        >>> slots = {"person": SwapSlot("person", (ann, ben))}
        >>> made = pattern_of("{Person.subject} is {person}.", slots)
        >>> made.filled({"person": ann})
        'She is Ann.'
    """
    pieces: list[str | Hole] = []
    end = 0
    for found in _BRACES.finditer(text):
        pieces.append(text[end : found.start()])
        end = found.end()
        if found[0] in ("{{", "}}"):
            pieces.append(found[0][0])
        elif found[1] is None:
            raise ValueError(
                tr("the brace {found!r} belongs to no slot; write it twice", found=found[0])
            )
        else:
            pieces.append(_hole(found[1], slots))
    return Pattern(joined([*pieces, text[end:]]))


def _hole(name: str, slots: Mapping[str, SwapSlot]) -> Hole:
    slot, dot, form = name.partition(".")
    case: Case = "as it is"
    lowered = slot[:1].lower() + slot[1:]
    if slot not in slots and lowered in slots:
        slot, case = lowered, "capital"
    if not slot or slot != slot.strip() or (dot and not form.strip()):
        raise ValueError(
            tr(
                "{{{name}}} is no slot; a slot is {{name}} or {{name.form}}, and {{{{ and "
                "}}}} are braces",
                name=name,
            )
        )
    if slot not in slots:
        raise ValueError(unknown_slot(slot, slots))
    if dot and (lacking := slots[slot].lacking(form)) is not None:
        raise ValueError(missing_form(slots[slot], form, lacking))
    return Hole(slot, form if dot else None, case)


def named_holes(text: str, slots: Mapping[str, SwapSlot]) -> Pattern:
    """Return a text of the data as a pattern, in which other braces than those of slots stay.

    Args:
        text: The text.
        slots: The slots by name.

    Raises:
        ValueError: A term lacks a form.
    """
    if "{" not in text:
        return Pattern((text,) if text else ())
    pieces: list[str | Hole] = []
    end = 0
    for found in re.finditer(r"\{([^{}\s.]+)(?:\.[^{}\s.]+)?\}", text):
        slot = found[1]
        if slot in slots or slot[:1].lower() + slot[1:] in slots:
            pieces += [text[end : found.start()], _hole(found[0][1:-1], slots)]
            end = found.end()
    return Pattern(joined([*pieces, text[end:]]))


def joined(pieces: list[str | Hole]) -> tuple[str | Hole, ...]:
    """Return the pieces with neighbouring texts as one, and without empty ones."""
    made: list[str | Hole] = []
    for one in pieces:
        if isinstance(one, str) and made and isinstance(made[-1], str):
            made[-1] += one
        elif one:
            made.append(one)
    return tuple(made)
