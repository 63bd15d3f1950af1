"""Numbers, counts and names as text for people, the same in every sentence, table and page.

Shares and differences of shares are from -1 to 1; the texts give them in points of a hundred.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, AnyStr

from promptkit.graphemes import JOINERS, LONGEST, composed, cut, is_joined, is_unspaced
from promptkit.translation import mark, tr, trn


def number(share: float, digits: int = 0) -> str:
    """Return a share in points without a unit: `12`; never `-0`."""
    text = f"{100 * share:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def points(share: float, digits: int = 0) -> str:
    """Return a share in points: `1 point`, `12 points`."""
    shown = number(share, digits)
    return trn("{shown} point", "{shown} points", 1 if shown == "1" else 2, shown=shown)


def percent(share: float) -> str:
    """Return a share as whole percent: `12 %`."""
    return f"{number(share)} %"


def signed(share: float, digits: int = 0) -> str:
    """Return a difference in points with its sign, without one where it rounds to 0: `+12`."""
    text = f"{100 * share:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def ends(low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval in points, with as many `decimals` as they need."""
    digits = decimals(low, high)
    return number(low, digits), number(high, digits)


def decimals(low: float, high: float) -> int:
    """Return 0 where whole points keep two ends apart, and their signs; else 1."""
    hidden = any(end and round(100 * end) == 0 for end in (low, high))
    return int(round(100 * low) == round(100 * high) or (hidden and low * high > 0))


def plain(value: float, digits: int, sign: str = "") -> str:
    """Return a number of any unit with so many decimals: `0.42`, `12,400`; never `-0`.

    Args:
        value: The number; one of ten digits or more becomes `1.23e+17`.
        digits: The number of decimals.
        sign: "+" for a sign in front of positive numbers too, but of none that rounds to 0.
    """
    if abs(value) >= 1e9:
        return f"{value:{sign}.3g}"
    text = f"{value:{sign},.{digits}f}"
    return text.lstrip("+-") if not float(text.replace(",", "")) else text


def places(width: float) -> int:
    """Return the decimals that show one or two digits of a width: 2 of 0.12, 0 of 25."""
    if not 0 < width < math.inf:
        return 2
    return min(max(round(1 - math.log10(width)), 0), 6)


def p_value(p: float) -> str:
    """Return a p-value as papers write it: `p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.095 else f"p = {p:.2f}"


def about(n: int) -> str:
    """Return a number rounded up to two digits: `1,900`."""
    unit = 10 ** max(len(str(n)) - 2, 0)
    return f"{-(-n // unit) * unit:,}"


def counted(n: int, one: str, many: str) -> str:
    """Return a number with its noun: `1 shot`, `2 shots`, `37 queries`."""
    return f"{n:,} {trn(one, many, n)}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Return words in a row, `last` in front of the last one, "and" or "or": `a, b and c`."""
    return f" {tr(last)} ".join([*([", ".join(parts[:-1])] if parts[1:] else []), *parts[-1:]])


def did_you_mean(name: str, known: Iterable[str], lead: str = "") -> str:
    """Return `did you mean 'NAME'?` behind `lead`, where a known name is close to `name`."""
    names = list(known)
    same = [other for other in names if other.casefold() == name.casefold()]
    close = get_close_matches(name, names, n=1, cutoff=0.65) or same
    return lead + tr("did you mean {name!r}?", name=close[0]) if close else ""


_LAST = (mark("and"), mark("or"))


def first_names(names: Sequence[str], most: int = 12) -> str:
    """Return the first of some names with commas between them, and `…` behind where more follow."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def capital(text: str) -> str:
    """Return the text with a capital in front."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Return the text with a capital in front and a full stop."""
    return tr("{text}.", text=capital(text))


def printable(text: str) -> str:
    """Return the text on one line: `⏎` for a line break, `·` for any other control character.

    Joiners stay where their script has them, and so do the parts of an emoji.
    """
    if text.isprintable():
        return text
    shown = ["⏎" if char == "\n" else char if char.isprintable() else "·" for char in text]
    for place, char in enumerate(text):
        if char in JOINERS and is_joined(
            text[place - 1 : place], char, text[place + 1 : place + 2]
        ):
            shown[place] = char
    for flag in _FLAG.finditer(text):
        shown[slice(*flag.span())] = flag[0]
    return "".join(shown)


_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]+\U000e007f")
"""A flag spelt out, as that of Wales is."""


def visible(value: object, limit: int) -> str:
    """Return a value as `printable` text of at most `limit` columns, the end cut to `…`.

    No character of several code points is cut in two.
    """
    return cut(printable(str(value)[: LONGEST * (limit + 2)]), limit)


def quoted(value: object, limit: int = 20) -> str:
    """Return a `visible` value in quotation marks."""
    return f'"{visible(value, limit)}"'


def shown(value: Any) -> str:
    """Return an input or an answer as one text: the values of a record, `null` for None.

    Texts of a list, such as several labels, are written as in a cell of data: `login; network`.
    """
    if isinstance(value, Mapping):
        return " · ".join(map(_inner, value.values()))
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return "; ".join(value) or "none"
    return "null" if value is None else str(value)


def _inner(value: Any) -> str:
    """Return a value in a record as text: the items of a list with commas between."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_inner, value))
    return shown(value) if isinstance(value, Mapping) else str(value)


def has_word(text: str, word: str) -> bool:
    """Return whether a word, or several, stand in a text, and not as a part of a longer word.

    In scripts without spaces between words they may stand anywhere. Normal forms do not count.

    Example:
        >>> has_word("सेब और केला", "सेब"), has_word("फलों का", "फल"), has_word("我的猫", "猫")
        (True, False, True)
    """
    text, word = composed(text), composed(word)
    at = text.find(word) if word else -1
    while at >= 0:
        end = at + len(word)
        if _ends_word(text[at - 1 : at], word[0]) and _ends_word(text[end : end + 1], word[-1]):
            return True
        at = text.find(word, at + 1)
    return False


def _ends_word(beside: str, edge: str) -> bool:
    """Return whether a word may end at a character, or begin with it, given the one beside it."""
    if not beside or unicodedata.category(beside)[0] == "M" or beside == "_":
        return not beside
    return not beside.isalnum() or (is_unspaced(beside) and is_unspaced(edge))


def file_name(name: str) -> str:
    """Return a model's name, without the folders of one that is called by the path of its file."""
    return name.rpartition("/")[2] if name.endswith(".gguf") else name


def shared_length(one: AnyStr, two: AnyStr, unit: int = 1) -> int:
    """Return the number of leading units, each of so many items, that both share."""
    low, high = 0, min(len(one), len(two)) // unit
    while low < high:  # by halves, since slices compare in C
        middle = (low + high + 1) // 2
        if one[low * unit : middle * unit] == two[low * unit : middle * unit]:
            low = middle
        else:
            high = middle - 1
    return low
