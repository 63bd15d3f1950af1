"""What one rendering may use, so that no template runs for ever or eats the memory.

Everything is counted and nothing is timed, so that the same template meets the same bound on every
machine. A thousand shots of 10 KB stay far below them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2.exceptions import SecurityError

MAX_STEPS = 20_000_000
"""Of one rendering: rounds of loops, calls, filters, operators; a microsecond or two each."""

MAX_TEXT = 2**25
"""Characters of one value, or of the whole prompt."""

MAX_BITS = 2**14
"""Of a whole number."""

MAX_INDENT = 16
"""Characters per level of JSON."""

STEPS_PER_DATUM = 4
"""Of a printed value, which is kept with its origin."""

STEPS_PER_CALL = 10
"""Of a macro, a loop that calls itself, a method."""

_CHARACTERS_PER_STEP = 5  # as a power of two: 32 characters read or written are one step

# The width and the precision of a conversion, after its `%` or the name in parentheses.
_WIDTHS = re.compile(r"(?:%|\))[-#0 +]*(\d+|\*)?(?:\.(\d+|\*))?")
_DIGITS = re.compile(r"\d+")


# Named, since a union written where it is used is made anew each time.
_TEXTS = (str, bytes, range)
_LISTS = (list, tuple, dict)


class Meter(threading.local):
    """What is left of a rendering's steps, in each thread."""

    def __init__(self) -> None:
        self.left = MAX_STEPS
        self.compiling = False
        """Whether a template is being compiled, which computes what is constant in it."""

    def refill(self) -> None:
        """A new rendering begins."""
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Raises `SecurityError` where the steps are used up."""
        self.left = left = self.left - steps
        if left < 0:
            raise SecurityError(
                f"the template takes more than {MAX_STEPS:,} steps; "
                "it loops over too much, or calls itself too often"
            )

    def read(self, *values: Any) -> None:
        """Values are looked through."""
        steps = 0
        for value in values:
            weight = len(value) if isinstance(value, str) else self.weigh(value)
            steps += weight >> _CHARACTERS_PER_STEP
        if steps:
            self.spend(steps)

    def write(self, characters: int) -> None:
        """So much text is made."""
        if characters > MAX_TEXT:
            raise too_much_text()
        steps = characters >> _CHARACTERS_PER_STEP
        if steps:
            self.spend(steps)

    def weigh(self, value: Any) -> int:
        """The characters of a value, with a list's items as often as they stand in it."""
        if isinstance(value, _TEXTS):
            return len(value)
        if isinstance(value, int):
            return value.bit_length() // 3
        if not isinstance(value, _LISTS):
            return 1
        self.spend(2 * len(value))
        total = len(value)
        for item in value.values() if isinstance(value, dict) else value:
            total += self.weigh(item)
            if total > MAX_TEXT:
                raise too_much_text()
        if isinstance(value, dict):
            total += sum(map(self.weigh, value))
        return total

    def each(self, values: Iterable[Any]) -> Iterator[Any]:
        """The values one by one, each a step."""
        for value in values:
            self.spend(1)
            yield value

    def number(self, bits: int) -> None:
        """A whole number of so many bits is made."""
        if bits > MAX_BITS:
            raise SecurityError(f"a number in the template has more than {MAX_BITS:,} bits")


def too_much_text() -> SecurityError:
    """The error for a value that is too long."""
    return SecurityError(f"the template makes a text of more than {MAX_TEXT:,} characters")


def check_operands(meter: Meter, operator: str, left: Any, right: Any) -> None:
    """What an operator would make of its operands is within bounds. Raises `SecurityError`."""
    whole = isinstance(left, int) and isinstance(right, int)
    if operator == "*" and not whole:
        value, times = (right, left) if isinstance(left, int) else (left, right)
        if isinstance(times, int) and not isinstance(value, float):
            meter.write(meter.weigh(value) * max(times, 0))
            meter.spend(_length(value) * max(times, 0))
    elif whole and operator in ("*", "**"):
        bits = left.bit_length()
        meter.number(bits * max(right, 1) if operator == "**" else bits + right.bit_length())
    elif operator == "+" and not whole:
        meter.write(meter.weigh(left) + meter.weigh(right))
    elif operator == "%" and isinstance(left, str):
        meter.write(formatted_length(meter, left, right))
    meter.spend(1)


def formatted_length(meter: Meter, text: str, values: Any) -> int:
    """At most how long `text % values` is."""
    widths = [width for pair in _WIDTHS.findall(text) for width in pair if width]
    given = values if isinstance(values, tuple) else (values,)
    wide = sum(int(width) for width in widths if width != "*" and len(width) < 10)
    if any(len(width) > 9 for width in widths):
        raise too_much_text()
    if "*" in widths:
        wide += sum(abs(value) for value in given if isinstance(value, int))
    if isinstance(values, dict):  # whose values may be named any number of times
        return len(text) + wide + meter.weigh(values) * text.count("%")
    return len(text) + wide + meter.weigh(given)


def spec_length(spec: str) -> int:
    """At most how much a format such as `:>80` adds."""
    numbers = _DIGITS.findall(spec)
    return MAX_TEXT + 1 if any(len(n) > 9 for n in numbers) else sum(map(int, numbers))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple) else 0
