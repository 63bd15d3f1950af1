"""Crossing points of learning curves, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from promptkit.evaluation.intervals import holm, paired_difference
from promptkit.evaluation.learning_curve import AtSize, CurvePair, compared, crossings, point
from promptkit.evaluation.metric import ACCURACY, BY_NAME
from promptkit.evaluation.outcomes import Numbers, Outcomes
from promptkit.inference.cell import Cell

PROMPT = "a prompt with up to 8 shots"


def pair(labels: int, better: int, delta: float = 0.06, name: str = "linear") -> CurvePair:
    delta = -delta if better < 0 else delta
    ends = (delta - 0.04, delta + 0.04) if better else (delta - 0.1, delta + 0.1)
    return CurvePair(name, labels, 8, delta, ends, ends, 0.01, 0.01, better)


def said(*pairs: CurvePair) -> str:
    (sentence,) = crossings(pairs, PROMPT, ACCURACY)
    return sentence


def test_a_crossing_with_a_gap() -> None:
    assert said(pair(8, -1), pair(16, -1), pair(32, 0), pair(64, 1), pair(128, 1)) == (
        "Up to 16 labelled rows a prompt with up to 8 shots is better than linear (-6 points "
        "[-10, -2] at 16); from 64 on linear is (+6 points [+2, +10] at 64), and between them they "
        "are not separated."
    )


def test_a_crossing_without_a_gap() -> None:
    assert said(pair(16, -1), pair(32, 1)) == (
        "Up to 16 labelled rows a prompt with up to 8 shots is better than linear (-6 points "
        "[-10, -2] at 16); from 32 on linear is (+6 points [+2, +10] at 32)."
    )


def test_only_the_model_is_ever_better() -> None:
    assert said(pair(16, 0), pair(32, 1), pair(64, 1)) == (
        "From 32 labelled rows on linear is better than a prompt with up to 8 shots (+6 points "
        "[+2, +10] at 32); with fewer they are not separated."
    )
    assert said(pair(16, 1), pair(32, 1)).endswith("(+6 points [+2, +10] at 16).")


def test_only_the_prompt_is_ever_better() -> None:
    assert said(pair(16, -1), pair(32, 0)) == (
        "Up to 16 labelled rows a prompt with up to 8 shots is better than linear (-6 points "
        "[-10, -2] at 16); with more, up to 32, they are not separated."
    )
    assert said(pair(16, 0), pair(2000, -1)) == (
        "Up to 2,000 labelled rows a prompt with up to 8 shots is better than linear (-6 points "
        "[-10, -2] at 2,000), which is all there are."
    )


def test_nothing_is_separated() -> None:
    both = pair(16, 0), pair(32, 0), pair(32, 0, name="neighbours")
    assert said(*both) == (
        "At no number of labelled rows up to 32 is a prompt with up to 8 shots separated from "
        "linear or neighbours."
    )


def test_an_early_lead_that_is_lost_is_no_crossing() -> None:
    assert said(pair(4, 1), pair(8, -1), pair(16, 0)).startswith("Up to 8 labelled rows a prompt")


def test_each_model_has_a_sentence_of_its_own() -> None:
    both = [pair(16, 1), pair(32, 1), *(pair(n, -1, name="neighbours") for n in (16, 32))]
    first, second = crossings(both, PROMPT, ACCURACY)
    assert first.startswith("From 16 labelled rows on linear")
    assert "better than neighbours" in second


def outcomes(correct: list[list[int]], drawn: bool = True) -> Outcomes:
    cell = Cell(model="m", template="t", selection="balanced", shots=1)
    return Outcomes(cell, np.array(correct, dtype=np.int64), drawn=drawn)


def test_pairs_are_paired_differences_corrected_together() -> None:
    rng = np.random.default_rng(0)
    prompt = outcomes(rng.integers(0, 2, (60, 1)).tolist(), drawn=False)
    models = [outcomes((prompt.correct | rng.integers(0, 2, (60, 1))).tolist(), False), prompt]
    sizes = zip((16, 32), models, strict=True)
    found = compared([AtSize("linear", n, 8, prompt, one) for n, one in sizes], ACCURACY)
    oracles = [paired_difference(prompt.correct, one.correct) for one in models]
    assert [one.p for one in found] == pytest.approx([one.p for one in oracles])
    assert [one.p_holm for one in found] == pytest.approx(holm([one.p for one in oracles]))
    assert [(one.delta, one.ci) for one in found] == [
        (one.delta, (one.ci.low, one.ci.high)) for one in oracles
    ]
    assert [one.better for one in found] == [1, 0]


def test_of_errors_the_smaller_is_better() -> None:
    mae = BY_NAME["mae"]

    gold = np.arange(40.0)
    far, near = (
        replace(outcomes([[0]] * 40, False), values=Numbers(gold, (gold + off)[:, None]))
        for off in (np.linspace(3, 5, 40), np.linspace(0, 1, 40))
    )
    (found,) = compared([AtSize("ridge", 16, 8, far, near)], mae)
    assert (found.delta, found.better) == (pytest.approx(-3.5), 1)
    (sentence,) = crossings([found], PROMPT, mae)
    assert sentence.startswith("Ridge, made from 16 labelled rows, is better")
    assert "MAE 3.5" in sentence


def test_a_point_says_what_its_interval_is_about() -> None:
    drawn = point(8, outcomes([[1, 0], [1, 1], [0, 1]]), ACCURACY)
    whole = point(60, outcomes([[1, 1], [1, 1], [0, 0]], drawn=False), ACCURACY)
    assert drawn is not None
    assert whole is not None
    assert (drawn.draws, whole.draws) == (2, 1)
    assert whole.ci == whole.ci_fixed
    assert point(8, outcomes([[1], [0]]), BY_NAME["mae"]) is None


def test_of_one_size_nothing_is_said_about_others() -> None:
    assert said(pair(800, 1)) == (
        "Linear, made from 800 labelled rows, is better than a prompt with up to 8 shots "
        "(+6 points [+2, +10])."
    )
    assert said(pair(50, -1)) == (
        "A prompt with up to 8 shots is better than linear, made from 50 labelled rows "
        "(-6 points [-10, -2])."
    )


def test_more_rows_than_a_model_was_made_from() -> None:
    (sentence,) = crossings([pair(16, 0), pair(200, -1)], PROMPT, ACCURACY, rows=6920)
    assert sentence.endswith("at 200), the most it was made from.")
    both = pair(16, 0), pair(800, 0, name="LoRA")
    assert len([*crossings(both, PROMPT, ACCURACY)]) == 2
