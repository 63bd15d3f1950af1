"""Prices of filters, tests and methods: their steps and output size, known before they run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jinja2.exceptions import SecurityError

from promptkit.sandbox.limits import MAX_INDENT, MAX_PATH, Meter, formatted_length
from promptkit.translation import tr

STEPS_PER_FILTER = 5
"""Steps of a filter or a test."""

STEPS_PER_USE: dict[str, int] = {"attr": 8, "wordwrap": 20, "groupby": 10, "sort": 8}
"""Steps of the filters that take more than `STEPS_PER_FILTER`, by name."""

STEPS_PER_ITEM: dict[str, int] = {
    **dict.fromkeys(("dictsort", "groupby", "max", "min", "shuffle", "sort"), 2),
    "unique": 1,
}
"""Steps of the filters that look at all items at once, for each of them."""

STEPS_PER_LINE: dict[str, int] = {"title": 2, "unique": 32, "wordcount": 2, "wordwrap": 40}
"""Steps for 32 characters of the filters and methods that look at each character."""

_BYTES_OF_AN_ITEM = 32  # at the least
_LONGEST_NUMBER = 1_000  # characters
_COPIED_PER_READ = 128  # characters are copied in the time that one is read
_RUNS = re.compile(r"\s+|\S+")

PATHS = {
    **dict.fromkeys(("join", "max", "min", "unique"), 1),
    **dict.fromkeys(("groupby", "rejectattr", "selectattr", "sum"), 0),
    "sort": 2,
    "map": 99,  # by name only
}
"""Position of the attribute path among the arguments of a filter."""


def check_path(name: str, *args: Any, **kwargs: Any) -> None:
    """Raise `SecurityError` where a filter's arguments have a path that is too long.

    Each step of a path is counted where it is looked up; here it is only split.
    """
    place = PATHS[name]
    path = kwargs.get("attribute", args[place] if place < len(args) else None)
    if isinstance(path, str) and len(path) > MAX_PATH:
        raise SecurityError(
            tr("an attribute path of more than {MAX_PATH:,} characters", MAX_PATH=MAX_PATH)
        )


def sorted_in(name: str, count: int) -> int:
    """Return the steps of a filter that looks at `count` items at once, or sorts them."""
    return count * (STEPS_PER_ITEM[name] + count.bit_length() // 8)


def _items(text: str, *_: Any, **__: Any) -> int:
    return _BYTES_OF_AN_ITEM * len(text)


def _parts(text: str, *args: Any, **kwargs: Any) -> int:
    return _BYTES_OF_AN_ITEM * text.count(_sought(args, kwargs) or " ")


_LISTED = (
    *("batch", "groupby", "indent", "list", "map", "reject", "select", "slice", "sort"),
    *("splitlines", "striptags", "title", "unique", "wordcount", "wordwrap"),
)
ROOM: dict[str, Callable[..., int]] = {
    **dict.fromkeys(_LISTED, _items),
    **dict.fromkeys(("split", "rsplit"), _parts),
}
"""Memory of a list of a text's characters, words or lines, counted as characters."""


def _sought(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return next((given for given in (*args, *kwargs.values()) if isinstance(given, str)), "")


def _everywhere(text: str, *args: Any, **kwargs: Any) -> int:
    return len(text) * len(_sought(args, kwargs)) if args or kwargs else 0


def _tags(text: str, *_: Any) -> int:
    return len(text) * text.count("<") // _COPIED_PER_READ


def _copied(text: str, width: int = 79, *_: Any, **__: Any) -> int:
    # `textwrap` copies the rest of a long run for each line of it.
    squares = sum(len(run) ** 2 for run in _RUNS.findall(text))
    return squares // max(width, 1) // _COPIED_PER_READ


SEARCHED: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("rfind", "rindex", "rpartition", "rsplit"), _everywhere),
    **dict.fromkeys(("lstrip", "rstrip", "strip", "trim"), _everywhere),
    "striptags": _tags,
    "wordwrap": _copied,
}
"""Upper bound of characters compared or copied, where it exceeds the text's length."""


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


def _wrapped(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> int:
    return meter.weigh(value) * (1 + len(_sought(args, kwargs) or "\n"))


def _gathered(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> int:
    sizes = [given for given in (*args, *kwargs.values()) if isinstance(given, int)]
    return max(sizes, default=0)


def _tabs(meter: Meter, value: str, tabsize: int = 8) -> int:
    return len(value) + value.count("\t") * max(tabsize, 0)


def _formatted(meter: Meter, value: Any, *args: Any, **kwargs: Any) -> int:
    return formatted_length(meter, str(value), kwargs or args)


def _rounded(meter: Meter, value: Any, precision: int = 0, *_: Any, **__: Any) -> int:
    if abs(precision) > 300:
        raise SecurityError(tr("round() to more than 300 digits"))
    return 0


def _times(factor: int) -> Callable[..., int]:
    return lambda meter, value, *_, **__: factor * meter.weigh(value)


def _as_int(meter: Meter, value: Any, *_: Any, **__: Any) -> int:
    if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
        raise SecurityError(
            tr(
                "a number of more than {LONGEST_NUMBER:,} characters",
                LONGEST_NUMBER=_LONGEST_NUMBER,
            )
        )
    return 0


def _json(meter: Meter, value: Any, *args: Any, indent: Any = None, **rest: Any) -> int:
    separators = rest.get("separators")
    given = [indent, *args, *(separators or ())]
    wide = [_width(each) for each in given if isinstance(each, int | str)]
    if any(width > MAX_INDENT for width in wide):
        raise SecurityError(
            tr(
                "tojson indents and separates by at most {MAX_INDENT} characters",
                MAX_INDENT=MAX_INDENT,
            )
        )
    return meter.weigh(value) * (1 + max(wide, default=0) * _depth(value))


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list | tuple) else 0


WRITTEN: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _padded),
    **dict.fromkeys(("escape", "e", "forceescape", "urlencode", "xmlattr"), _times(12)),
    **dict.fromkeys(("upper", "lower", "casefold", "swapcase", "title", "capitalize"), _times(3)),
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
"""Upper bound of characters that a filter or a method writes, from its arguments."""

AS_TEXT = frozenset(
    [
        *("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower"),
        *("replace", "safe", "string", "striptags", "title", "trim", "truncate", "upper"),
        *("urlencode", "wordcount", "wordwrap", "xmlattr", "letter", "shuffle"),
    ]
)
"""Filters that convert any argument to text."""

ALL_AT_ONCE = frozenset(
    [*("dictsort", "groupby", "join", "letter", "max", "min", "shuffle", "sort"), "sum", "unique"]
)
"""Filters that need all items before they return any."""

PRICED = AS_TEXT.union(WRITTEN, ROOM, SEARCHED, PATHS, STEPS_PER_ITEM, STEPS_PER_LINE, ALL_AT_ONCE)
"""Filters and methods that are priced before they are called."""
