"""A language whose messages are the English ones in brackets, so that other words show.

Only what a message itself says is in brackets, not the values of its fields: a value in English is
another message that nobody marked, or data.
"""

from __future__ import annotations

import re
import string
from pathlib import Path

import catalog

TAG = "hi"
"""Its tag, for the rules of its plurals; it stands in a folder of its own."""


def write(folder: Path) -> None:
    """Write its catalog into a folder of catalogs."""
    made = catalog.written(TAG)
    for message in made:
        if isinstance(message.id, str):
            message.string = bracketed(message.id)
        else:
            message.string = tuple(map(bracketed, message.id))
    file = folder / TAG / "LC_MESSAGES" / f"{catalog.DOMAIN}.mo"
    file.parent.mkdir(parents=True)
    file.write_bytes(catalog.as_binary(made))


def bracketed(message: str) -> str:
    """Return a message with brackets around what is no field, line by line.

    Example:
        >>> bracketed("no column {name!r}; add one")
        '⟦no column ⟧{name!r}⟦; add one⟧'
    """
    try:
        found = [*string.Formatter().parse(message)]
    except ValueError:  # braces of its own, and no field
        return f"⟦{message}⟧"
    parts = []
    for text, field, form, conversion in found:
        said = text.replace("{", "{{").replace("}", "}}")
        parts.append(re.sub(r"[^\n]+", r"⟦\g<0>⟧", said))
        if field is not None:
            how = (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            parts.append(f"{{{field}{how}}}")
    return "".join(parts)


def words_outside(text: str) -> list[str]:
    """Return the words of an output that no message has, in its order.

    What is quoted, and the names of files, are data.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    rest = re.sub(r"⟦[^⟦⟧]*⟧", " ", plain)
    return re.findall(r"[A-Za-z]{2,}", re.sub(r"\"[^\"\n]*\"|\S*/\S*", " ", rest))
