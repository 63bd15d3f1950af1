from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit import verdicts
from promptkit.verdicts import Compared, headline, judge, moves, others, ranges, verdict


def compared(**changed: Any) -> Compared:
    given: dict[str, Any] = {
        "factor": "shots",
        "a": 0,
        "b": 8,
        "n": 37,
        "delta": 0.12,
        "low": 0.04,
        "high": 0.2,
        "p": 0.003,
        "needed": 287,
        "context": {},
    }
    return Compared(**(given | changed))


UNSURE = {"delta": 0.05, "low": -0.05, "high": 0.15, "p": 0.4}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "8 shots beat 0 by 12 points (4 to 20)."),
        ({"b": 1}, "1 shot beats 0 by 12 points (4 to 20)."),
        (
            {"delta": -0.12, "low": -0.2, "high": -0.04},
            "0 shots beat 8 by 12 points (4 to 20).",
        ),
        (
            {"a": 2, "b": 4, **UNSURE},
            "2 against 4 shots: cannot tell with 37 queries, about 290 would do.",
        ),
        (
            {"p": 0.06, "needed": 38},
            "0 against 8 shots: cannot tell with 37 queries, about 38 would do.",
        ),
        ({"low": -0.001}, "0 against 8 shots: cannot tell with 37 queries, about 290 would do."),
        (
            {"b": 1, "delta": 0.001, "low": -0.01, "high": 0.012, "p": 0.9},
            "0 against 1 shot: no difference that matters (-1 to 1 points).",
        ),
        (
            {"delta": 0.01, "low": 0.004, "high": 0.017, "p": 0.001},
            "0 against 8 shots: no difference that matters (0.4 to 1.7 points).",
        ),
        (
            {"delta": 0.013, "low": 0.002, "high": 0.024, "p": 0.001},
            "8 shots beat 0 by 1.3 points (0.2 to 2.4).",
        ),
        (
            {"factor": "template", "a": "a.j2", "b": "b.j2", "context": {"shots": 1}},
            "At 1 shot: template b.j2 beats a.j2 by 12 points (4 to 20).",
        ),
        (
            {"context": {"template": "a.j2", "calibration": "none"}},
            "With template a.j2 and no calibration: 8 shots beat 0 by 12 points (4 to 20).",
        ),
        (
            {"factor": "calibration", "a": "none", "b": "batch"},
            "Batch calibration beats no calibration by 12 points (4 to 20).",
        ),
        (
            {"factor": "order", "a": "order 1/4", "b": "order 2/4", **UNSURE},
            "Order 1/4 against order 2/4: cannot tell with 37 queries, about 290 would do.",
        ),
        (
            {"factor": "model", "a": "/m/x\n.gguf", "b": "y"},
            "Model y beats x·.gguf by 12 points (4 to 20).",
        ),
        (
            {"factor": "verbalizer", "a": "labels", "b": "swapped", "n": 1, **UNSURE},
            "Label wording labels against swapped: cannot tell with 1 query, about 290 would do.",
        ),
    ],
)
def test_verdicts(changed: dict[str, Any], text: str) -> None:
    assert verdict(compared(**changed)) == text


shares = st.floats(-1, 1)


@given(shares, shares, shares, st.floats(0, 1))
def test_better_needs_both_the_interval_and_the_p_value(
    x: float, y: float, z: float, p: float
) -> None:
    low, delta, high = sorted((x, y, z))
    found = compared(low=low, delta=delta, high=high, p=p)
    if judge(found) in ("better", "worse"):
        assert p <= 0.05
        assert low > 0 or high < 0
    says = " beat" in verdict(found)
    assert says == (judge(found) in ("better", "worse"))


def test_headlines() -> None:
    best, ci = {"shots": 8, "template": "a.j2"}, (0.41, 0.72)
    assert headline({}, 0.57, ci, []) == "57 % right (41 to 72)."
    assert headline(best, 0.57, ci, [compared()]) == (
        "8 shots with template a.j2 do best, 57 % right (41 to 72): "
        "they beat 0 shots by 12 points (4 to 20)."
    )
    unsure = compared(factor="template", a="b.j2", b="a.j2", **UNSURE)
    assert headline(best, 0.57, ci, [compared(), unsure]) == (
        "8 shots with template a.j2 look best, 57 % right (41 to 72): "
        "they beat 0 shots by 12 points (4 to 20), but 37 queries cannot tell whether they are "
        "better than template b.j2, about 290 would do."
    )
    same = compared(delta=0.0, low=-0.01, high=0.01, p=1.0)
    assert headline({"shots": 1}, 0.5, ci, [same]) == (
        "1 shot looks best, 50 % right (41 to 72): there is no difference that matters to 0 shots."
    )
    assert headline({"shots": 0}, 0.5, ci, []) == (
        "0 shots look best, 50 % right (41 to 72); nothing else that was tried does better."
    )


def test_sources_of_variance() -> None:
    assert moves("order", 4, 0.05, (0.03, 0.08), False) == (
        "The order alone moves it by 5 points (standard deviation among 4 orders, 3 to 8)."
    )
    assert moves("seed", 3, 0.0, (0.0, 0.04), True) == (
        "The draw of shots alone moves it by less than can be seen here (standard deviation among "
        "3 draws up to 4 points)."
    )
    assert moves("query", 37, 0.07, (0.05, 0.09), False) == (
        "Which queries are asked moves it by 7 points (standard deviation, 5 to 9)."
    )
    assert moves("residual", 3, 0.01, (0.005, 0.02), False) == (
        "Answers that flip from cell to cell move it by 1 point (standard deviation, 0.5 to 2.0)."
    )


def test_ranges() -> None:
    assert ranges("order", 6, (0.41, 0.57), 0.09, 0.07, (0.0, 0.15)) == (
        "6 orders range from 41 to 57 % right, 16 points; chance alone would make 9 of equally "
        "good ones, and without it they are about 7 points apart (0 to 15)."
    )


def test_counts_of_what_is_not_listed() -> None:
    assert others(3, 20, "sure") == "In 3 more of 20 pairs one is better than the other."
    assert others(12, 20, "unsure") == (
        "In 12 of 20 pairs these queries cannot tell which is better."
    )


@pytest.mark.parametrize(("n", "text"), [(7, "7"), (97, "97"), (287, "290"), (1801, "1,900")])
def test_about_rounds_up(n: int, text: str) -> None:
    assert verdicts.about(n) == text
