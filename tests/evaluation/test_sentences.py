from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit.evaluation.headline import Leader, headline
from promptkit.evaluation.sentences import (
    Compared,
    component,
    finds,
    judge,
    others,
    spread,
    verdict,
)
from promptkit.text import about


def compared(**changed: Any) -> Compared:
    given: dict[str, Any] = {
        "factor": "shots",
        "a": 0,
        "b": 8,
        "delta": 0.12,
        "low": 0.04,
        "high": 0.2,
        "p": 0.003,
        "comparisons": 7,
        "context": {},
    }
    return Compared(**(given | changed))


UNSURE = {"delta": 0.05, "low": -0.05, "high": 0.15, "p": 0.4}
OPEN = "+5 points [-5, +15], not significant after correcting for 7 comparisons (p = 0.40)."
SURE = "+12 points [+4, +20], significant (Holm-adjusted p = 0.003)."


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, f"8 shots vs 0: {SURE}"),
        ({"b": 1}, f"1 shot vs 0: {SURE}"),
        (
            {"delta": -0.12, "low": -0.2, "high": -0.04, "p": 0.00002},
            "8 shots vs 0: -12 points [-20, -4], significant (Holm-adjusted p < 0.001).",
        ),
        ({"a": 2, "b": 4, **UNSURE}, f"4 shots vs 2: {OPEN}"),
        (
            {"comparisons": 1, "p": 0.06},
            "8 shots vs 0: +12 points [+4, +20], not significant (p = 0.060).",
        ),
        ({"comparisons": 1}, "8 shots vs 0: +12 points [+4, +20], significant (p = 0.003)."),
        (
            {"general": False},
            "8 shots vs 0: +12 points [+4, +20], significant (Holm-adjusted p = 0.003) for this "
            "draw of shots.",
        ),
        (
            {"b": 1, "delta": 0.001, "low": -0.01, "high": 0.012, "p": 0.9},
            "1 shot vs 0: 0 points [-1, +1], no difference of more than 2 points.",
        ),
        (
            {"delta": 0.013, "low": 0.002, "high": 0.024, "p": 0.001},
            "8 shots vs 0: +1.3 points [+0.2, +2.4], significant (Holm-adjusted p = 0.001).",
        ),
        (
            {"factor": "template", "a": "a.j2", "b": "b.j2", "context": {"shots": 1}},
            f"At 1 shot: template b.j2 vs a.j2: {SURE}",
        ),
        (
            {"context": {"template": "a.j2", "calibration": "none"}},
            f"With template a.j2 and no calibration: 8 shots vs 0: {SURE}",
        ),
        (
            {"factor": "calibration", "a": "none", "b": "batch"},
            f"Batch calibration vs no calibration: {SURE}",
        ),
        (
            {"factor": "order", "a": "order 1/4", "b": "order 2/4", **UNSURE},
            f"Order 2/4 vs order 1/4: {OPEN}",
        ),
        ({"factor": "model", "a": "/m/x\n.gguf", "b": "y"}, f"Model y vs x⏎.gguf: {SURE}"),
        (
            {"factor": "verbalizer", "a": "labels", "b": "swapped", **UNSURE},
            f"Verbalizer swapped vs labels: {OPEN}",
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
    says = ", significant" in verdict(found)
    assert says == (judge(found) in ("better", "worse"))


def leader(**changed: Any) -> Leader:
    given: dict[str, Any] = {
        "levels": {"shots": 8, "template": "a.j2"},
        "value": 0.57,
        "ci": (0.41, 0.72),
        "separated": False,
        "others": 4,
    }
    return Leader(**(given | changed))


def test_a_leader_is_called_the_best_only_against_all_others() -> None:
    assert headline(leader(separated=True), [], [compared()]) == [
        "8 shots with template a.j2 are best, 57 % right [41, 72]: better than 0 shots "
        "(+12 [+4, +20]); separated from all 4 other cells."
    ]
    open_rivals = [{"shots": 1}, {"shots": 4}, {"template": "b.j2"}]
    assert headline(leader(), open_rivals, [compared()]) == [
        "8 shots with template a.j2 scored highest, 57 % right [41, 72]: better than 0 shots "
        "(+12 [+4, +20]); not separated from 1 or 4 shots or template b.j2."
    ]
    assert headline(leader(levels={"shots": 1}, separated=True, others=1), [], []) == [
        "1 shot is best, 57 % right [41, 72]: separated from the other cell."
    ]


def test_a_win_of_the_fewest_shots_is_said_as_one() -> None:
    loss = compared(a=0, b=8, delta=-0.17, low=-0.25, high=-0.09, p=0.001)
    (said,) = headline(leader(levels={"shots": 0}, separated=True), [], [loss])
    assert said.startswith("0 shots are best, 57 % right [41, 72]: better than 8 shots (+17 [+9,")


def test_many_open_rivals_are_counted() -> None:
    some = [{"template": f"{number}.j2"} for number in range(6)]
    assert "not separated from 6 of the 20 others." in headline(leader(others=20), some, [])[0]
    raw = {"calibration": "none"}
    open_ = [{"shots": 0}, {"shots": 0, **raw}, raw]
    assert headline(leader(others=3), open_, [])[0].endswith(
        "not separated from 0 shots, 0 shots without calibration or the same cell without "
        "calibration."
    )
    assert "not separated from any of the 6 others." in headline(leader(others=6), some, [])[0]


def test_a_constant_that_is_no_worse_comes_first() -> None:
    first, second = headline(leader(baseline=0.6), [{"shots": 1}], [])
    assert first == (
        "No cell beats the majority-class baseline: it is right 60 % of the time, more often than "
        "the best cell (57 %)."
    )
    assert second.startswith("8 shots with template a.j2 scored highest")
    assert len(headline(leader(baseline=0.5), [{"shots": 1}], [])) == 1


def test_one_cell_and_one_draw() -> None:
    assert headline(leader(levels={}, others=0), [], []) == ["57 % right [41, 72]."]
    (said,) = headline(leader(general=False), [{"shots": 1}], [])
    assert said.endswith("not separated from 1 shot, for this draw of shots.")


def test_variance_components() -> None:
    assert component("order", 4, 0.05, (0.03, 0.08), False) == (
        "Orders: standard deviation of 5 points [3, 8] among 4 orders."
    )
    assert component("seed", 3, 0.0, (0.0, 0.04), True) == (
        "Draws: no variance seen among 3 draws, standard deviation up to 4 points."
    )
    assert component("query", 37, 0.07, (0.05, 0.09), False) == (
        "Queries: standard deviation of 7 points [5, 9]."
    )
    assert component("residual", 3, 0.01, (0.005, 0.02), False) == (
        "Residual (answers that change from cell to cell): standard deviation of 1 point "
        "[0.5, 2.0]."
    )


def test_ranges() -> None:
    assert spread("order", 6, (0.41, 0.57), 0.09, 0.07, (0.0, 0.15)) == (
        "6 orders: 41 to 57 % right, a range of 16 points; noise alone would make 9, and without "
        "it the range is about 7 points [0, 15]."
    )


def test_counts_of_what_is_not_listed() -> None:
    assert others(3, 20, "sure") == "In 3 more of 20 pairs the difference is significant."
    assert others(12, 20, "unsure") == "In 12 of 20 pairs the difference is not significant."


def test_what_a_comparison_finds() -> None:
    assert finds(300, 8, 7, 0.09, [(0.1, 240, None), (0.05, None, 20)]) == (
        "Among 7 comparisons, 300 queries with 8 draws of shots find a true difference of about "
        "9 points four times in five; one of 10 takes about 240 queries, one of 5 takes more draws "
        "(about 20)."
    )
    assert finds(1, None, 1, None, [(0.1, None, None)]) == (
        "1 query finds no difference, however large; one of 10 takes more queries and more draws."
    )


@pytest.mark.parametrize(("n", "text"), [(7, "7"), (97, "97"), (287, "290"), (1801, "1,900")])
def test_about_rounds_up(n: int, text: str) -> None:
    assert about(n) == text
