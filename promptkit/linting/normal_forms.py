"""Characters that a task writes in several of Unicode's normal forms."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import partial

from promptkit.graphemes import composed
from promptkit.linting import catalogue as rules
from promptkit.linting.findings import Finding
from promptkit.linting.subject import Subject, at
from promptkit.templating.source import Where
from promptkit.translation import tr

_JOINS_BEFORE = frozenset(
    "\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dcf\u0ddf\u102e\u1b35"
    + "".join(map(chr, [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))
)
"""Vowel signs and letters of Hangul that NFC joins with the one in front, beside marks."""


def mixed_forms(subject: Subject) -> Iterator[Finding]:
    """Yield characters that are written in one way here and in another one elsewhere.

    At most one place of each; where all texts agree, in whatever form, there is none.
    """
    spelt: dict[str, Callable[[], Where]] = {}
    for text, where in _texts(subject):
        if composed(text) != text:
            for unit in _units(text):
                if composed(unit) != unit:
                    spelt.setdefault(unit, partial(where, unit))
    for unit, here in spelt.items():
        form = composed(unit)
        there = next((where for text, where in _texts(subject) if form in text), None)
        if there is not None:
            ways = tr(
                "{here} here, and {other} in {there}",
                here=_codes(unit),
                other=_codes(form),
                there=there(form),
            )
            fix = tr("write it in one form everywhere, such as NFC")
            yield rules.MIXED_FORMS.at(
                here(), tr("{form!r} is written as {ways}", form=form, ways=ways), fix
            )


def _texts(subject: Subject) -> Iterator[tuple[str, Callable[[str], Where]]]:
    """Yield the texts of a task that are not ASCII, with functions from a part to its place."""
    for verbalizer, where in subject.wordings():
        labels = subject.task.labels
        for label in labels if verbalizer is None else verbalizer.of(labels):
            if not label.isascii():
                yield label, lambda part, where=where: where  # type: ignore[misc]
    if not subject.task.instruction.isascii():
        key = subject.at_key("instruction")
        yield subject.task.instruction, lambda part: key
    for row in subject.all_rows:
        texts = [text for _, text in subject.texts(row)]
        if row.file is not None and row.line is not None:
            texts.append(row.file.line(row.line))  # as it is: a label is read in any form
        elif (answer := subject.label(row)) is not None:
            texts.append(answer)
        for text in texts:
            if not text.isascii():
                yield text, partial(at, row)


def _units(text: str) -> Iterator[str]:
    """Yield the parts of a text that normal forms change each by itself."""
    start = 0
    for place in range(1, len(text)):
        char = text[place]
        if not unicodedata.combining(char) and char not in _JOINS_BEFORE:
            yield text[start:place]
            start = place
    yield text[start:]


def _codes(text: str) -> str:
    return " ".join(f"U+{ord(char):04X}" for char in text)
