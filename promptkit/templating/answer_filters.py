"""Filters for answers: as a letter, as JSON, among options in a shuffled order.

A filter on the query's answer applies to every label, so that shots and candidates are written
the same way: `{{ output | letter(labels) }}` makes the candidates A, B, C, …
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from string import ascii_uppercase
from typing import Any

import jinja2

from promptkit.errors import shorten
from promptkit.templating.values import Slot, Text
from promptkit.translation import tr

Filter = Callable[..., Any]


def filters(tojson: Filter) -> dict[str, Filter]:
    """Return the filters for answers by name; `tojson` is the filter of all other values."""

    def _tojson(value: Any, indent: int | None = None) -> Any:
        if isinstance(value, Slot):
            if value._answers:
                return _for_every_label(value, lambda label: _tojson(label, indent))
            if value._as_json or indent is not None:
                raise jinja2.TemplateRuntimeError(
                    tr(
                        "a generated answer is written as JSON once, and on one line; write {{ "
                        "output | tojson }}"
                    )
                )
            return Slot(as_json=True)
        if isinstance(value, Text) and value.json is not None:
            return value.json if indent is None else tojson(json.loads(value.json), indent)
        return tojson(value, indent)

    return {"letter": letter, "shuffle": shuffle, "tojson": _tojson}


def letter(value: Any, options: Iterable[Any]) -> Any:
    """Return the letter of an option, A for the first; for the query's answer, of every label.

    Args:
        value: An option, or the query's answer.
        options: All options, in order.

    Raises:
        TemplateRuntimeError: The value is not among the options, or there are more than letters.
    """
    known = [str(option) for option in options]
    if isinstance(value, Slot) and known:
        return _for_every_label(value, lambda label: _letter(label, known))
    return _letter(value, known)


def _letter(value: Any, known: list[str]) -> str:
    if not known:
        raise jinja2.TemplateRuntimeError(
            tr(
                "no options for letters: the answers of this task are generated, not "
                "chosen from labels; use another template"
            )
        )
    if len(known) > len(ascii_uppercase):
        raise jinja2.TemplateRuntimeError(
            tr(
                "{count} options, but only {letters} letters; print the labels",
                count=len(known),
                letters=len(ascii_uppercase),
            )
        )
    if len(set(known)) < len(known):
        raise jinja2.TemplateRuntimeError(tr("an option occurs twice; give each option once"))
    if str(value) not in known:
        raise jinja2.TemplateRuntimeError(
            tr(
                "{value} is not among the options {known}",
                value=shorten(str(value)),
                known=", ".join(map(shorten, known)),
            )
        )
    return ascii_uppercase[known.index(str(value))]


def shuffle(options: Iterable[Any], seed: int) -> list[Any]:
    """Return the options in an order that depends on the seed alone, by digest."""
    return sorted(options, key=lambda option: sha256(f"{seed}\0{option!s}".encode()).digest())


def _for_every_label(slot: Slot, write: Callable[[str], str]) -> Slot:
    if not slot._answers:
        raise jinja2.TemplateRuntimeError(
            tr(
                "the answers of this task are generated, not chosen from labels, so that "
                "{{ output }} can only be printed as it is, or with | tojson"
            )
        )
    return Slot(tuple([write(answer) for answer in slot._answers]))
