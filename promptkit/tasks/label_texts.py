"""Texts that stand for the labels of a closed set: in files, and as a model may write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from promptkit.files.json_values import literal, unwrapped
from promptkit.graphemes import composed
from promptkit.tasks.digits import plain_number


def label_texts(value: Any) -> Iterator[str]:
    """The texts of labels that a value may stand for: 4 and 4.0 for "4", true for "true".

    Data frames make floats of whole numbers where one is missing.
    """
    value = unwrapped(value)
    if isinstance(value, str):
        yield value
        if re.fullmatch(r"-?[0-9]+\.0+", value):
            yield value.partition(".")[0]
    elif isinstance(value, bool | int):
        yield literal(value)
    elif isinstance(value, float) and value.is_integer():
        yield str(int(value))


def written_otherwise(text: str, values: Mapping[str, Any]) -> str | None:
    """Return the label that a text is, but for its normal form or the script of its digits.

    Labels that are numbers may be written in the digits of any script. None where no label, or
    more than one, is meant.

    Args:
        text: The text.
        values: The values of the closed set, by their labels.
    """
    same = [label for label in values if composed(label) == composed(text)]
    if not same and (plain := plain_number(text)) != text:
        same = [label for label in (plain,) if type(values.get(label)) in (int, float)]
    return same[0] if len(same) == 1 else None


def equals(value: Any, number: float) -> bool:
    """Return whether a value is a number, or writes one in digits: 1 and "1.50" of 1.0 and 1.5."""
    if isinstance(value, str):
        plain = plain_number(value)
        return bool(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", plain)) and float(plain) == number
    return type(value) in (int, float) and bool(value == number)
