from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from samples import COLON, CountingModel, asked_word, open_task, parity, parity_task

import promptkit.inference.answering
from promptkit.errors import ModelError, PromptkitError, PromptTooLongError, TemplateError
from promptkit.inference.answering import answer, unique_tokens
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.models.base import Generation, Sampling, Score
from promptkit.models.fake import FakeModel
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.templating.template import Template


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Reply(BaseModel):
    size: float
    tags: list[str] = []


def ask(output: Any, reply: str, gold: Any, **more: Any) -> Prediction:
    """What one query comes to where the model writes `reply`."""
    task = open_task(output, gold)
    (prediction,) = Predictor(task, COLON, FakeModel(lambda p: reply), **more).predict(task.tests)
    return prediction


# What is scored.


def test_a_scored_answer() -> None:
    task = parity_task()
    model = FakeModel(lambda prompt: parity(asked_word(prompt)))
    predictions = Predictor(task, COLON, model, shots=2, seed=7).predict(task.tests)
    assert [p.id for p in predictions] == [e.id for e in task.tests]
    for p, example in zip(predictions, task.tests, strict=True):
        assert (p.label, p.gold, p.correct) == (example.output, example.output, True)
        assert p.input == {"word": example.input.word}
        assert p.logprobs is not None
        assert p.probs is not None
        wrong = "odd" if p.label == "even" else "even"
        assert dict(p.logprobs) == {p.label: math.log(0.9), wrong: math.log(0.09)}
        assert list(p.logprobs) == list(p.probs) == ["even", "odd"]
        assert p.probs[p.label] == pytest.approx(0.9 / 0.99)
        assert sum(p.probs.values()) == pytest.approx(1)
        assert p.margin == pytest.approx(math.log(10))
        assert p.coverage == pytest.approx(0.99)
        assert (p.shots, len(p.shot_ids), p.seed) == (2, 2, 7)
        assert (p.template, p.model, p.selection) == ("colon", "fake", "balanced")
        assert p.text is p.failure is None


def test_selections_and_orders_by_name() -> None:
    task = parity_task()
    named = Predictor(task, COLON, FakeModel(), 3, selection="first", order="reversed")
    (prediction,) = named.predict(task.tests[:1])
    first = [demo.id for demo in task.demos[:3]]
    assert prediction.shot_ids == tuple(reversed(first))
    assert (prediction.selection, prediction.order) == ("first", "reversed")
    given = Predictor(task, COLON, FakeModel(), 2, selection=first).predict(task.tests[:1])
    assert given[0].shot_ids == tuple(first[:2])
    for wrong in (
        Predictor(task, COLON, FakeModel(), 2, selection="best"),
        Predictor(task, COLON, FakeModel(), 2, order="best"),
    ):
        with pytest.raises(PromptkitError, match=r"unknown .* 'best'"):
            wrong.predict(task.tests[:1])


@pytest.mark.parametrize(
    ("output", "gold", "label"),
    [
        (bool, True, True),
        (Size, Size.LARGE, "large"),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], 2, "2"),
    ],
)
def test_labels_of_every_closed_type(output: Any, gold: Any, label: Any) -> None:
    p = ask(output, "true" if gold is True else str(label), gold)
    assert (p.label, p.gold, p.correct) == (label, label, True)
    assert type(p.label) is type(label)
    assert p.margin == pytest.approx(math.log(10))


def test_a_label_all_alone() -> None:
    p = ask(Literal["yes"], "yes", "yes")
    assert (p.label, p.margin, p.probs) == ("yes", None, {"yes": 1.0})


def test_a_query_without_a_gold_label() -> None:
    task = parity_task()
    query = task.as_query({"word": "apple"})
    (p,) = Predictor(task, COLON, FakeModel(lambda prompt: "odd")).predict([query])
    assert (p.label, p.gold, p.correct) == ("odd", None, None)


