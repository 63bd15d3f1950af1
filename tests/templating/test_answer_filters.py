"""Answers written as letters and as JSON, and options in a stated order."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import Example, FakeModel, Predictor, Prompt, Task, Template
from promptkit.errors import TemplateError
from promptkit.templating.answer_filters import letter, shuffle


class Fruit(BaseModel):
    name: str


Label = Literal["drupe", 'the "pome"', "pepo"]
TASK = Task[Fruit, Label](
    name="fruit",
    demos=[
        Example(input=Fruit(name="peach"), output="drupe"),
        Example(input=Fruit(name="apple"), output='the "pome"'),
    ],
)
FREE = Task[Fruit, str](name="free", demos=[Example(input=Fruit(name="fig"), output="sweet")])
LETTERS = "{% example %}{{ input.name }}: {{ output | letter(labels) }}\n{% endexample %}"


def rendered(source: str, shots: int = 2, task: Task[Any, Any] = TASK) -> Prompt:
    return Template(source, "t.j2").render(
        task, shots=shots, query={"name": "melon"}, selection="first"
    )


@pytest.mark.parametrize("shots", [0, 2])
def test_candidates_are_the_letters_of_the_labels(shots: int) -> None:
    prompt = rendered(LETTERS, shots)
    assert prompt.candidates == (" A", " B", " C")
    assert prompt.text == ("peach: A\napple: B\n" if shots else "") + "melon:"


def test_the_order_of_the_options_is_the_order_of_the_letters() -> None:
    prompt = rendered(LETTERS.replace("labels", "labels | reverse"))
    assert (prompt.text, prompt.candidates) == ("peach: C\napple: B\nmelon:", (" C", " B", " A"))


def test_a_letter_stands_for_its_label_in_a_prediction() -> None:
    template = Template(LETTERS.replace("labels", "labels | reverse"), "t.j2")
    model = FakeModel(lambda prompt: "C")
    query = Example[Fruit, Label](input=Fruit(name="melon"), output="drupe")
    (said,) = Predictor(TASK, template, model, shots=1).predict([query])
    assert (said.label, said.correct) == ("drupe", True)
    assert list(said.logprobs or ()) == list(TASK.labels)


def test_json_answers_are_written_as_json() -> None:
    prompt = rendered(
        '{% example %}{"n": {{ input.name | tojson }}, "type": {{ output | tojson }}}\n'
        "{% endexample %}"
    )
    assert prompt.candidates == (' "drupe"', ' "the \\"pome\\""', ' "pepo"')
    assert prompt.text.splitlines()[1] == '{"n": "apple", "type": "the \\"pome\\""}'
    assert prompt.stop == "}\n"


@pytest.mark.parametrize(
    ("source", "task", "reason"),
    [
        (LETTERS, FREE, "no options for letters: the answers of this task are generated"),
        (LETTERS.replace("labels", "labels[1:]"), TASK, "'drupe' is not among the options"),
        (LETTERS.replace("labels", "labels + labels"), TASK, "an option occurs twice"),
        (LETTERS.replace("labels", "range(27)"), TASK, "27 options, but only 26 letters"),
        (
            "{% example %}{{ input.name }}: {{ output | tojson | tojson }}\n{% endexample %}",
            FREE,
            "a generated answer is written as JSON once",
        ),
    ],
)
@pytest.mark.parametrize("shots", [0, 1])
def test_what_has_no_letter(source: str, task: Task[Any, Any], reason: str, shots: int) -> None:
    with pytest.raises(TemplateError, match=rf"^t\.j2:1: .*{reason}"):
        rendered(source, shots, task)


@pytest.mark.parametrize(
    "written",
    ["{{ s.output | letter(labels) }}", "{{ 'stony' if s.output == 'drupe' else 'no' }}"],
)
def test_a_plain_loop_writes_the_labels_that_are_asked(written: str) -> None:
    source = "{% for s in shots %}\n{{ s.input.name }}: LABEL\n{% endfor %}\n{{ query.name }}:"
    assert rendered(source.replace("LABEL", "{{ s.output }}")).candidates
    with pytest.raises(TemplateError, match=r"^t\.j2:2: the shots write .*, which is no label"):
        rendered(source.replace("LABEL", written))


# -- The order of options ------------------------------------------------------------------------


def test_an_order_stays_what_it_is() -> None:
    fruit = ["drupe", "pome", "hesperidium", "pepo", "berry", "aggregate", "legume"]
    assert shuffle(fruit, 1) == [
        "legume",
        "pepo",
        "pome",
        "aggregate",
        "drupe",
        "hesperidium",
        "berry",
    ]
    assert shuffle(fruit, 2) != shuffle(fruit, 1)


@given(st.lists(st.text(), unique=True, max_size=26), st.integers())
def test_every_option_has_one_letter_in_every_order(options: list[str], seed: int) -> None:
    order = shuffle(options, seed)
    assert sorted(order) == sorted(options)
    assert order == shuffle(reversed(options), seed)
    letters = "".join(letter(option, order) for option in order)
    assert letters == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(options)]
