"""Slots of sentences, and the terms that are put into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.tasks.examples import Example
from promptkit.text import did_you_mean
from promptkit.translation import tr, trn

NAME = re.compile(r"[^\s{}.\[\]]+")
"""Names of slots and of forms."""


@dataclass(frozen=True)
class SwapTerm:
    """A term that is put into a slot, with its forms.

    Example:
        >>> SwapTerm("Fatima", {"object": "her"}).form("object")
        'her'
    """

    text: str
    """The term as the slot alone writes it."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """Its other forms by name: cases, pronouns, or the term with its article."""
    group: str | None = None
    """The group that it belongs to."""

    def form(self, name: str | None) -> str | None:
        """Return a form of the term, the term itself for None; None for a form that it lacks."""
        return self.text if name is None else self.forms.get(name)


@dataclass(frozen=True)
class SwapSlot:
    """A slot and its terms, two or more."""

    name: str
    terms: tuple[SwapTerm, ...]

    def lacking(self, form: str | None) -> SwapTerm | None:
        """Return the first term that lacks a form; None where all have it."""
        return next((term for term in self.terms if term.form(form) is None), None)

    def forms(self) -> Iterator[str]:
        """Yield the names of the forms of all terms."""
        yield from dict.fromkeys(name for term in self.terms for name in term.forms)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of its terms, in order."""
        return tuple(dict.fromkeys(term.group for term in self.terms if term.group is not None))


@dataclass(frozen=True)
class Swaps:
    """Slots with their terms, and the sentences that an audit fills."""

    slots: Mapping[str, SwapSlot] = field(default_factory=dict)
    """The slots by name."""
    sentences: tuple[Example[Any, Any], ...] = ()
    """Examples with slots in braces among their texts."""


Terms = SwapSlot | Iterable[str | SwapTerm] | Mapping[str, Iterable[str | SwapTerm]]
"""Terms of a slot as a program gives them: a list, or lists by group."""


def slots_of(given: Mapping[str, Terms]) -> dict[str, SwapSlot]:
    """Return slots by name.

    Args:
        given: The terms of each slot: texts or `SwapTerm`s, in a list or in lists by group.

    Raises:
        TaskError: A name or a term cannot be used, or a slot has fewer than two terms.

    Example:
        >>> slots_of({"person": {"female": ["Anna"], "male": ["Ben"]}})["person"].groups
        ('female', 'male')
    """
    return {name: _slot(name, terms) for name, terms in given.items()}


def _slot(name: str, given: Terms) -> SwapSlot:
    if isinstance(given, SwapSlot):
        return checked(given, tr("swaps: {name}", name=name))
    if isinstance(given, str):
        raise TaskError(
            tr("swaps: {name}: {given} is no list of terms", name=name, given=shorten(given))
        )
    grouped: list[tuple[str | None, Any]]
    if isinstance(given, Mapping):
        grouped = [(group, term) for group, terms in given.items() for term in terms]
    else:
        grouped = [(None, term) for term in given]
    terms = [
        term if isinstance(term, SwapTerm) else SwapTerm(term, {}, group) for group, term in grouped
    ]
    return checked(SwapSlot(name, tuple(terms)), tr("swaps: {name}", name=name))


def checked(slot: SwapSlot, place: str) -> SwapSlot:
    """Return a slot whose names and terms can be used.

    Args:
        slot: The slot.
        place: Where it is declared, for messages.

    Raises:
        TaskError: A name or a term cannot be used, or there are fewer than two terms.
    """
    for name in (slot.name, *slot.forms()):
        if not NAME.fullmatch(name):
            raise TaskError(
                tr(
                    "{place}: {name!r} is no name for a slot or a form: names have no spaces, "
                    "dots or braces",
                    place=place,
                    name=name,
                )
            )
    known: set[str] = set()
    for term in slot.terms:
        if empty := [text for text in (term.text, *term.forms.values()) if not text.strip()]:
            raise TaskError(
                tr(
                    "{place}: the term {text!r} has an empty text ({empty!r})",
                    place=place,
                    text=term.text,
                    empty=empty[0],
                )
            )
        if term.text in known:
            raise TaskError(
                tr("{place}: the term {text!r} is repeated; keep one", place=place, text=term.text)
            )
        known.add(term.text)
    if len(slot.terms) < 2:
        has = tr("only the term {text!r}", text=slot.terms[0].text) if slot.terms else tr("no term")
        raise TaskError(tr("{place}: {has}; a swap needs two or more", place=place, has=has))
    return slot


def unknown_slot(name: str, slots: Iterable[str]) -> str:
    """Return a message on a slot that has no terms."""
    known = [*slots]
    hint = did_you_mean(name, known) or (
        trn(
            "there is {known}; the terms of another one go into [audit.swap.{name}] of task.toml",
            "there are {known}; the terms of another one go into [audit.swap.{name}] of task.toml",
            len(known),
            known=", ".join(known) or "none",
            name=name,
        )
    )
    return tr("unknown slot {name}; {hint}", name=f"{{{name}}}", hint=hint)


def missing_form(slot: SwapSlot, form: str, term: SwapTerm) -> str:
    """Return a message on a form that a term lacks."""
    names: Sequence[str] = [*slot.forms()]
    hint = "" if form in names else did_you_mean(form, names, lead="; ")
    return tr(
        "the term {text!r} of the slot {name!r} has no form {form!r}{hint}",
        text=term.text,
        name=slot.name,
        form=form,
        hint=hint,
    )
