"""What templates print of values that are no single text: none at all, lists, other columns."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Prompt, Task, Template
from promptkit.errors import TemplateError
from promptkit.templating.template import BUILT_IN

NAMES = sorted(path.name for path in BUILT_IN.glob("*.j2"))
PLAIN = [name for name in NAMES if not name.startswith("json")]


class Book(BaseModel):
    title: str
    author: str | None = None
    pages: int | None = None


class Question(BaseModel):
    text: str
    choices: list[str] = []
    pair: tuple[int, float] = (1, 0.5)
    tags: set[str] = set()


class Nested(BaseModel):
    text: str
    rows: list[list[int]] = [[1, 2], [3]]


class Inner(BaseModel):
    name: str


class Records(BaseModel):
    text: str
    people: list[Inner] = [Inner(name="a")]
    one: Inner = Inner(name="b")


class Holes(BaseModel):
    text: str
    items: list[int | None] = [1, None]


def task_of(*inputs: BaseModel) -> Task[Any, Any]:
    demos = [Example(input=value, output="A") for value in inputs]
    kind: Any = Task[type(inputs[0]), Literal["A", "B"]]  # type: ignore[misc]
    task: Task[Any, Any] = kind(name="t", demos=demos)
    return task


def render(source: str | Template, task: Task[Any, Any], query: BaseModel) -> Prompt:
    template = Template(source) if isinstance(source, str) else source
    return template.render(task, shots=1, query=query)


@pytest.mark.parametrize("name", PLAIN)
def test_a_field_without_a_value_is_left_out(name: str) -> None:
    template = Template.load(name)
    task = task_of(Book(title="Emma"))
    shown = str(render(template, task, Book(title="Dune")))
    assert shown.count("Emma") == shown.count("Dune") == 1
    assert "None" not in shown
    assert "uthor" not in shown


def test_a_field_without_a_value_leaves_no_comma_behind() -> None:
    task = task_of(Book(title="Emma", pages=5))
    prompt = render(Template.load("colon.j2"), task, Book(title="Dune", author="Herbert"))
    assert prompt.text.endswith("Emma, 5: A\nDune, Herbert:")


def test_json_writes_null() -> None:
    prompt = render(Template.load("json.j2"), task_of(Book(title="Emma")), Book(title="Dune"))
    shot = next(line for line in prompt.text.split("\n") if line.startswith("{"))
    assert json.loads(shot) == {"title": "Emma", "author": None, "pages": None, "answer": "A"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "{% example %}\n{% for name, value in input %}{{ value }}{% endfor %}: {{ output }}\n"
            "{% endexample %}",
            r"t:2: \{\{ value \}\} has no value: the field 'author' is null; "
            r"print it under \{% if value is not none %\}",
        ),
        (
            "{% example %}\n{{ input.author }}: {{ output }}\n{% endexample %}",
            r"t:2: \{\{ input.author \}\} has no value; print it under "
            r"\{% if input.author is not none %\}",
        ),
    ],
)
def test_a_value_that_is_none_is_named_by_its_field(source: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason) as caught:
        render(Template(source, name="t"), task_of(Book(title="Emma")), Book(title="Dune"))
    assert caught.value.example is not None


@pytest.mark.parametrize("name", PLAIN)
def test_a_list_is_printed_with_commas(name: str) -> None:
    task = task_of(Question(text="x", choices=["c", "d"], tags={"v"}))
    prompt = render(Template.load(name), task, Question(text="y", choices=["e"]))
    assert "c, d" in str(prompt)
    assert "1, 0.5" in str(prompt)
    for mark in ("(", "[", "{", "'", "e,)"):
        assert mark not in str(prompt).replace("[system]", "").replace("[user]", "").replace(
            "[assistant]", ""
        )


def test_a_list_in_json_is_a_list() -> None:
    task = task_of(Question(text="x", choices=["c", "d"], tags={"v"}))
    prompt = render(Template.load("json.j2"), task, Question(text="y"))
    shot = json.loads(next(line for line in prompt.text.split("\n") if line.startswith("{")))
    assert shot["choices"] == ["c", "d"]
    assert shot["pair"] == [1, 0.5]
    assert shot["tags"] == ["v"]


def test_a_printed_list_knows_its_field() -> None:
    task = task_of(Question(text="x", choices=["c", "d"]))
    prompt = render(Template.load("lines.j2"), task, Question(text="y", choices=["e"]))
    fields = {piece.text: piece.field for piece in prompt.pieces if piece.kind == "data"}
    assert fields["c, d"] == "input.choices"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Nested(text="x"), "the field 'input.rows', is a list of lists"),
        (Records(text="x"), "the field 'input.people', is a list of records"),
        (Records(text="x", people=[]), "the field 'input.one', is a whole record"),
        (Holes(text="x"), "the field 'input.items', holds null"),
    ],
    ids=str,
)
def test_what_has_no_text_is_named_by_its_field(value: BaseModel, reason: str) -> None:
    with pytest.raises(TemplateError, match=r"lines\.j2:8: .*" + reason):
        render(Template.load("lines.j2"), task_of(value), value.model_copy(update={"text": "y"}))


METADATA = {"choices": ["1", "2"], "source": "book"}


def with_metadata(kind: type[BaseModel] = Inner) -> tuple[Task[Any, Any], Example[Any, Any]]:
    field = next(iter(kind.model_fields))
    demo, test = (
        Example(input=kind(**{field: text}), output="A", metadata={**METADATA, "n": text})
        for text in ("one", "two")
    )
    made: Any = Task[kind, Literal["A", "B"]]  # type: ignore[valid-type]
    task = made(name="t", demos=[demo], tests=[test])
    return task, task.tests[0]


@pytest.mark.parametrize(
    "source",
    [
        "{% for shot in shots %}\n{{ shot.metadata.n }} {{ shot.metadata.choices | join('/') }}: "
        "{{ shot.output }}\n{% endfor %}\n"
        "{{ query.metadata.n }} {{ query.metadata.choices | join('/') }}:",
        "{% example %}\n{{ input.metadata.n }} {{ input.metadata.choices | join('/') }}: "
        "{{ output }}\n{% endexample %}",
    ],
)
def test_a_query_shows_its_other_columns_as_a_shot_does(source: str) -> None:
    task, test = with_metadata()
    prompt = Template(source).render(task, shots=1, query=test)
    assert prompt.text == "one 1/2: A\ntwo 1/2:"
    assert {p.field for p in prompt.pieces if p.text == "two"} == {"metadata.n"}


def test_other_columns_are_not_among_the_fields() -> None:
    task, test = with_metadata()
    source = (
        "{% example %}\n{% for name, value in input %}{{ name }}={{ value }}{% endfor %}"
        " {{ input | tojson }}: {{ output }}\n{% endexample %}"
    )
    prompt = Template(source).render(task, shots=1, query=test)
    assert prompt.text == 'name=one {"name": "one"}: A\nname=two {"name": "two"}:'


def test_a_field_of_that_name_comes_first() -> None:
    class Document(BaseModel):
        metadata: str

    task, test = with_metadata(Document)
    prompt = Template("{% example %}\n{{ input.metadata }}: {{ output }}\n{% endexample %}").render(
        task, shots=1, query=test
    )
    assert prompt.text == "one: A\ntwo:"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("{{ query.colour }}", "'query' has no field 'colour'; it has 'name'"),
        ("{{ query.source }}", "its metadata has 'source': write query.metadata.source"),
        (
            "{% example %}{{ input.colour }}: {{ output }}\n{% endexample %}",
            "'input' has no field 'colour'; it has 'name'",
        ),
        ("{{ query.metadata.colour }}", "'metadata' has no field 'colour'; it has 'choices', 's"),
    ],
)
@pytest.mark.parametrize("shots", [0, 1])
def test_a_message_speaks_of_what_the_template_names(written: str, reason: str, shots: int) -> None:
    task, test = with_metadata()
    with pytest.raises(TemplateError, match=reason):
        Template(written).render(task, shots=shots, query=test)
