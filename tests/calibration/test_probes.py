from __future__ import annotations

from collections import Counter
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints, field_validator
from samples import parity_task
from strategies import some_text

from promptkit.calibration.methods import HeldOut, vector
from promptkit.calibration.probes import (
    CONTENT_FREE,
    HELD_OUT,
    LEAST_HELD_OUT,
    RANDOM_TEXTS,
    content_free,
    held_out,
    premise,
    random_texts,
)
from promptkit.errors import TaskError
from promptkit.selection.draw import same
from promptkit.tasks.examples import Example, text_key
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

Mood = Literal["good", "bad"]


class Text(BaseModel):
    text: str


def task_of(kind: type[BaseModel], *inputs: dict[str, Any], tests: Any = ()) -> Task[Any, Any]:
    """A task whose pool has these inputs, good and bad in turn."""

    def examples(rows: Any) -> list[Any]:
        return [{"input": row, "output": ["good", "bad"][i % 2]} for i, row in enumerate(rows)]

    return Task[kind, Mood](name="mood", demos=examples(inputs), tests=examples(tests))  # type: ignore[valid-type]


def texts_of(probes: Any, field: str = "text") -> list[Any]:
    return [getattr(probe.input, field) for probe in probes]


# Content-free inputs.


def test_content_free_inputs_are_those_of_the_paper() -> None:
    assert texts_of(content_free(task_of(Text, {"text": "fine"}))) == ["N/A", "", "[MASK]"]
    assert premise(task_of(Text, {"text": "fine"})).input.text == ""


def test_they_need_no_pool_where_all_fields_are_texts() -> None:
    assert texts_of(content_free(task_of(Text))) == list(CONTENT_FREE)


class Named(BaseModel):
    title: Annotated[str, StringConstraints(min_length=1)]
    body: str | None
    lang: Literal["en", "hi"]
    stars: int
    seen: date
    tags: list[str] = []


def named(lang: str, stars: int, **rest: Any) -> dict[str, Any]:
    return {
        "title": f"t{stars}",
        "body": "b",
        "lang": lang,
        "stars": stars,
        "seen": "2024-01-31",
        **rest,
    }


def test_other_fields_hold_what_they_most_often_hold_together() -> None:
    task = task_of(
        Named, named("hi", 1), named("en", 2, title="a"), named("en", 2, title="b"), named("hi", 3)
    )
    probes = content_free(task)
    assert [probe.input.title for probe in probes] == ["N/A", "[MASK]"]  # "" is too short
    for probe in probes:
        assert probe.input.body == probe.input.title
        rest = (probe.input.lang, probe.input.stars, probe.input.seen, probe.input.tags)
        assert rest == ("en", 2, date(2024, 1, 31), [])
    assert premise(task).input.title == "N/A"


class Picky(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def _capital(cls, text: str) -> str:
        if not text[0].isupper():  # raises IndexError for an empty text
            raise ValueError("begins with no capital")
        return text


def test_a_text_that_the_input_refuses_in_any_way_is_left_out() -> None:
    assert texts_of(content_free(task_of(Picky, {"text": "Fine"}))) == ["N/A"]


class Numbers(BaseModel):
    a: int
    b: float = Field(gt=0)


class Size(Enum):
    S = "s"
    L = "l"


class Choices(BaseModel):
    size: Size
    loud: bool


class Digits(BaseModel):
    text: Annotated[str, StringConstraints(pattern="^[0-9]+$")]


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (Numbers, {"a": 1, "b": 2.0}),
        (Choices, {"size": "s", "loud": True}),
        (Digits, {"text": "12"}),
        (Numbers, None),
    ],
)
def test_where_no_field_can_say_nothing_the_error_says_what_to_do(kind: Any, row: Any) -> None:
    task = task_of(kind, *([row] if row else []))
    for probes in (content_free, premise):
        with pytest.raises(TaskError, match=rf"no field of {kind.__name__} .* use batch"):
            probes(task)


# Random words.


def test_random_texts_are_words_of_the_pool_as_many_as_on_average() -> None:
    task = task_of(Text, {"text": "a fine day"}, {"text": "what a  dreadful\nold film"})
    probes = texts_of(random_texts(task))
    words = {"a", "fine", "day", "what", "dreadful", "old", "film"}
    assert all(len(text.split(" ")) == 4 and {*text.split(" ")} <= words for text in probes)
    assert len(set(probes)) == RANDOM_TEXTS


