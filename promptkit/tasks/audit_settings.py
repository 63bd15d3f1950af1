"""`[audit]` of `task.toml`: the terms that are swapped, and the sentences of an audit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictStr

from promptkit.tasks.input_section import Section


class TermSection(Section):
    """A term with forms: `{ text = "Fatima", forms = { subject = "she", object = "her" } }`."""

    text: StrictStr
    """The term as `{slot}` writes it."""
    forms: dict[str, StrictStr] = Field(default={})
    """Other forms of the term by name, which `{slot.NAME}` writes: cases, pronouns, or the term
    with its article."""


TermList = list[StrictStr | TermSection]


class TermGroupSection(Section):
    """A group of terms, `[audit.swap.SLOT.groups.NAME]`."""

    terms: Annotated[TermList, Field(min_length=1)]
    """The terms of the group."""
    forms: dict[str, StrictStr] = Field(default={})
    """Forms that all terms of the group have, such as pronouns; a term's own come first."""


class SwapSection(Section):
    """A slot and its terms, `[audit.swap.SLOT]`."""

    terms: TermList = Field(default=[])
    """Terms that are in no group: texts, or tables of a text and its forms."""
    groups: dict[str, TermGroupSection] = Field(default={})
    """Groups of terms, which are compared with each other too."""


class AuditSection(Section):
    """`[audit]`: what `promptkit audit` swaps."""

    sentences: list[StrictStr] = Field(default=[])
    """Sentences with slots in braces, `"{person} asked for {person.possessive} money."`, for tasks
    whose input is one text. Others have them in a file (`audit` in [files])."""
    swap: dict[str, SwapSection] = Field(default={})
    """The terms of each slot: in [audit.swap.NAME] those of the slot {NAME}."""
