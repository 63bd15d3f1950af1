"""Scores of options by length and as PMI: from the stored scores and one probe per query."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit import Comparison, FakeModel, Predictor, Store, Template, compare, load_task
from promptkit.calibration.methods import OPTION_CALIBRATIONS, by_length, normalised
from promptkit.calibration.probes import premise, with_options
from promptkit.errors import TaskError

QUIZ = load_task("examples/quiz")
MODEL = FakeModel()


@pytest.fixture(scope="module")
def result() -> Comparison:
    return compare(
        QUIZ,
        models=[MODEL],
        templates=["lines.j2"],
        calibrations="all",
        shots=[0, 2],
        seeds=1,
        store=Store(),
    )


def test_every_score_stands_beside_the_raw_one(result: Comparison) -> None:
    cells = {row.calibration for row in result.rows}
    assert cells == {"none", *OPTION_CALIBRATIONS}
    for one in result.predictions:
        for probs in one.calibrated.values():
            assert [*probs] == [*(one.probs or {})] == one.input["choices"]
            assert sum(probs.values()) == pytest.approx(1)


def test_scores_by_length_are_those_of_a_loop(result: Comparison) -> None:
    for one in result.predictions:
        raw, texts = one.logprobs or {}, [option.encode() for option in one.input["choices"]]
        same = [len(set(bytes)) == 1 for bytes in zip(*texts, strict=False)]
        # What all begin with is not scored, and a token of this model is a byte.
        shared = [*same, False].index(False)
        for method, less in (("by_byte", 0), ("by_token", shared)):
            means = [math.exp(raw[text.decode()] / (len(text) - less)) for text in texts]
            expected = [mean / sum(means) for mean in means]
            assert [*one.calibrated[method].values()] == pytest.approx(expected)


def test_pmi_takes_the_options_of_the_query_without_its_question(result: Comparison) -> None:
    for one in result.predictions[:5]:
        query = QUIZ.tests.by_id(one.id)
        assert query is not None
        probe = with_options(QUIZ, premise(QUIZ), query)
        assert QUIZ.answers_of(probe) == QUIZ.answers_of(query)
        alone = Predictor(QUIZ, Template.of(QUIZ, "lines.j2"), MODEL).predict([probe])[0]
        ratio = np.array([(one.probs or {})[o] / (alone.probs or {})[o] for o in one.probs or {}])
        assert [*one.calibrated["pmi"].values()] == pytest.approx([*(ratio / ratio.sum())])


def test_lengths_take_no_further_prompts() -> None:
    counts = []
    for calibrations in ([], ["by_byte", "by_token"]):
        made = compare(
            QUIZ,
            models=[FakeModel()],
            calibrations=calibrations,
            shots=[0],
            limit=5,
            store=Store(),
        )
        counts.append(made.usage.prompts)
    assert counts == [5, 5]


def test_methods_are_those_of_the_kind_of_answer() -> None:
    fruit = load_task("examples/fruit")
    for task, method in ((QUIZ, "batch"), (fruit, "by_byte")):
        with pytest.raises(TaskError, match=f"no calibration '{method}'"):
            compare(task, models=[FakeModel()], calibrations=[method], store=Store())  # type: ignore[list-item]


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=5), st.integers(1, 9))
def test_equal_lengths_change_no_answer(scores: list[float], length: int) -> None:
    found = by_length([scores], [[length] * len(scores)])
    assert np.exp(found).sum() == pytest.approx(1)
    assert found[0][int(np.argmax(scores))] == found.max()
    assert by_length([scores], [[1] * len(scores)]) == pytest.approx(normalised([scores]))
