"""Reasons why a `task.toml` is wrong, in the words of its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from promptkit.errors import shorten
from promptkit.tasks.pydantic_messages import said_of
from promptkit.text import did_you_mean
from promptkit.translation import mark, tr

_SLOT = mark(
    "a slot is a table with the list `terms`, or with `groups` that have one "
    'each; a term is a text, or a table such as { text = "Fatima", forms = { '
    'subject = "she" } }'
)
_NUMBERS = [["output", name] for name in ("scale", "min", "max")]


def reasons(error: ValidationError, known: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield each wrong key of a `task.toml` with the reason.

    Args:
        error: What pydantic says of the file.
        known: The keys of its sections by their names; those of the file itself by "".
    """
    seen = set()
    of_slots = dict.fromkeys(_slots(error), ("terms", "groups", "forms", "text"))
    known = {**known, **of_slots}
    for item in error.errors(include_url=False):
        keys = [str(k) for k in item["loc"] if not (isinstance(k, str) and "[" in k)]
        keys = keys or [str(k) for k in item["loc"]]
        section, name, value = ".".join(keys[:-1]), keys[-1], shorten(item["input"])
        if keys[0] == "input" and len(keys) > 1:
            keys = keys[:2]
            reason = tr(
                "a type is str, int, float, bool, list[str], options or a list of allowed "
                'values, or a table such as {{ type = "str", column = "Title" }}, not '
                "{value}",
                value=value,
            )
            if str(item["input"]).startswith(("list", "array")):
                reason = tr(
                    "a list is list[str], list[int], list[float] or list[bool], not {value}; "
                    "a list of records is a table [[{keys}]]; options that differ from row to "
                    "row are of the type options",
                    value=value,
                    keys=".".join(keys),
                )
        elif keys[:2] == ["output", "fields"] and len(keys) in (3, 4):
            keys = keys[:3]
            reason = tr(
                "a type is str, int, float, bool, list[str], list[int], list[float] or a "
                'list of allowed values, or a table such as {{ type = "float", within = '
                "0.01 }}, not {value}",
                value=value,
            )
        elif item["type"] == "extra_forbidden":
            names = known.get(re.sub(r"^languages\..*", "languages", section), known[""])
            hint = did_you_mean(name, names) or tr("choose one of: {names}", names=", ".join(names))
            reason = tr("unknown key; {hint}", hint=hint)
        elif item["type"] == "missing":
            reason = tr("missing")
        elif item["type"] == "dict_type" and isinstance(item["input"], list):
            continue  # said of the items of the list
        elif keys[:2] == ["output", "labels"] and len(keys) > 2:
            keys = keys[:3]
            reason = tr("a label is text or a whole number, not {value}", value=value)
        elif keys[:2] == ["files", "folds"]:
            keys = keys[:2]
            reason = tr(
                "a number of folds from 2 to 32, or the column that holds each row's fold, "
                "not {value}",
                value=value,
            )
        elif section.split(".")[:2] in _NUMBERS and name in ("int", "float"):
            keys = keys[:-1]
            reason = tr("a number, such as 1 or 0.5, not {value}", value=value)
        else:
            keys, expected = _expected(keys, item)
            reason = tr("{expected}, not {value}", expected=expected, value=value)
        where = ".".join(keys)
        if where not in seen:
            seen.add(where)
            yield f"{where}: {reason}"


def _expected(keys: list[str], item: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the keys that a reason names, and what should stand there."""
    if keys[0] in ("language", "languages") and "match pattern" in item["msg"]:
        return keys, tr("a language tag of BCP 47, such as hi, pt-BR or hi-Latn")
    return (keys[:3], tr(_SLOT)) if keys[:2] == ["audit", "swap"] else (keys, said_of(item))


def _slots(error: ValidationError) -> Iterator[str]:
    """Yield the sections of the slots of an audit, and what is below them, that are wrong."""
    for item in error.errors(include_url=False):
        keys = [str(key) for key in item["loc"]]
        if keys[:2] == ["audit", "swap"]:
            yield ".".join(keys[:-1])