class Fixed(FakeModel):
    """Gives the same score to every prompt."""

    def __init__(self, *logprobs: float) -> None:
        super().__init__()
        self.logprobs = logprobs

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Any:
        return ((i, Score(self.logprobs, len(p.ids), 0.0)) for i, p in enumerate(prompts))


def fixed(*logprobs: float) -> Prediction:
    task = parity_task(asked=1)
    return Predictor(task, COLON, Fixed(*logprobs)).predict(task.tests)[0]


def test_the_first_of_equal_labels_wins() -> None:
    p = fixed(-1.0, -1.0)
    assert (p.label, p.margin, p.probs) == ("even", 0.0, {"even": 0.5, "odd": 0.5})


def test_very_unlikely_labels_keep_their_proportions() -> None:
    p = fixed(-5000.0, -5000.0 + math.log(3))
    assert p.probs == pytest.approx({"even": 0.25, "odd": 0.75})
    assert p.coverage == 0.0


def test_an_impossible_label() -> None:
    p = fixed(-math.inf, -1.0)
    assert (p.label, p.margin, p.probs) == ("odd", math.inf, {"even": 0.0, "odd": 1.0})


@pytest.mark.parametrize("logprobs", [(math.nan, -1.0), (-1.0, math.nan), (-math.inf,) * 2])
def test_a_model_that_gives_no_numbers_is_an_error(logprobs: tuple[float, float]) -> None:
    task, store = parity_task(), Store()
    with pytest.raises(ModelError, match=r"fake.*NaN.*'t-"):
        Predictor(task, COLON, Fixed(*logprobs)).predict(task.tests, store=store)
    assert len(store) == 0


# What is generated.


@pytest.mark.parametrize(
    ("output", "reply", "gold", "label"),
    [
        (str, "a text", "a text", "a text"),
        (str, "", "x", ""),
        (int, "-12", -12, -12),
        (int, " 7", 7, 7),
        (float, "2.50", 2.5, 2.5),
        (float, "3", 3.0, 3.0),
        (
            Reply,
            '{"size": 3, "tags": ["a"]}',
            Reply(size=3, tags=["a"]),
            {"size": 3.0, "tags": ["a"]},
        ),
        (list[int], "[1, 2]", [1, 2], [1, 2]),
    ],
)
def test_a_generated_answer(output: Any, reply: str, gold: Any, label: Any) -> None:
    p = ask(output, reply, gold)
    assert p.label == label
    assert type(p.label) is type(label)
    assert p.correct is (reply != "")
    assert p.text is not None
    assert p.text.strip() == reply.strip()
    assert p.logprobs is p.probs is p.margin is p.coverage is p.failure is None


