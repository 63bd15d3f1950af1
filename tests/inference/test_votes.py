"""Self-consistency: several samples of what comes before an answer, whose answers vote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.reasoning import Reasoning, Response
from promptkit.inference.voting import pooled
from promptkit.models.base import Sampling, Score
from promptkit.tasks.measures import Scoring


class Sum(BaseModel):
    text: str


TEMPLATE = pk.Template(
    "{% example %}\nQ: {{ input.text }}\nWhy: {{ rationale }}\nA: {{ output }}\n\n{% endexample %}"
)
PLAIN = pk.Template("{% example %}\nQ: {{ input.text }}\nA: {{ output }}\n\n{% endexample %}")


def task(output: Any = int, golds: Sequence[Any] = (5, 2), **more: Any) -> pk.Task[Any, Any]:
    tests = [{"input": {"text": f"q{n}"}, "output": gold} for n, gold in enumerate(golds)]
    return pk.Task[Sum, output](name="sums", tests=tests, **more)


def saying(*answers: str) -> pk.FakeModel:
    """Return a model whose samples give these answers, one after the other."""

    def answer(prompt: pk.Prompt) -> str:
        if prompt.asks == "rationale":
            return f"reason {prompt.sample}\nA: …"
        return answers[int(prompt.text.rpartition("reason ")[2].partition("\n")[0])]

    return pk.FakeModel(answer)


def predicted(model: pk.FakeModel, one: pk.Task[Any, Any], count: int) -> pk.Prediction:
    predictor = pk.Predictor(one, TEMPLATE, model, rationales=count)
    return predictor.predict(one.tests)[0]


def test_the_most_common_number_is_the_answer() -> None:
    one = predicted(saying("5", "7", " 5", "none", "7", "5"), task(), 6)
    assert (one.label, one.correct, one.probs) == (5, True, {"5": 0.5, "7": 2 / 6})
    assert (one.rationale, one.text) == ("reason 0", " 5")
    assert [vote.label for vote in one.votes] == [5, 7, 5, None, 7, 5]
    assert [vote.rationale for vote in one.votes] == [f"reason {n}" for n in range(6)]
    assert one.votes[3].failure is not None


def test_of_equally_common_answers_the_first_counts() -> None:
    assert predicted(saying("7", "5", "5", "7"), task(), 4).label == 7


def test_without_any_answer_it_fails() -> None:
    one = predicted(saying("x", "y"), task(), 2)
    assert (one.label, one.correct, one.probs) == (None, False, None)
    assert one.failure.startswith("none of 2 samples gave an answer; the first: ")


def test_texts_vote_in_their_normal_form() -> None:
    texts = task(str, ("Paris", "Rome"))
    one = predicted(saying("paris", "The Paris.", "Rome", "The Paris."), texts, 4)
    assert (one.label, one.probs) == ("The Paris.", {"The Paris.": 0.75, "Rome": 0.25})
    numbers = task(str, ("12", "3"), scoring=Scoring(match="number"))
    one = predicted(saying("12 apples", "twelve", "it is 12.0"), numbers, 3)
    assert (one.label, one.correct, one.probs["12 apples"]) == ("12 apples", True, 2 / 3)


def test_labels_have_the_mean_of_their_probabilities() -> None:
    labels = task(Literal["2", "5"], ("5", "2"))
    one = predicted(saying("5", "2", "5"), labels, 3)
    assert one.label == "5"
    assert one.probs["5"] == pytest.approx((2 * 0.9 / 0.99 + 0.09 / 0.99) / 3)
    assert one.coverage == pytest.approx(0.99)
    assert [vote.label for vote in one.votes] == ["5", "2", "5"]
    assert one.votes[1].probability == pytest.approx(0.9 / 0.99)


def response(score: Score) -> Response:
    (request,) = pk.FakeModel().tokenize([PLAIN.render(task(), query={"text": "q"})])
    return Response(request, score)


@given(st.lists(st.lists(st.floats(-20, -1), min_size=3, max_size=3), min_size=1, max_size=6))
def test_pooled_scores_are_means_over_samples(rows: list[list[float]]) -> None:
    made = pooled([response(Score(tuple(row), 3, 0.5)) for row in rows])
    table = np.exp(rows)
    masses = table.sum(axis=1)
    assert math.fsum(np.exp(made.logprobs)) == pytest.approx(masses.mean())
    expected = (table / masses[:, np.newaxis]).mean(axis=0)
    found = np.exp(made.logprobs)
    assert found / found.sum() == pytest.approx(expected)


def test_a_single_score_is_left_as_it_is() -> None:
    score = Score((-1.0, -math.inf), 3, 0.5)
    assert pooled([response(score)]) is score
    assert pooled([response(score), response(score)]).logprobs == pytest.approx(score.logprobs)


@given(st.lists(st.sampled_from(["1", "2", "3", "x"]), min_size=2, max_size=9))
def test_the_answer_has_most_votes(said: list[str]) -> None:
    one = predicted(saying(*said), task(), len(said))
    counts = {text: said.count(text) for text in said if text != "x"}
    if not counts:
        assert one.failure is not None
        return
    assert one.probs == pytest.approx({text: n / len(said) for text, n in counts.items()})
    assert str(one.label) == next(text for text in counts if counts[text] == max(counts.values()))


def test_samples_are_stored_apart_and_more_of_them_go_on() -> None:
    store, model = pk.Store(), pk.FakeModel()
    for count, stored in ((1, 4), (3, 10), (5, 14)):
        predictor = pk.Predictor(task(), TEMPLATE, model, rationales=count)
        first = predictor.predict(predictor.task.tests, store=store)
        assert predictor.predict(predictor.task.tests, store=store) == first
        texts = [vote.rationale for vote in first[0].votes]
        assert len(set(texts)) == len(texts) == (count if count > 1 else 0)
        # The greedy rationale, and as many again at another temperature, each with its answer.
        assert len(store) >= stored - 4
    assert Reasoning(samples=5).sampling("rationale", Sampling()).temperature == 0.7
    assert Reasoning(samples=5).sampling("rationale", Sampling(temperature=0.3)).temperature == 0.3


def compared(**chosen: Any) -> pk.Comparison:
    chosen = {"models": [saying("5", "2", "5", "5")], "rationales": 4} | chosen
    chosen |= {"templates": [TEMPLATE], "shots": [0], "store": pk.Store(), "lint": False}
    return pk.compare(task(), **chosen)


def test_the_share_of_the_votes_is_a_probability(tmp_path: Path) -> None:
    made = compared(seeds=1, max_error=0.9, metric="brier")
    row = next(row for row in made.rows if row.seed is None)
    assert row.accuracy == 0.5
    assert row.brier == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert row.figures["aurc"].value == pytest.approx(0.5)
    assert made.selective is not None
    assert made.selective.curve[-1].risk == 0.5
    again = read_run(made.save(tmp_path)).predictions
    assert again == made.predictions
    assert [vote.label for vote in again[0].votes] == [5, 2, 5, 5]
    html = (tmp_path / "report.html").read_text()
    assert "Samples" in html


def test_one_sample_is_what_it_was_before() -> None:
    model = saying("5")
    plain = compared(models=[model], rationales=1)
    predictor = pk.Predictor(task(), TEMPLATE, model)
    assert plain.predictions[:2] == tuple(predictor.predict(predictor.task.tests))
    assert all(one.probs is None and one.votes == () for one in plain.predictions)
    with pytest.raises(TaskError, match="brier"):
        compared(rationales=1, metric="brier")


def test_several_samples_need_something_before_the_answer() -> None:
    with pytest.raises(TaskError, match=r"rationales is 3, but no template prints {{ rationale }}"):
        pk.compare(task(), templates=[PLAIN], models=[pk.FakeModel()], shots=[0], rationales=3)
    with pytest.raises(TaskError, match="rationales is 0; it is 1 or more"):
        pk.Predictor(task(), TEMPLATE, pk.FakeModel(), rationales=0)


def test_templates_without_a_rationale_are_asked_once() -> None:
    model = saying(*"5555")
    made = pk.compare(
        task(),
        templates=[TEMPLATE, pk.Template("reason 0\n" + PLAIN.source, name="plain")],
        models=[model],
        shots=[0],
        seeds=1,
        rationales=4,
        store=pk.Store(),
        lint=False,
    )
    votes = {p.template: len(p.votes) for p in made.predictions}
    assert sorted(votes.values()) == [0, 4]


@pytest.mark.model
def test_the_bundled_model_samples_within_one_plan(smollm2: Any) -> None:
    before = smollm2.usage.decoded_tokens
    predictor = pk.Predictor(task(), TEMPLATE, smollm2, rationales=4, rationale_tokens=12)
    store = pk.Store()
    first = predictor.predict(predictor.task.tests, store=store)
    assert len({vote.rationale for one in first for vote in one.votes}) > 4
    assert predictor.predict(predictor.task.tests, store=store) == first
    one_by_one = sum(4 * one.tokens for one in first)
    assert (smollm2.usage.decoded_tokens - before) / 2 < one_by_one * 2
