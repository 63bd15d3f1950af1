"""Regular expressions of the decimal numbers between two bounds.

A grammar of JSON bounds a number but not its digits, so that a model may go on with them for ever,
and the library's own bounds leave out some numbers just below an upper one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

DECIMALS = 21
"""Digits behind the point, as many as of a number without bounds."""

WHOLE = 18
"""Digits in front of the point where there is no bound."""

PRECISION = 17
"""Digits that tell any two numbers of double precision apart."""


def between(least: float | None, most: float | None, *, above: bool, below: bool) -> str | None:
    """Return a pattern of the decimal numbers between two bounds; None where there are none.

    They have no exponent, and as many decimals as `DECIMALS`; more where a bound needs them for a
    precision of `PRECISION` digits.

    Args:
        least: The lower bound; None where there is none.
        most: The upper bound.
        above: Whether numbers are above the lower bound, and not equal to it.
        below: Whether numbers are below the upper bound.

    Example:
        >>> import re
        >>> pattern = re.compile(between(-0.5, 2, above=False, below=True))
        >>> [text for text in ("-0.5", "-0.51", "0", "1.999", "2") if pattern.fullmatch(text)]
        ['-0.5', '0', '1.999']
    """
    low = None if least is None else Decimal(repr(float(least)))
    high = None if most is None else Decimal(repr(float(most)))
    digits = max([DECIMALS, *(_decimals(bound) for bound in (low, high) if bound)])
    found: list[str] = []
    if high is None or high > 0 or (high == 0 and not below):
        start = None if low is None or low < 0 else _End(low, above)
        found += _magnitudes(start, None if high is None else _End(high, below), digits)
    if low is None or low < 0:
        # Zero has no sign.
        start = _End(Decimal(0), True) if high is None or high >= 0 else _End(-high, below)
        negative = _magnitudes(start, None if low is None else _End(-low, above), digits)
        found += [f"-(?:{part})" for part in negative]
    return f"^(?:{'|'.join(found)})$" if found else None


class _End(NamedTuple):
    """A bound of numbers from 0 on."""

    value: Decimal
    strict: bool
    """Whether numbers are not equal to it."""

    @property
    def whole(self) -> int:
        return int(self.value.to_integral_value(ROUND_FLOOR))

    @property
    def decimals(self) -> _Decimals:
        return _Decimals(f"{self.value - self.whole:f}".partition(".")[2].rstrip("0"), self.strict)


class _Decimals(NamedTuple):
    """What is left of the decimals of a bound, behind those that a number shares with it."""

    text: str
    strict: bool

    @property
    def first(self) -> int:
        return int(self.text[:1] or 0)

    @property
    def rest(self) -> _Decimals:
        return _Decimals(self.text[1:], self.strict)


def _decimals(bound: Decimal) -> int:
    return PRECISION - 1 - math.floor(abs(bound).log10())


def _magnitudes(low: _End | None, high: _End | None, digits: int) -> Iterator[str]:
    """Yield patterns of the numbers from 0 on between two bounds, by their whole part."""
    first = 0 if low is None else low.whole
    last = 10 ** max(WHOLE, len(str(first)) + 1) if high is None else high.whole
    start, end = low and low.decimals, high and high.decimals
    if first == last:
        yield from _with_point(first, _digits(start, end, digits))
        return
    yield from _with_point(first, _digits(start, None, digits))
    if first + 1 < last:
        yield rf"(?:{'|'.join(_wholes(first + 1, last - 1))})(?:\.[0-9]{{1,{digits}}})?"
    if high is not None:
        yield from _with_point(last, _digits(None, end, digits))


def _with_point(whole: int, decimals: tuple[list[str], bool]) -> Iterator[str]:
    some, alone = decimals
    if some:
        yield rf"{whole}(?:\.(?:{'|'.join(some)})){'?' if alone else ''}"
    elif alone:
        yield str(whole)


def _digits(low: _Decimals | None, high: _Decimals | None, left: int) -> tuple[list[str], bool]:
    """Return patterns of one decimal or more between two bounds, and whether none fits too.

    Args:
        low: The lower bound; None where the decimals before are above it.
        high: The upper bound; None where they are below it.
        left: The largest number of decimals.
    """
    if low is not None and not low.text and not low.strict:
        low = None
    if high is not None and not high.text and high.strict:
        return [], False
    alone = low is None
    if not left or (low is None and high is None):
        return ([f"[0-9]{{1,{left}}}"] if left else []), alone
    first, last = 0 if low is None else low.first, 9 if high is None else high.first
    if first > last:
        return [], alone
    ends = {first: (low, None), last: (None, high)} if first < last else {first: (low, high)}
    found: list[str] = []
    for digit, (start, end) in sorted(ends.items()):
        more, ends_here = _digits(start and start.rest, end and end.rest, left - 1)
        if more:
            found.append(f"{digit}(?:{'|'.join(more)}){'?' if ends_here else ''}")
        elif ends_here:
            found.append(str(digit))
    if last - first > 1:
        found.append(f"[{first + 1}-{last - 1}][0-9]{{0,{left - 1}}}")
    return found, alone


def _wholes(low: int, high: int) -> Iterator[str]:
    """Yield patterns of the whole numbers from one to another, by their number of digits."""
    for size in range(len(str(low)), len(str(high)) + 1):
        least, most = max(low, 10 ** (size - 1) if size > 1 else 0), min(high, 10**size - 1)
        yield _alike(str(least), str(most))


def _alike(low: str, high: str) -> str:
    """Return a pattern of whole numbers with as many digits as both bounds."""
    size = len(low)
    if low == high:
        return low
    if low == "0" * size and high == "9" * size:
        return f"[0-9]{{{size}}}"
    if low[0] == high[0]:
        return f"{low[0]}(?:{_alike(low[1:], high[1:])})"
    if size == 1:
        return f"[{low}-{high}]"
    found = [
        f"{low[0]}(?:{_alike(low[1:], '9' * (size - 1))})",
        f"{high[0]}(?:{_alike('0' * (size - 1), high[1:])})",
    ]
    if int(high[0]) - int(low[0]) > 1:
        found.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}][0-9]{{{size - 1}}}")
    return "|".join(found)