def test_random_texts_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    rows = [{"text": f"w{i} x{i} y{i}"} for i in range(20)]
    task, again = task_of(Text, *rows), task_of(Text, *rows)
    assert random_texts(task) == random_texts(again)
    assert random_texts(task, seed=1) != random_texts(task)
    assert texts_of(random_texts(task))[:2] == ["x0 x7 x2", "y5 w9 x1"]


def test_an_added_example_moves_few_random_words() -> None:
    rows = [{"text": f"w{i} x{i} y{i}"} for i in range(20)]
    before = random_texts(task_of(Text, *rows))
    after = random_texts(task_of(Text, {"text": "new newer newest"}, *rows))
    for one, other in zip(texts_of(before), texts_of(after), strict=True):
        kept = [word for word in other.split() if not word.startswith("new")]
        assert kept == one.split()[: len(kept)]
    assert sum(one == other for one, other in zip(before, after, strict=True)) >= 10


@pytest.mark.parametrize(
    ("texts", "length"),
    [
        (["今天天气很好", "电影真的很糟糕啊"], 7),
        (["หนังดีมาก"], 7),  # marks stay with their letters
        (["映画 は最高"], 5),
    ],
)
def test_scripts_without_spaces_give_letters(texts: list[str], length: int) -> None:
    (probe, *_) = texts_of(random_texts(task_of(Text, *({"text": text} for text in texts))))
    assert " " not in probe
    assert set(probe) <= set("".join(texts))
    letters = [c for c in probe if not 0x0E31 <= ord(c) <= 0x0E4E or c in "ำเแโใไ"]
    assert abs(len(letters) - length) <= 1


def test_fields_that_are_no_text_have_values_of_the_pool() -> None:
    task = task_of(Named, *(named("en" if i % 2 else "hi", i, body=f"x{i} y") for i in range(9)))
    probes = random_texts(task)
    assert {probe.input.lang for probe in probes} == {"en", "hi"}
    assert {probe.input.stars for probe in probes} <= set(range(9))
    assert all(len(probe.input.body.split()) == 2 for probe in probes)
    numbers = task_of(Numbers, *({"a": i, "b": i + 1.0} for i in range(5)))
    assert len(random_texts(numbers)) == RANDOM_TEXTS


def test_few_different_inputs_are_asked_once() -> None:
    assert texts_of(random_texts(task_of(Text, {"text": "one"}))) == ["one"]


