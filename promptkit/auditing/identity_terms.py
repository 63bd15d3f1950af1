"""Terms in texts: which queries name which identity."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptkit.errors import DataError, Problem, TaskError, shorten
from promptkit.files.paths import read_bytes
from promptkit.tasks.examples import Example, text_of
from promptkit.translation import tr

Terms = Mapping[str, Sequence[str]]
"""Forms of each term, such as its plural, by its name."""

_UNSPACED = (
    *("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"),
    "BOPOMOFO",
)
"""Beginnings of the names of letters in scripts that set no spaces around every word."""

_JOINERS = "\u200c\u200d"

MOST_BYTES = 1 << 24
"""Largest file of terms that is read."""


def read_terms(file: str | Path) -> dict[str, list[str]]:
    """Return the terms of a file: one a line, and its forms behind a colon with commas between.

    Empty lines and lines that begin with # are left out. Both `muslim` and `muslim: muslim,
    muslims` are lines.

    Args:
        file: The file, UTF-8.

    Raises:
        DataError: It cannot be read, has no terms or one twice; with the line.
    """
    place = Path(file)
    try:
        text = read_bytes(place, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise _bad(place, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise _bad(place, tr("not UTF-8; save it as UTF-8")) from None
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        forms = [form.strip() for form in rest.split(",") if form.strip()] if colon else []
        name = name.strip()
        if not name:
            raise _bad(place, tr("a term without a name; write NAME: FORM, FORM"), number)
        if name in found:
            raise _bad(
                place,
                tr("the term {name} is there twice; join its forms", name=shorten(name)),
                number,
            )
        found[name] = forms or [name]
    if not found:
        raise _bad(place, tr("no terms; write one a line"))
    return found


def as_terms(terms: Terms | Sequence[str] | str | Path) -> Terms:
    """Return terms as forms by name: of a mapping, of a sequence of terms, or of a file.

    Raises:
        DataError: A file cannot be read, or is damaged.
        TaskError: There are none, or one is empty.
    """
    if isinstance(terms, str | Path):
        return read_terms(terms)
    found = terms if isinstance(terms, Mapping) else {term: [term] for term in terms}
    if not found or not all(forms and all(map(str.strip, forms)) for forms in found.values()):
        raise TaskError(tr("terms: give at least one, each with a form that is not empty"))
    return found


def queries_with(queries: Sequence[Example[Any, Any]], terms: Terms) -> dict[str, list[str]]:
    """Return the ids of the queries whose text has a form of each term, by the term's name.

    Case and Unicode's composition do not count. A form is found as a whole word; in scripts that
    set no spaces between words it may stand anywhere.

    Args:
        queries: What is asked.
        terms: The terms.

    Raises:
        TaskError: No query has any of them.
    """
    texts = {query.id: _folded(text_of(query.input)) for query in queries}
    found = {
        name: [
            id
            for id, text in texts.items()
            if any(has_term(text, form) for form in map(_folded, forms))
        ]
        for name, forms in terms.items()
    }
    if not any(found.values()):
        raise TaskError(
            tr(
                "terms: none of {names} … is in any of the {count:,} texts",
                names=", ".join(map(shorten, [*terms][:5])),
                count=len(queries),
            )
        )
    return found


def has_term(text: str, form: str) -> bool:
    """Return whether a text has a form as a whole word; both are compared as they are.

    Example:
        >>> has_term("a gay man", "gay"), has_term("a gayal", "gay"), has_term("他是回族人", "回族")
        (True, False, True)
    """
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not _goes_on(before, form[0]) and not _goes_on(after, form[-1]):
            return True
        start = text.find(form, start + 1)
    return False


def _goes_on(neighbour: str, edge: str) -> bool:
    """Return whether a word goes on from the edge of a form into its neighbour."""
    if not neighbour:
        return False
    if unicodedata.category(neighbour)[0] == "M" or neighbour in _JOINERS:
        return True
    if unicodedata.category(neighbour)[0] not in "LN" or unicodedata.category(edge)[0] not in "LMN":
        return False
    return not unicodedata.name(edge, "").startswith(_UNSPACED)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _bad(file: Path, reason: str, line: int | None = None) -> DataError:
    return DataError([Problem(reason, file=str(file), line=line)])