@pytest.mark.parametrize(
    ("output", "reply", "reason"),
    [
        (int, "about ten", "integer"),
        (int, "3.5", "integer"),
        (int, "", "integer"),
        (float, "much", "number"),
        (Reply, '{"size": "big"}', "size: .*number"),
        (Reply, "{", "JSON"),
        (Reply, "[]", "object"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(output: Any, reply: str, reason: str) -> None:
    gold = Reply(size=1) if output is Reply else 1
    p = ask(output, reply, gold)
    assert p.label is None
    assert p.correct is False
    assert p.failure is not None
    assert "\n" not in p.failure
    assert re.search(reason, p.failure)


class Cut(FakeModel):
    """Never comes to an end."""

    def generate(self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()) -> Any:
        for index, prompt in enumerate(prompts):
            yield index, Generation("{" * sampling.max_tokens, "length", len(prompt.ids), 0, 0.0)


def test_a_failure_says_that_the_answer_was_cut() -> None:
    task = open_task(Reply, Reply(size=1))
    (p,) = Predictor(task, COLON, Cut(), sampling=Sampling(5)).predict(task.tests)
    assert p.text == "{" * 5
    assert p.failure is not None
    assert "cut at its budget of tokens" in p.failure


@pytest.mark.parametrize("finish", ["length", "stuck"])
def test_half_a_number_is_no_answer(finish: Any) -> None:
    class Ends(FakeModel):
        def generate(self, prompts: Any, sampling: Sampling = Sampling()) -> Any:
            yield 0, Generation(" 12", finish, 3, 1, 0.0)

    (p,) = Predictor(open_task(int, 12), COLON, Ends()).predict(open_task(int, 12).tests)
    assert (p.text, p.label, p.correct) == (" 12", None, False)
    expected = {"length": "cut at its budget of tokens", "stuck": "has no token with which"}
    assert p.failure is not None
    assert expected[finish] in p.failure


def test_a_prompt_carries_the_format_of_its_answer() -> None:
    for output in (int, Reply, Literal["a", "b"], str):
        task = open_task(output)
        prompt = COLON.render(task, query={"word": "x"})
        assert prompt.format == task.output_type.format
        assert (prompt.format is None) is (output is str or bool(task.labels))


# What is asked, and what is stored.


def test_a_prompt_that_occurs_twice_is_asked_once() -> None:
    model, task = CountingModel(), parity_task()
    predictions = Predictor(task, COLON, model).predict([*task.tests, *task.tests])
    assert len(model.asked) == len(task.tests)
    assert predictions[: len(task.tests)] == predictions[len(task.tests) :]


def test_answers_in_any_order_find_their_queries() -> None:
    class Backwards(CountingModel):
        def score(self, prompts: Sequence[TokenizedPrompt]) -> Any:
            return reversed(list(super().score(prompts)))

    task = parity_task()
    there, back = (
        Predictor(task, COLON, model(lambda p: parity(asked_word(p)))).predict(task.tests)
        for model in (FakeModel, Backwards)
    )
    assert there == back


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    task = parity_task(asked=3)
    Predictor(task, COLON, FakeModel()).predict(task.tests, progress=lambda *at: told.append(at))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("error", [RuntimeError("half-way"), KeyboardInterrupt()])
def test_what_was_made_before_an_error_is_stored(error: BaseException) -> None:
    class Breaks(CountingModel):
        def before(self, prompt: TokenizedPrompt) -> None:
            if len(self.asked) == 4:
                raise error

    task, store = parity_task(), Store()
    with pytest.raises(type(error)):
        Predictor(task, COLON, Breaks()).predict(task.tests, store=store)
    assert len(store) == 4
    model = CountingModel()
    resumed = Predictor(task, COLON, model).predict(task.tests, store=store)
    assert len(model.asked) == len(task.tests) - 4
    assert resumed == Predictor(task, COLON, FakeModel()).predict(task.tests)


def test_results_are_stored_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promptkit.inference.answering, "COMMIT_SECONDS", 0.0)
    task, store, kept = parity_task(), Store(), []

    class Watching(CountingModel):
        def before(self, prompt: TokenizedPrompt) -> None:
            kept.append(len(store))

    Predictor(task, COLON, Watching()).predict(task.tests, store=store)
    assert kept == list(range(len(task.tests)))


def test_nothing_asked_is_nothing_answered() -> None:
    assert Predictor(parity_task(), COLON, FakeModel()).predict([]) == []


# What does not fit.

LONG = 60  # bytes: `COLON` with a word of 6 letters and no more than 4 or 5 shots


def test_a_prompt_that_does_not_fit_is_an_error_before_anything_runs() -> None:
    model, task = CountingModel(context=LONG), parity_task()
    with pytest.raises(PromptTooLongError, match=str(LONG)):
        Predictor(task, COLON, model, shots=8).predict(task.tests)
    assert model.asked == []


def test_shots_that_do_not_fit_are_dropped_on_request() -> None:
    task = parity_task()
    small, large = CountingModel(context=LONG), FakeModel()
    cut = Predictor(task, COLON, small, shots=8, fit="drop-shots").predict(task.tests)
    whole = Predictor(task, COLON, large, shots=8).predict(task.tests)
    for some, all_, prompt in zip(cut, whole, small.asked, strict=True):
        shown = len(some.shot_ids)
        assert 0 < shown < some.shots == 8
        assert some.shot_ids == all_.shot_ids[:shown]
        longest = max(prompt.candidate_tokens)
        assert some.tokens == len(prompt.ids) <= LONG - longest
        (more,) = Predictor(task, COLON, large, shots=shown + 1).predict([task.tests[0]])
        assert more.tokens > LONG - longest or some.id != task.tests[0].id


def test_a_query_that_does_not_fit_by_itself() -> None:
    task = parity_task()
    with pytest.raises(PromptTooLongError):
        Predictor(task, COLON, FakeModel(context=3), shots=2, fit="drop-shots").predict(task.tests)


def test_a_generated_answer_has_its_room() -> None:
    task = open_task(int, 1)
    length = Predictor(task, COLON, FakeModel()).predict(task.tests)[0].tokens
    model = CountingModel(context=length + 8)
    assert Predictor(task, COLON, model, sampling=Sampling(8)).predict(task.tests)
    model.asked.clear()
    with pytest.raises(PromptTooLongError, match=r"'w0-.* 0 shots: .* 9 of answer"):
        Predictor(task, COLON, model, sampling=Sampling(9)).predict(task.tests)
    assert model.asked == []


def test_shots_make_room_for_a_generated_answer() -> None:
    pool = [{"input": {"word": f"shot{i}"}, "output": i} for i in range(4)]
    task = type(open_task(int))(name="t", demos=pool, tests=[{"input": {"word": "w"}, "output": 1}])
    model = FakeModel(context=50)
    (p,) = Predictor(task, COLON, model, 4, fit="drop-shots", sampling=Sampling(30)).predict(
        task.tests
    )
    assert 0 < len(p.shot_ids) < 4
    assert p.tokens + 30 <= 50


@pytest.mark.parametrize("wrong", [{"fit": "drop"}, {"selection": "best"}, {"shots": -1}])
def test_a_predictor_that_cannot_be(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    model, task = CountingModel(), parity_task()
    with pytest.raises(PromptkitError, match=rf"{value!r}.*{name}|{name} {value!r}|{value} {name}"):
        Predictor(task, COLON, model, **wrong).predict(task.tests)
    assert model.asked == []


def test_a_template_error_comes_before_the_model() -> None:
    model = CountingModel()
    broken = Template("{% example %}{{ input.colour }}: {{ output }}{% endexample %}", "broken")
    with pytest.raises(TemplateError, match=r":1: .*no field"):
        Predictor(parity_task(), broken, model).predict(parity_task().tests)
    assert model.asked == []


# Costs.

ids = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)
prompts = st.lists(
    st.builds(TokenizedPrompt, st.just(Prompt()), ids, st.lists(ids, max_size=4).map(tuple)),
    max_size=8,
)


@given(prompts)
def test_unique_tokens_are_the_distinct_beginnings(asked: list[TokenizedPrompt]) -> None:
    sequences = [p.ids + c[:-1] for p in asked for c in p.candidates or ((-1,),)]
    beginnings = {s[:end] for s in sequences for end in range(1, len(s) + 1)}
    assert unique_tokens(asked) == len(beginnings)


def test_answers_count_what_the_store_had() -> None:
    task, model, store = parity_task(), CountingModel(), Store()
    tokenized = Predictor(task, COLON, model).tokenize(task.tests)
    first = answer(model, tokenized[:2] * 2, Sampling(), store=store)
    assert (len(first.results), first.asked, first.stored) == (4, tokenized[:2], 0)
    second = answer(model, tokenized, Sampling(), store=store)
    assert (second.asked, second.stored) == (tokenized[2:], 2)
    assert second.results[:2] == first.results[:2]


def test_an_answer_belongs_to_the_model_that_gave_it() -> None:
    task, store = parity_task(), Store()
    model = CountingModel(lambda p: "odd")
    Predictor(task, COLON, model).predict(task.tests, store=store)
    model.identity = replace(model.identity, sha256="other")
    Predictor(task, COLON, model).predict(task.tests, store=store)
    assert len(model.asked) == 2 * len(task.tests)
