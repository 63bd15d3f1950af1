"""Bounds of one rendering, so that no template runs for ever or fills the memory.

Work is counted, not timed, so that a template meets the same bound on every machine. A thousand
shots of 10 KB stay far below the bounds. Work that is counted too low is ended by the watchdog
(`promptkit.sandbox.watchdog`), which cannot interrupt a single call of C code: hence the bounds on
the sizes of texts, numbers and keys.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from jinja2.exceptions import SecurityError

from promptkit.translation import tr

MAX_STEPS = 20_000_000
"""Steps of one rendering, about ten seconds: a step takes at most half a microsecond.

A loop's iteration, a lookup and a filter's item are one step each; other work has prices.
"""

MAX_TEXT = 2**25
"""Characters of one value, or of the whole prompt."""

MAX_BITS = 2**11
"""Bits of a whole number: products and remainders of longer ones take microseconds."""

MAX_INDENT = 16
"""Characters per level of JSON."""

MAX_PATH = 1_000
"""Characters of an attribute path, as in `map(attribute="input.name")`."""

MAX_COLLISIONS = 64
"""Different keys with one hash, which a dict compares one by one."""

STEPS_PER_DATUM = 5
"""Price of a printed value, which is kept with its origin."""

STEPS_PER_CALL = 12
"""Price of a call: a macro, a recursive loop, a method."""

STEPS_PER_ATTRIBUTE = 6
"""Price of an attribute that is no field of a record, such as `loop.index`."""

STEPS_PER_LOAD = 200
"""Price of an included or imported template, whose file may have changed."""

_CHARACTERS_PER_STEP = 5  # as a power of two: 32 characters read or written are one step
_LONGEST_NUMBER = 640  # characters of a number: -1.7e308 in full, or of MAX_BITS

# The width and the precision of a conversion, after its `%` or the name in parentheses.
_WIDTHS = re.compile(r"(?:%|\))[-#0 +]*(\d+|\*)?(?:\.(\d+|\*))?")
_DIGITS = re.compile(r"\d+")

# Named, since a union written where it is used is made anew each time.
VIEWS: tuple[type[Collection[Any]], ...] = (type({}.keys()), type({}.values()), type({}.items()))
_TEXTS = (str, bytes, range)
LISTS: tuple[type[Collection[Any]], ...] = (list, tuple, dict, *VIEWS)
_SETS: tuple[type[Collection[Any]], ...] = (*VIEWS, set, frozenset)


class Meter(threading.local):
    """Steps left to the rendering of each thread."""

    def __init__(self) -> None:
        self.left = MAX_STEPS
        self.taken = 0
        """Steps of the rendering before this one."""
        self.running = False
        """True while a rendering or a compilation runs."""
        self.compiling = False
        """True while a template is compiled, which computes its constants."""

    def refill(self) -> None:
        """Begin a rendering."""
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Count steps. Raises `SecurityError` where they are used up."""
        self.left = left = self.left - steps
        if left < 0:
            raise SecurityError(
                tr(
                    "the template takes more than {MAX_STEPS:,} steps; it loops over too much, "
                    "or calls itself too often",
                    MAX_STEPS=MAX_STEPS,
                )
            )

    def read(self, *values: Any) -> None:
        """Count the time to read through values."""
        steps = 0
        for value in values:
            weight = len(value) if isinstance(value, str) else self.weigh(value)
            steps += weight >> _CHARACTERS_PER_STEP
        if steps:
            self.spend(steps)

    def write(self, characters: int) -> None:
        """Count the time to write a text, before it is written."""
        if characters > MAX_TEXT:
            raise too_much_text()
        if steps := characters >> _CHARACTERS_PER_STEP:
            self.spend(steps)

    def weigh(self, value: Any) -> int:
        """Return the characters of a value; an item counts as often as it stands in a list.

        One list in two places of another is one object, but its text comes twice: lists of lists
        of the same list grow exponentially as text, and not as objects.
        """
        if isinstance(value, _TEXTS):
            return len(value)
        if isinstance(value, int):
            return value.bit_length() // 3 + 1
        if not isinstance(value, LISTS):
            return 24  # a number, a date
        self.spend(1 + len(value))
        total = len(value)
        for item in value.values() if isinstance(value, dict) else value:
            total += self.weigh(item)
            if total > MAX_TEXT:
                raise too_much_text()
        if isinstance(value, dict):
            total += sum(map(self.weigh, value))
        return total

    def each(self, values: Iterable[Any], steps: int = 1) -> Iterator[Any]:
        """Yield the values one by one, and count `steps` for each."""
        for value in values:
            self.spend(steps)
            yield value

    def number(self, bits: int) -> None:
        """Raise `SecurityError` for a whole number of so many bits."""
        if bits > MAX_BITS:
            raise SecurityError(
                tr("a number in the template has more than {MAX_BITS:,} bits", MAX_BITS=MAX_BITS)
            )


