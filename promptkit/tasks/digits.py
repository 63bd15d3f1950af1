"""Numbers in the digits of any script: ४२, ٤٢٫٥ and ４２ beside 42."""

from __future__ import annotations

import re
import unicodedata

_MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\ufe62\uff0b", "+"),
        **dict.fromkeys("\u066b\uff0e\ufe52", "."),
        **dict.fromkeys("\u061c\u200e\u200f"),  # which Arabic and Persian put in front of a sign
    }
)
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:\u066c\d{3})+|\d*)(?:\.\d*)?(?:[eE][-+]?\d+)?")


def plain_number(text: str) -> str:
    """Return a number as `int` and `float` write it; any other text as it is.

    Digits are those of one script, with its signs, and in Arabic with ٫ in front of decimals and ٬
    between thousands. A comma may mean either and stays, so that it is no number.

    Args:
        text: A text, which may be a number in any script.

    Example:
        >>> plain_number("४२"), plain_number("٤٬٢٠٠٫٥"), plain_number("−４"), plain_number("四十二")
        ('42', '4200.5', '-4', '四十二')
    """
    if text.isascii():
        return text
    found = text.strip().translate(_MARKS)
    zeros = {ord(char) - unicodedata.decimal(char) for char in found if char.isdecimal()}
    if len(zeros) != 1 or not _NUMBER.fullmatch(found):
        return text
    return plain_digits(found.replace("\u066c", ""))


def plain_digits(text: str) -> str:
    """Return a text with its digits in ASCII, one for one.

    Args:
        text: The text.
    """
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
