"""What filters and methods would write, known before they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2.exceptions import SecurityError

from promptkit.bounds import MAX_INDENT, Meter, formatted_length

_LISTED = (
    *("batch", "groupby", "list", "map", "reject", "select", "slice", "sort", "splitlines"),
    *("striptags", "title", "unique", "wordcount", "wordwrap"),
)
_BYTES_OF_AN_ITEM = 32  # at the least


_FROM_THE_END = frozenset(["rfind", "rindex", "rpartition", "rsplit"])
_STRIPS = frozenset(["lstrip", "rstrip", "strip", "trim"])


def listed(name: str, text: str, *args: Any) -> int:
    """How much room a list of the characters, words or lines of a text takes, as characters."""
    if name in _LISTED:
        return _BYTES_OF_AN_ITEM * len(text)
    if name in ("split", "rsplit"):
        between = args[0] if args and isinstance(args[0], str) else " "
        return _BYTES_OF_AN_ITEM * text.count(between) if between else 0
    return 0


def searched(name: str, text: str, *args: Any) -> int:
    """How many characters are compared, at most, where it is more than the text has."""
    sought = args[0] if args and isinstance(args[0], str) else ""
    if name in _FROM_THE_END or name in _STRIPS:
        return len(text) * len(sought)
    if name == "striptags":
        return len(text) * text.count("<")
    return 0


def _padded(meter: Meter, value: Any, width: int = 80, *_: Any, **__: Any) -> int:
    return max(meter.weigh(value), width)


def _replaced(meter: Meter, value: Any, old: Any, new: Any, count: Any = None, **_: Any) -> int:
    text, sought = str(value), str(old)
    times = text.count(sought)
    if isinstance(count, int) and count >= 0:
        times = min(times, count)
    return len(text) + times * len(str(new))


def _indented(meter: Meter, value: Any, width: int | str = 4, *_: Any, **__: Any) -> int:
    text = str(value)
    return len(text) + (len(text.splitlines()) + 1) * _width(width)


def _width(width: int | str) -> int:
    return len(width) if isinstance(width, str) else max(width, 0)


def _wrapped(
    meter: Meter,
    value: Any,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    *_: Any,
    **__: Any,
) -> int:
    return meter.weigh(value) * (1 + len(wrapstring or "\n"))


def _gathered(meter: Meter, value: Any, size: int, *_: Any, **__: Any) -> int:
    return size


def _tabs(meter: Meter, value: str, tabsize: int = 8) -> int:
    return len(value) + value.count("\t") * max(tabsize, 0)


def _formatted(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> int:
    return formatted_length(meter, str(value), kwargs or args)


def _rounded(meter: Meter, value: Any, precision: int = 0, *_: Any, **__: Any) -> int:
    if abs(precision) > 300:
        raise SecurityError("round() to more than 300 digits")
    return 0


def _escaped(meter: Meter, value: Any, *_: Any, **__: Any) -> int:
    return 12 * meter.weigh(value)


def _cased(meter: Meter, value: Any, *_: Any, **__: Any) -> int:
    return 3 * meter.weigh(value)


def _as_int(meter: Meter, value: Any, *_: Any, **__: Any) -> int:
    if isinstance(value, str) and len(value) > 4_300:  # digits, Python's own bound
        raise SecurityError("a number of more than 4,300 digits")
    return 0


def _json(meter: Meter, value: Any, *args: Any, indent: Any = None, **rest: Any) -> int:
    separators = rest.get("separators")
    given = [indent, *args, *(separators or ())]
    wide = [_width(each) for each in given if isinstance(each, int | str)]
    if any(width > MAX_INDENT for width in wide):
        raise SecurityError(f"tojson indents and separates by at most {MAX_INDENT} characters")
    return meter.weigh(value) * (1 + max(wide, default=0) * _depth(value))


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list | tuple) else 0


WRITTEN: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _padded),
    **dict.fromkeys(("escape", "e", "forceescape", "urlencode", "xmlattr"), _escaped),
    **dict.fromkeys(("upper", "lower", "casefold", "swapcase", "title", "capitalize"), _cased),
    **dict.fromkeys(("batch", "slice"), _gathered),
    **dict.fromkeys(("int", "float"), _as_int),
    "replace": _replaced,
    "indent": _indented,
    "wordwrap": _wrapped,
    "expandtabs": _tabs,
    "format": _formatted,
    "round": _rounded,
    "tojson": _json,
}
"""What a filter or a method of these names writes, in characters, from what it is given."""

AS_TEXT = frozenset(
    [
        *("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower"),
        *("replace", "safe", "string", "striptags", "title", "trim", "truncate", "upper"),
        *("urlencode", "wordcount", "wordwrap", "xmlattr"),
    ]
)
"""The filters that take the text of whatever they are given."""

PRICED = AS_TEXT.union(WRITTEN, _LISTED, _FROM_THE_END, _STRIPS, ["split"])
"""The filters and methods that are looked at before they are called."""
