"""Options of each query in templates: shots show theirs, and the query's are the candidates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import FakeModel, Options, Predictor, Task, Template, lint
from promptkit.errors import TemplateError
from promptkit.templating.template import BUILT_IN


class Question(BaseModel):
    text: str
    choices: Annotated[list[str], Options()]


ROWS: list[Any] = [
    {"input": {"text": "Which one swims?", "choices": ["owl", "cod"]}, "output": "B"},
    {"input": {"text": "Which one is red?", "choices": ["grass", "snow", "blood"]}, "output": 2},
]
TASK = Task[Question, str](name="quiz", instruction="Answer.", demos=ROWS[:1], tests=ROWS[1:])


def prompt(source: str, shots: int = 1) -> Any:
    template = Template(source) if "{" in source else Template.load(source)
    return template.render(TASK, shots=shots, query=TASK.tests[0])


def test_letters_are_those_of_the_examples_own_options() -> None:
    made = prompt("letters.j2")
    assert made.text == (
        "Answer.\n\nWhich one swims?\n\nA. owl\nB. cod\nAnswer: B\n\n"
        "Which one is red?\n\nA. grass\nB. snow\nC. blood\nAnswer:"
    )
    assert made.candidates == (" A", " B", " C")


def test_without_letters_the_texts_are_the_candidates_and_are_not_printed() -> None:
    made = prompt("lines.j2")
    assert made.text == "Answer.\n\nText: Which one swims?\nAnswer: cod\n\n" + (
        "Text: Which one is red?\nAnswer:"
    )
    assert made.candidates == (" grass", " snow", " blood")


@pytest.mark.parametrize("name", ["letters-reversed.j2", "letters-shuffled.j2"])
def test_another_order_gives_the_answer_its_new_letter(name: str) -> None:
    made = prompt(name)
    lines = [line for line in made.text.splitlines() if line[1:3] == ". "]
    assert [line[0] for line in lines] == ["A", "B", "A", "B", "C"]
    listed = {line[3:]: line[0] for line in lines[2:]}
    assert made.candidates == tuple(f" {listed[text]}" for text in ("grass", "snow", "blood"))


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.j2")), ids=lambda path: path.stem)
def test_every_built_in_template_scores_the_options_of_the_query(path: Any) -> None:
    made = prompt(path.name)
    assert made.candidates is not None
    assert len(made.candidates) == 3
    assert made.format is None
    assert "('" not in made.text
    assert [one.rule for one in lint(TASK, templates=[path.name]) if one.severity == "error"] == []


TWINS = {
    "colon": "Which one is red? (grass, snow, blood):",
    "lines": "Text: Which one is red?\nOptions: grass, snow, blood\nAnswer:",
    "qa": "Question: Which one is red?\nOptions: grass, snow, blood\nAnswer:",
    "xml": "<text>Which one is red?</text>\n<options>grass, snow, blood</options>\n<answer>",
    "json": '{"text": "Which one is red?", "options": ["grass", "snow", "blood"], "answer":',
    "instruction-last": "Which one is red?\n\nAnswer.\n"
    "Answer with one of: grass, snow, blood.\nAnswer:",
    "chat": "Which one is red? (grass, snow, blood)",
    "chat-one-turn": "Which one is red? (grass, snow, blood):",
}


@pytest.mark.parametrize("name", sorted(path.name for path in BUILT_IN.glob("*-labels.j2")))
def test_every_twin_lists_the_options_of_each_example(name: str) -> None:
    made = prompt(name)
    shown = "".join(m.content for m in made.messages) if made.messages else made.text
    query = TWINS[name.removesuffix("-labels.j2")]
    shot = query.replace("Which one is red?", "Which one swims?")
    assert shown.endswith(query)
    assert (
        shot.replace("grass, snow, blood", "owl, cod").replace(
            '"grass", "snow", "blood"', '"owl", "cod"'
        )
        in shown
    )
    assert lint(TASK, templates=[name]) == lint(TASK, templates=[name.replace("-labels", "")])


@pytest.mark.parametrize("name", sorted(path.name for path in BUILT_IN.glob("*-labels.j2")))
def test_twins_list_no_field_that_is_called_options_but_is_not(name: str) -> None:
    class Quoted(BaseModel):
        options: str

    demos: list[Any] = [{"input": {"options": "a or b"}, "output": "a"}]
    task = Task[Quoted, str](name="t", demos=demos)
    query = {"options": "c or d"}
    with_list = Template.load(name).render(task, shots=1, query=query)
    without = Template.load(name.replace("-labels", "")).render(task, shots=1, query=query)
    assert with_list.text == without.text


@pytest.mark.parametrize(
    "source",
    [
        "{% for shot in shots %}{{ shot.input.text }} ({{ shot.input.options | join('/') }}) "
        "{{ shot.output }}\n{% endfor %}{{ query.text }} ({{ query.options | join('/') }})",
        "{% for shot in shots %}{{ shot.input.text }} ({{ shot.input.choices | join('/') }}) "
        "{{ shot.output }}\n{% endfor %}{{ query.text }} ({{ query.choices | join('/') }})",
        "{% example %}{{ input.text }} ({{ input.choices | join('/') }}) {{ output }}\n"
        "{% endexample %}",
        "{% example %}{{ input.text }} ({{ options | join('/') }}) {{ output }}\n{% endexample %}",
    ],
)
def test_options_are_read_by_the_name_of_their_field_too(source: str) -> None:
    made = prompt(source)
    assert made.text == "Which one swims? (owl/cod) cod\nWhich one is red? (grass/snow/blood)"
    assert made.candidates == (" grass", " snow", " blood")


def test_the_options_of_a_task_with_labels_are_its_labels() -> None:
    class In(BaseModel):
        word: str

    task = Task[In, Literal["noun", "verb"]](
        name="t", demos=[{"input": {"word": "run"}, "output": "verb"}]
    )
    source = "{% example %}{{ input.word }} [{{ options | join }}] {{ output }}\n{% endexample %}"
    made = Template(source).render(task, shots=1, query={"word": "sun"})
    assert made.text == "run [nounverb] verb\nsun [nounverb]"


def test_outside_an_example_there_are_no_options() -> None:
    with pytest.raises(TemplateError, match="'options' is undefined"):
        prompt("{{ options }}{% example %}{{ output }}{% endexample %}")
    found = lint(TASK, templates=["lines.j2"])
    assert [one.rule for one in found if one.rule == "unused-field"] == []


def test_a_list_of_texts_is_printed_with_commas_by_every_built_in_template() -> None:
    class Listed(BaseModel):
        tags: list[str]

    demos: list[Any] = [{"input": {"tags": ["c", "d"]}, "output": True}]
    task = Task[Listed, bool](name="t", demos=demos)
    for path in BUILT_IN.glob("*.j2"):
        text = Template.load(path.name).render(task, shots=1, query={"tags": ["e"]}).text
        assert "c, d" in text or '["c", "d"]' in text
        assert "(" not in text


@given(st.permutations(["grass", "snow", "blood", "coal"]), st.sampled_from(["lines.j2", "xml.j2"]))
def test_the_order_of_options_does_not_change_the_choice_of_a_model_that_reads_texts(
    order: list[str], name: str
) -> None:
    model = FakeModel(lambda prompt: "blood")
    query: Any = {"text": "Which one is red?", "choices": order}
    predictor = Predictor(TASK, Template.load(name), model, shots=1)
    (made,) = predictor.predict([TASK.as_query(query)])
    assert made.label == "blood"
    assert [*(made.logprobs or {})] == order


def test_the_quiz_has_no_findings() -> None:
    for name in ("letters.j2", "letters-reversed.j2", "lines.j2", "instruction-last-labels.j2"):
        assert lint("examples/quiz", templates=[name]) == ()