class Keys:
    """Distinct keys, of which few may have the same hash.

    Python salts the hashes of texts, but not those of numbers and tuples: a template could choose
    many keys of one hash, which a dict compares with each other in quadratic time.
    """

    def __init__(self) -> None:
        self._seen: set[Any] = set()
        self._by_hash: dict[int, int] = {}

    def add(self, key: Any) -> bool:
        """Add a key, and return whether it is new. Raises `SecurityError` for many of one hash."""
        if key in self._seen:
            return False
        self._seen.add(key)
        known = hash(key)
        self._by_hash[known] = count = self._by_hash.get(known, 0) + 1
        if count > MAX_COLLISIONS:
            raise SecurityError(tr("too many keys in the template have the same hash"))
        return True


def too_much_text() -> SecurityError:
    """Return the error for a value that is too long."""
    return SecurityError(
        tr("the template makes a text of more than {MAX_TEXT:,} characters", MAX_TEXT=MAX_TEXT)
    )


def check_operands(meter: Meter, operator: str, left: Any, right: Any) -> None:
    """Count an operator, if its result is within bounds. Raises `SecurityError`."""
    meter.spend(3)
    if isinstance(left, int) and isinstance(right, int):
        bits, others = left.bit_length(), right.bit_length()
        meter.number(max(bits, others))
        if operator in ("*", "**"):
            meter.number(bits * max(right, 1) if operator == "**" else bits + others)
    elif operator == "*":
        value, times = (right, left) if isinstance(left, int) else (left, right)
        if isinstance(times, int) and not isinstance(value, float):
            meter.write(meter.weigh(value) * max(times, 0))
            items = len(value) if isinstance(value, list | tuple) else 0
            meter.spend(items * max(times, 0))
    elif operator == "+":
        meter.write(meter.weigh(left) + meter.weigh(right))
    elif operator == "%" and isinstance(left, str):
        meter.write(formatted_length(meter, left, right))
    elif operator == "-" and (isinstance(left, _SETS) or isinstance(right, _SETS)):
        raise SecurityError(tr("the order of a set differs from run to run; use select or reject"))


def formatted_length(meter: Meter, text: str, values: Any) -> int:
    """Return an upper bound of the length of `text % values`."""
    widths = [width for pair in _WIDTHS.findall(text) for width in pair if width]
    given = values if isinstance(values, tuple) else (values,)
    fields = text.count("%")
    wide = sum(int(width) for width in widths if width != "*" and len(width) < 10)
    wide += _LONGEST_NUMBER * fields
    if any(len(width) > 9 for width in widths):
        raise too_much_text()
    if "*" in widths:
        wide += sum(abs(value) for value in given if isinstance(value, int))
    if isinstance(values, dict):  # whose values may be named any number of times
        return len(text) + wide + meter.weigh(values) * fields
    return len(text) + wide + meter.weigh(given)


def spec_length(spec: str) -> int:
    """Return an upper bound of the length of a number in a format such as `:>80`."""
    numbers = _DIGITS.findall(spec)
    if any(len(number) > 9 for number in numbers):
        return MAX_TEXT + 1
    return _LONGEST_NUMBER + sum(map(int, numbers))