def test_random_texts_need_a_pool_and_a_type_that_takes_them() -> None:
    with pytest.raises(TaskError, match="the pool, which is empty"):
        random_texts(task_of(Text))

    class Even(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def _pairs(cls, text: str) -> str:
            if len(text.split()) % 2:
                raise ValueError("an odd number of words")
            return text

    with pytest.raises(TaskError, match="accepts no random words"):
        random_texts(task_of(Even, {"text": "a b"}, {"text": "a b c d"}))


# Held-out examples.


def reviews(count: int, **rest: Any) -> Task[Any, Any]:
    return task_of(Text, *({"text": f"number {i} of the reviews"} for i in range(count)), **rest)


def test_held_out_examples_are_no_shots_and_balanced_where_the_pool_is() -> None:
    task = reviews(200)
    shown = {demo.id for demo in task.demos[:50]}
    probes = held_out(task, shown)
    assert len(probes) == len({probe.id for probe in probes}) == HELD_OUT
    assert not shown & {probe.id for probe in probes}
    assert Counter(probe.output for probe in probes) == {"good": 32, "bad": 32}
    assert held_out(task, shown) == probes
    assert held_out(reviews(200), ()) != probes


@pytest.mark.parametrize(("good", "of"), [(90, 100), (290, 300), (12, 40), (25, 50), (10, 20)])
def test_held_out_examples_have_the_label_frequencies_of_the_pool(good: int, of: int) -> None:
    rows = [{"text": f"number {i} of the reviews"} for i in range(of)]
    demos = [{"input": row, "output": "bad" if i >= good else "good"} for i, row in enumerate(rows)]
    task = Task[Text, Mood](name="mood", demos=demos)  # type: ignore[list-item]
    probes = held_out(task, ())
    assert len(probes) == min(of, HELD_OUT)
    for first in (10, 20, len(probes)):
        share = sum(probe.output == "good" for probe in probes[:first])
        assert abs(share - first * good / of) <= 0.5


def test_held_out_frequencies_are_those_of_the_pool_and_not_of_what_shots_leave() -> None:
    rows = [{"text": f"number {i} of the reviews"} for i in range(200)]
    demos = [{"input": row, "output": "bad" if i % 5 else "good"} for i, row in enumerate(rows)]
    task = Task[Text, Mood](name="mood", demos=demos)  # type: ignore[list-item]
    shown = {demo.id for demo in task.demos if demo.output == "good"}
    for id in [*shown][:15]:
        shown.discard(id)
    probes = held_out(task, shown)
    assert Counter(probe.output for probe in probes) == {"good": 13, "bad": 51}


def test_vector_scaling_keeps_its_accuracy_on_a_skewed_pool() -> None:
    """At 90 to 10, fitting balanced examples gives the rare label too many answers."""
    rng = np.random.default_rng(0)

    def scores_of(gold: np.ndarray, lean: np.ndarray) -> np.ndarray:
        return rng.normal(size=(len(gold), 2)) + 2.0 * np.eye(2)[gold] + lean

    accuracies = []
    for _ in range(20):
        lean = rng.normal(0, 1.5, 2)
        pool, queries = (rng.permutation([0] * 270 + [1] * 30) for _ in range(2))
        rows = [
            {"input": {"text": f"number {i} of the reviews"}, "output": ["good", "bad"][gold]}
            for i, gold in enumerate(pool)
        ]
        task = Task[Text, Mood](name="mood", demos=rows)  # type: ignore[list-item]
        kept = [int(probe.input.text.split()[1]) for probe in held_out(task, ())]
        known, asked = scores_of(pool, lean), scores_of(queries, lean)
        fitted = vector(asked, HeldOut(known[kept], pool[kept]))
        accuracies.append((fitted.argmax(axis=1) == queries).mean())
    assert np.mean(accuracies) > 0.95  # balanced examples: 0.93


def test_held_out_examples_do_not_read_like_tests() -> None:
    long = "a long and winding review of a film that nobody will want to see {} again"
    pool = [{"text": f"number {i} of the reviews"} for i in range(12)]
    near = [{"text": long.format(i)} for i in ("ever", "once")] + [{"text": "Fine film!"}]
    tests = [{"text": long.format("")}, {"text": "fine film"}]
    task = task_of(Text, *pool, *near, tests=tests)
    assert {*texts_of(held_out(task, ()))} == {*(row["text"] for row in pool)}


def test_too_small_a_pool_says_how_many_are_left() -> None:
    task = reviews(LEAST_HELD_OUT + 3)
    shown = {demo.id for demo in task.demos[:3]}
    assert len(held_out(task, shown)) == LEAST_HELD_OUT
    shown.add(task.demos[3].id)
    with pytest.raises(TaskError, match=r"need 10 examples .* of 13, 9 are left beside 4 shots"):
        held_out(task, shown)


# All of them.


@pytest.mark.slow
@given(st.lists(some_text, min_size=1, max_size=6, unique_by=lambda t: text_key(Text(text=t))))
def test_probes_are_examples_that_render_and_are_nobody_else(texts: list[str]) -> None:
    rows = [{"input": {"text": t}, "output": "good", "id": t or "x"} for t in texts]
    ids = [{"input": {"text": f"id {i}"}, "output": "bad", "id": i} for i in ("content-free ''",)]
    task = Task[Text, Mood](name="mood", demos=[*rows, *ids])  # type: ignore[list-item]
    probes = [*content_free(task), premise(task), *random_texts(task, 3)]
    template = Template("{% example %}\n{{ input.text }}: {{ output }}\n{% endexample %}\n")
    renderer = template.renderer(task)
    for probe in probes:
        assert isinstance(probe, Example)
        assert task.demos.by_id(probe.id) is None
        shots = [demo for demo in task.demos if not same(demo, probe)]
        assert renderer.render(probe, shots).query == probe.id


def test_probes_do_not_depend_on_the_tests() -> None:
    one, other = parity_task(asked=1), parity_task(asked=6)
    assert content_free(one) == content_free(other)
    assert random_texts(one) == random_texts(other)
    assert premise(one) == premise(other)
