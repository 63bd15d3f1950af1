"""What a renderer keeps changes no prompt: not its text, and not where it came from."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit.errors import TemplateError
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.renderer import Renderer
from promptkit.templating.reuse import Sharing, sharing
from promptkit.templating.template import BUILT_IN, Template


class Word(BaseModel):
    word: str
    length: int = 0


TASK = Task[Word, Literal["even", "odd"]](
    name="parity",
    instruction="Even or odd?",
    demos=[
        {"id": name, "input": {"word": name, "length": len(name)}, "output": output}
        for name, output in (("ab", "even"), ("cde", "odd"), ("even", "even"), ("q", "odd"))
    ],
    tests=[
        {"id": word, "input": {"word": word, "length": len(word)}, "output": output}
        for word, output in (("xy", "even"), ("odd", "odd"), ("a\nb", "odd"))
    ],
)

FILES = {
    "part.j2": "part {{ task.name }}\n",
    "asks.j2": "{{ query.word }}!\n",
    "example.j2": "{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n",
    "base.j2": "{% block top %}\nTop\n{% endblock %}\n{% example %}\n"
    "{{ input.word }}{% block inner %}{% endblock %}: {{ output }}\n{% endexample %}\n",
    "frame.j2": "{% block top %}\nTop\n{% endblock %}\n{% block main %}{% endblock %}\n"
    "{% block end %}{% endblock %}\n",
    "macros.j2": "{% macro show(x) %}<{{ x }}>{% endmacro %}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    for name, source in FILES.items():
        (folder / name).write_text(source)
    return folder


def of(folder: Path, source: str) -> Template:
    return Template(source, folders=(folder, BUILT_IN))


def result(render: Callable[[], Any]) -> Any:
    try:
        return render()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


HEADS = (
    "{{ task.instruction }}\n",
    "Labels: {{ labels | join(', ') }}\n",
    "{% if shots %}\nSome shots.\n{% endif %}\n",
    "{% for shot in shots %}{{ shot.input.word }} {{ shot.output }};{% endfor %}\n",
    "{% include 'part.j2' %}",
    "{% include 'asks.j2' %}",
    "{{ query.word }}?\n",
    "{% set labels = ['x', 'y'] %}",
    "{% set task = query %}",
    "{% set input = shots[0] %}",
    "{% set said = query.word %}{{ said | length }}",
    "{% set said = 'said' %}",
    "{% macro show(x) %}<{{ x }}|{{ shots | length }}>{% endmacro %}",
    "{% from 'macros.j2' import show %}",
    "{% set round = cycler('a', 'b') %}",
    "{% set count = namespace(n=0) %}",
    "{% block top %}{{ query.word }}{% endblock %}\n",
    "{% system %}Be short.{% endsystem %}",
)
BODIES = (
    "{{ input.word }}",
    "{% for name, value in input %}{{ name }}={{ value }},{% endfor %}",
    "{{ input.word | upper }} ",
    "{{ task.name }}",
    "{{ labels[0] }}/",
    "{{ query.word }}",
    "{{ shots | length }}",
    "{{ said }}",
    "{{ show(input.word) }}",
    "{{ round.next() }}",
    "{% set count.n = count.n + 1 %}{{ count.n }}",
    "{% set said = input.word %}{{ said }}",
    "{% set own = cycler('a', 'b') %}{{ own.next() }}{{ own.next() }}",
    "{% if input.length > 2 %}long {% endif %}",
    "{% if output is defined %}! {% endif %}",
    "{% if loop is defined %}in a loop{% endif %}",
    "{% include 'part.j2' %}",
    "{% include 'asks.j2' %}",
    "{{ input.word.missing }}",
    "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice(input.word) }}",
    "{% user %}{{ input.word }}{% enduser %}",
)
ANSWERS = (
    ": {{ output }}\n",
    "\n{{ output }}\n\n",
    "{% assistant %}{{ output }}{% endassistant %}",
)
AROUND = (
    "@",
    "@",
    "{% if task.name %}@{% endif %}",
    "{% if query.word == 'odd' %}-{% else %}@{% endif %}",
    "{% block main %}@{% endblock %}",
    "{% block main %}@{% endblock %}{{ self.main() }}",
    "{% set all %}@{% endset %}{{ all }}",
    "{% set all %}@{% endset %}{% if 'odd' in all %}odd {% endif %}{{ all }}",
    "{% set all %}@{% endset %}{{ all | length }}{{ all }}",
    "{% filter upper %}@{% endfilter %}",
    "{% macro all() %}@{% endmacro %}{{ all() }}",
    "{% for word in ['once'] %}@{% endfor %}",
    "{% for shot in shots %}{{ shot.input.word }}\n{% endfor %}@",
    "{% with said = query.word %}@{% endwith %}",
    "{% with labels = ['z'] %}@{% endwith %}",
    "{% user %}@{% enduser %}",
    "{% if shots %}@{% endif %}{% include 'example.j2' %}",
    "{% if not shots %}{% include 'example.j2' %}{% endif %}",
)
TAILS = ("", "", "\n", "{{ task.name }}", "{{ query.word }}", "{% include 'part.j2' %}")
PARENTS = (
    "",
    "",
    "",
    "{% extends 'base.j2' %}{% block inner %} {{ input.word }}{% endblock %}",
    "{% extends 'base.j2' %}{% block top %}{{ super() }}{{ query.word }}{% endblock %}",
    "{% extends 'frame.j2' %}{% block end %}{{ query.word }}{% endblock %}",
    "{% extends 'frame.j2' %}{% set labels = ['w'] %}",
)


@st.composite
def sources(draw: st.DrawFn) -> str:
    body = "".join(draw(st.lists(st.sampled_from(BODIES), min_size=1, max_size=3)))
    tag = f"{{% example %}}\n{body}{draw(st.sampled_from(ANSWERS))}{{% endexample %}}\n"
    heads = "".join(draw(st.lists(st.sampled_from(HEADS), max_size=3)))
    around = draw(st.sampled_from(AROUND)).replace("@", tag)
    tail = draw(st.sampled_from(TAILS))
    return draw(st.sampled_from(PARENTS)) + heads + around + tail


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(
    source=sources(),
    asked=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=8
    ),
)
def test_what_is_kept_changes_nothing(
    folder: Path, source: str, asked: list[tuple[int, int, int]]
) -> None:
    template = of(folder, source)
    if isinstance(result(lambda: template.compiled), str):
        return  # it does not parse
    keeping = template.renderer(TASK)
    for query, shots, seed in asked:
        test = TASK.tests[query]
        fresh = Renderer(TASK, template.compiled, Sharing(), template.name)
        expected = result(lambda: fresh.render(test, shots, seed=seed))  # noqa: B023
        assert result(lambda: keeping.render(test, shots, seed=seed)) == expected  # noqa: B023


@pytest.mark.parametrize("name", sorted(path.name for path in BUILT_IN.glob("*.j2")))
def test_prompts_of_built_in_templates_share_all_they_can(name: str) -> None:
    template = Template.load(name)
    is_loop = name.startswith("chat-one-turn")  # over the shots, in a turn with the query
    found = sharing(template.environment, template.source, template.place)
    assert found == (not is_loop, not is_loop)
    keeping = template.renderer(TASK)
    for seed, shots, test in product(range(2), range(4), TASK.tests):
        assert keeping.render(test, shots, seed=seed) == template.render(
            TASK, shots=shots, query=test, seed=seed
        )


EXAMPLE = "{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n"


@pytest.mark.parametrize(
    ("source", "blocks", "frame"),
    [
        (EXAMPLE, True, True),
        ("{{ task.instruction }}\n" + EXAMPLE, True, True),
        ("{% include 'example.j2' %}", True, True),
        ("{% if shots %}Some:\n{% endif %}\n" + EXAMPLE, True, True),
        ("{% for shot in shots %}{{ shot.id }}{% endfor %}" + EXAMPLE, True, True),
        ("{{ query.word }}" + EXAMPLE, True, False),
        ("{% include 'asks.j2' %}" + EXAMPLE, True, False),
        ("{% set x %}" + EXAMPLE + "{% endset %}{{ x }}", True, False),
        ("{% for x in [1] %}" + EXAMPLE + "{% endfor %}", True, False),
        ("{% user %}" + EXAMPLE + "{% enduser %}", True, False),
        ("{% block b %}" + EXAMPLE + "{% endblock %}{{ self.b() }}", True, False),
        ("{% set labels = [] %}" + EXAMPLE, False, False),
        ("{% macro labels() %}{% endmacro %}" + EXAMPLE, False, False),
        ("{% include task.name %}" + EXAMPLE, False, False),
        ("{% from 'macros.j2' import show %}" + EXAMPLE, False, False),
        (EXAMPLE + EXAMPLE, False, False),
        (EXAMPLE.replace("input.word", "query.word"), False, False),
        (EXAMPLE.replace("input.word", "shots"), False, False),
        (EXAMPLE.replace("{{ input.word }}", "{% set x = 1 %}{{ x }}"), True, True),
        (EXAMPLE.replace("{{ input.word }}", "{{ x }}{% set x = 1 %}"), False, False),
        (EXAMPLE.replace("{{ input.word }}", "{% block b %}{% endblock %}"), False, False),
        ("{% for shot in shots %}{{ shot.output }}{% endfor %}{{ query.word }}", False, False),
    ],
)
def test_what_is_the_same_is_read_off_the_template(
    folder: Path, source: str, blocks: bool, frame: bool
) -> None:
    template = of(folder, source)
    assert sharing(template.environment, source, template.place) == (blocks, frame)


def test_a_template_that_is_not_there_is_an_error_once_it_is_rendered(folder: Path) -> None:
    renderer = of(folder, "{% include 'nothing.j2' %}" + EXAMPLE).renderer(TASK)
    with pytest.raises(TemplateError, match=r"nothing\.j2"):
        renderer.render(TASK.tests[0], 1)


def test_shots_and_queries_are_rendered_once() -> None:
    template = Template("{{ task.name }}\n" + EXAMPLE)
    renderer = template.renderer(TASK)
    some = [renderer.render(test, 3) for test in TASK.tests]
    others = [renderer.render(test, 3, seed=1) for test in TASK.tests]
    for one, other in zip(some[1:], some[:-1], strict=True):
        assert all(p is q for p, q in zip(one.pieces[:10], other.pieces[:10], strict=True))
    for one, other in zip(some, others, strict=True):
        assert one.pieces[-2] is other.pieces[-2]  # the query's word


def test_a_renderer_tells_examples_of_one_id_apart() -> None:
    renderer = Template(EXAMPLE).renderer(TASK)
    for word in ("one", "two"):
        query = TASK.as_query(Example(id="same", input=Word(word=word)))
        assert renderer.render(query, 1).text.endswith(f"{word}:")
