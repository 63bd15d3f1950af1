"""Patterns of numbers between bounds."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptkit.prompts.number_patterns import between

BOUNDS = st.one_of(
    st.none(),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.05, 10.0, 99.99, -100.0, 0.001]),
    st.decimals(-2000, 2000, places=3).map(float),
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-9),
)


@settings(deadline=None, max_examples=400)
@given(BOUNDS, BOUNDS, st.booleans(), st.booleans(), st.data())
@example(0.0, 1.0, True, True, None)
def test_numbers_between_the_bounds_and_no_others(
    least: float | None, most: float | None, above: bool, below: bool, data: st.DataObject | None
) -> None:
    if least is not None and most is not None and least > most:
        least, most = most, least
    pattern = between(least, most, above=above, below=below)
    near = [0.0, *(bound for bound in (least, most) if bound is not None)]
    texts = ["0", "1", "-1", "0.0", "1.0", "0.5", "-0.5", "0.000", "10", "-0.05"]
    for bound in near:
        for step in ("0", "0.001", "-0.001", "0.1", "-0.1", "1", "-1", "1e-12", "-1e-12"):
            texts.append(f"{Decimal(repr(bound)) + Decimal(step):f}")
    if data is not None:
        texts.append(f"{data.draw(st.decimals(-3000, 3000, places=4)):f}")
    for text in texts:
        value = Decimal(text)
        if value == 0 and text.startswith("-"):
            continue
        low = (
            least is None
            or value > Decimal(repr(least))
            or (not above and value == Decimal(repr(least)))
        )
        high = (
            most is None
            or value < Decimal(repr(most))
            or (not below and value == Decimal(repr(most)))
        )
        fits = pattern is not None and re.fullmatch(pattern, text) is not None
        assert fits == (low and high), (text, pattern)


@settings(deadline=None)
@given(st.floats(-1, 1).filter(lambda x: abs(x) >= 1e-4 or x == 0))
def test_every_number_can_be_written_with_all_its_digits(value: float) -> None:
    pattern = between(-1, 1, above=False, below=False)
    assert pattern is not None
    text = f"{Decimal(repr(value)):f}"
    assert re.fullmatch(pattern, text.replace("-0.0", "0.0") if value == 0 else text)
    small = between(-1e-30, 1e-30, above=False, below=False)
    assert small is not None
    assert re.fullmatch(small, f"{Decimal('9.234567890123456e-31'):f}")


def test_digits_have_an_end() -> None:
    pattern = between(-1, 1, above=False, below=False)
    assert pattern is not None
    assert re.fullmatch(pattern, "-0." + "1" * 21)
    assert not re.fullmatch(pattern, "-0." + "1" * 22)
    assert between(1, 1, above=True, below=False) is None
