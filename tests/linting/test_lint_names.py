"""Names, fields and shapes: what is certain is said with its place, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Task, Template, lint
from promptkit.linting.findings import Finding


class Origin(BaseModel):
    country: str
    year: int


class Part(BaseModel):
    title: str
    size: float


class Thing(BaseModel):
    name: str
    origin: Origin
    parts: list[Part]
    tags: list[str]
    extra: dict[str, str]
    note: str | None = None
    rare: bool = False


def thing(name: str, year: int) -> Thing:
    return Thing(
        name=name,
        origin=Origin(country=f"{name}land", year=year),
        parts=[Part(title=f"{name} head", size=year + 0.5)],
        tags=[f"{name}-ish", "old"],
        extra={"colour": f"{name} red"},
        note=f"seen in {year}",
        rare=year % 2 == 0,
    )


def example(name: str, year: int, output: str) -> Example[Any, Any]:
    return Example(input=thing(name, year), output=output, metadata={"source": "book"})


TASK = Task[Thing, Literal["tool", "toy"]](
    name="things",
    instruction="Sort them.",
    demos=[example("axe", 1850, "tool"), example("doll", 1901, "toy"), example("saw", 3, "tool")],
    tests=[example("kite", 1920, "toy"), example("plane", 77, "tool")],
)
IGNORED = ("unused-field", "label-untested", "imbalance")


def findings(source: str, folder: Path, **others: str) -> tuple[Finding, ...]:
    for name, text in others.items():
        (folder / f"{name}.j2").write_text(text, encoding="utf-8")
    path = folder / "prompt.j2"
    path.write_text(source, encoding="utf-8")
    return lint(TASK, templates=[path], ignore=IGNORED)


def block(line: str) -> str:
    return f"{{% example %}}\n{line}: {{{{ output }}}}\n{{% endexample %}}\n"


FINE = {
    "set in if": "{% if labels %}{% set sign = '>' %}{% else %}{% set sign = '-' %}{% endif %}\n"
    + block("{{ sign }} {{ input.name }}"),
    "set in one branch": "{% if labels %}\n{% set sign = '>' %}\n{% endif %}\n"
    + block("{{ sign }} {{ input.name }}"),
    "set block": "{% set head %}\nSort:\n{% endset %}\n{{ head }}" + block("{{ input.name }}"),
    "loop names": block(
        "{% for tag in input.tags %}{{ loop.index }}/{{ loop.length }} {{ tag }}"
        "{{ ', ' if not loop.last else '' }}{% endfor %}"
    ),
    "loop else": block(
        "{% for tag in input.tags if tag %}{{ tag }} {% else %}none{% endfor %}{{ input.name }}"
    ),
    "nested records": block("{{ input.origin.country }} {{ input.origin['year'] + 1 }}"),
    "lists of records": block(
        "{% for part in input.parts %}{{ part.title | upper }} {{ part.size | round(1) }} "
        "{% endfor %}{{ input.parts[0].title }} {{ (input.parts | first).size }}"
    ),
    "attributes": block(
        "{{ input.parts | map(attribute='title') | join(', ') }} "
        "{{ input.parts | sum(attribute='size') }} "
        "{% for part in input.parts | selectattr('size') | sort(attribute='title') %}"
        "{{ part.title }} {% endfor %}"
    ),
    "open dict": block("{{ input.extra.colour }} {{ input.extra['colour'] }}"),
    "text methods": block("{{ input.name.upper() }} {{ input.name.split('a')[0] }}"),
    "slices": block("{{ input.name[:2] }} {{ input.tags[1:] | join(' ') }} {{ input.tags[0][0] }}"),
    "macro": "{% macro line(item, end='.') %}{{ item.name }}{{ end }}{% endmacro %}\n"
    + block("{{ line(input) }} {{ line(input, end='!') }} {{ line(item=input) }}"),
    "macro sees later set": "{% macro line(x) %}{{ sign }} {{ x }}{% endmacro %}\n"
    "{% set sign = '>' %}\n" + block("{{ line(input.name) }}"),
    "recursive macro": "{% macro down(n) %}{{ n }}{% if n > 0 %} {{ down(n - 1) }}{% endif %}"
    "{% endmacro %}\n" + block("{{ down(2) }} {{ input.name }}"),
    "answer through macro": "{% macro line(item, answer) %}{{ item.name }}: {{ answer }}"
    "{% endmacro %}\n{% example %}\n{{ line(input, output) }}\n{% endexample %}\n",
    "caller": "{% macro box(title) %}[{{ title }} {{ caller() }}]{% endmacro %}\n"
    + block("{% call box(input.name) %}{{ input.origin.year }}{% endcall %}"),
    "caller with arguments": "{% macro each(xs) %}{% for x in xs %}{{ caller(x) }} {% endfor %}"
    "{% endmacro %}\n" + block("{% call(tag) each(input.tags) %}<{{ tag }}>{% endcall %}"),
    "varargs": "{% macro any() %}{{ varargs | join(' ') }} {{ kwargs | length }}{% endmacro %}\n"
    + block("{{ any(input.name, 'x', y=1) }}"),
    "with": block("{% with place = input.origin %}{{ place.country }}{% endwith %}"),
    "namespace": "{% set ns = namespace(n=0) %}\n"
    + block("{% set ns.n = ns.n + 1 %}{{ input.name }} {{ ns.n > 0 }}"),
    "guards": block("{{ input.name }}{% if style is defined %} {{ style }}{% endif %}") + "",
    "default": block("{{ input.name }} {{ style | default('plain') }}"),
    "tests": block("{{ input.name if input.rare is true else input.name | lower }}"),
    "joiner": block(
        "{% set comma = joiner(', ') %}{% for t in input.tags %}{{ comma() }}{{ t }}{% endfor %}"
    ),
    "cycler": block("{% for t in input.tags %}{{ loop.cycle('a ', 'b ') }}{{ t }} {% endfor %}"),
    "range": block("{% for i in range(2) %}{{ i }} {% endfor %}{{ input.name }}"),
    "unpacking": block("{% for name, value in input.extra %}{{ name }}={{ value }}{% endfor %}"),
    "tojson": block("{{ input | tojson }}"),
    "metadata": "{% for shot in shots %}\n{{ shot.input.name }} ({{ shot.metadata.source }}): "
    "{{ shot.output }}\n{% endfor %}\n{{ query.name }} (book):",
    "conditional answer": "{% for shot in shots %}\n{{ shot.input.name }}: "
    "{{ shot.output | lower }}\n{% endfor %}\n{{ query.name }}:",
    "answer set first": "{% for shot in shots %}\n{% set answer = shot.output | lower %}\n"
    "{{ shot.input.name }}: {{ answer }}\n{% endfor %}\n{{ query.name }}:",
    "numbered": "{% for shot in shots %}\n{{ loop.index }}. {{ shot.input.name }}: "
    "{{ shot.output }}\n{% endfor %}\n{{ shots | length + 1 }}. {{ query.name }}:",
    "intermission": "{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n"
    "{% endfor %}\n\nNow the next one.\n{{ query.name }}:",
    "chat loop": "{% for shot in shots %}\n{% user %}{{ shot.input.name }}{% enduser %}\n"
    "{% assistant %}{{ shot.output }}{% endassistant %}\n{% endfor %}\n"
    "{% user %}{{ query.name }}{% enduser %}\n",
    "query first": "Which sort is {{ query.name }}?\n{% for shot in shots %}\n"
    "{{ shot.input.name }}: {{ shot.output }}\n{% endfor %}\n{{ query.name }}:",
    "own blocks": "{% block head %}\n{{ task.instruction }}\n{% endblock %}\n"
    + block("{% block row scoped %}{{ input.name }}{% endblock %}"),
    "plural": block("two {{ input.name }}s"),
    "raw": "{% raw %}{{ nothing }} {% endraw %}\n" + block("{{ input.name }}"),
    "comment": "{# {{ nothing }} #}\n" + block("{{ input.name }}"),
    "do nothing": block("{% if false %}{{ input.name }}{% endif %}{{ input.name }}"),
    "filter block": block("{% filter upper %}{{ input.name }}{% endfilter %}"),
    "assigned loop": "{% for shot in shots | list %}\n{% set item = shot.input %}\n"
    "{{ item.name }}: {{ shot.output }}\n{% endfor %}\n{{ query.name }}:",
    "groups": "{% for label, group in shots | groupby('output') %}\n{{ label }} has "
    "{{ group | length }}.\n{% endfor %}\n" + block("{{ input.name }}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FINE)
def test_what_renders_and_reads_well_has_no_finding(name: str, tmp_path: Path) -> None:
    prompt = Template(FINE[name]).render(TASK, shots=2, query=TASK.tests[0])
    assert "ki" in str(prompt).lower()
    assert findings(FINE[name], tmp_path) == ()


WRONG = {
    # what is marked with « » is where the finding is
    "{{ input.origin.«contry» }}": ("unknown-field", "did you mean 'country'?"),
    "{{ input['«origni»'].year }}": ("unknown-field", "did you mean 'origin'?"),
    "{% for part in input.parts %}{{ part.«titel» }}{% endfor %}": ("unknown-field", "'title'"),
    "{{ input.parts[0].«siez» }}": ("unknown-field", "'size'"),
    "{{ input.parts.«title» }}": ("unknown-field", "loop over it"),
    "{{ (input.parts | first).«tilte» }}": ("unknown-field", "'title'"),
    "{{ input.parts | map(attribute=«'titl'») | join }}": ("unknown-field", "'title'"),
    "{% set o = input.origin %}{{ o.«yaer» }}": ("unknown-field", "'year'"),
    "{% with o = input.origin %}{{ o.«yaer» }}{% endwith %}": ("unknown-field", "'year'"),
    "{{ input.name.«uper»() }}": ("unknown-field", "'upper'"),
    "{% for tag in input.tags %}{{ loop.«idnex» }}{{ tag }}{% endfor %}": (
        "unknown-field",
        "'index'",
    ),
    "{% for tag in input.tags %}{{ tag }} {% endfor %}{{ «tag» }}": (
        "unknown-name",
        "choose one of",
    ),
    "{% for tag in input.tags %}{% set last = tag %}{{ last }}{% endfor %}{{ «last» }}": (
        "unknown-name",
        "choose one of",
    ),
    "{{ input.name | «capitalise» }}": ("unknown-filter", "'capitalize'"),
    "{{ input.name if input.rare is «ture» else '' }}": ("unknown-filter", "'true'"),
    "{{ task.«instrution» }} {{ input.name }}": ("unknown-field", "'instruction'"),
    "{{ «input.origin» }}": ("not-text", "print one of its fields"),
    "{{ «input.tags» }}": ("not-text", "join"),
    "{{ input.name.«upper» }}": ("not-text", "call it"),
    "{{ 'x' ~ «output» }} {{ input.name }}": ("answer-used", "print it as it is"),
    "{% if «output» == 'toy' %}a{% endif %}{{ input.name }}": ("answer-used", "print it"),
    "{% set a = output %}{{ «a» | upper }}{{ input.name }}": ("answer-used", "print it"),
    "{{ input.name }}{{ input.«nte» | default('') }}": ("never-defined", "'note'"),
    "{{ input.name }}{% if input.«nte» is defined %}!{% endif %}": ("never-defined", "'note'"),
}


@pytest.mark.parametrize("marked", WRONG)
def test_what_is_wrong_has_its_place_and_its_remedy(marked: str, tmp_path: Path) -> None:
    rule, remedy = WRONG[marked]
    source = block(marked.replace("«", "").replace("»", ""))
    column = marked.index("«") + 1
    found = [finding for finding in findings(source, tmp_path) if finding.rule == rule]
    assert len(found) == 1
    where = found[0].where
    if "['" in marked:
        column -= 2  # at the bracket
    if rule == "not-text" and "." in marked.partition("«")[2]:
        column += len("input.")  # at the last field
    assert (where.line, where.column) == (2, column)
    assert remedy in found[0].fix


def test_names_are_followed_into_what_a_template_loads(tmp_path: Path) -> None:
    source = (
        '{% from "lib.j2" import row, rwo %}\n{% import "lib.j2" as lib %}\n'
        '{% include "head.j2" %}\n{% include "nowhere.j2" ignore missing %}\n'
        "{% example %}\n{{ row(input) }} {{ lib.row(input) }}: {{ output }}\n{% endexample %}\n"
    )
    found = findings(
        source,
        tmp_path,
        lib="{% macro row(item) %}\n{{ item.nmae }} {{ task.name }}\n{% endmacro %}\n",
        head="{{ task.instruction }}\n{{ shot.output }}\n",
    )
    said = {(Path(f.file or "").name, f.line, f.column, f.rule) for f in found}
    assert said == {
        ("prompt.j2", 1, 4, "unknown-name"),
        ("lib.j2", 2, 9, "unknown-field"),
        ("lib.j2", 2, 20, "unknown-name"),
        ("head.j2", 2, 4, "unknown-name"),
    }
    assert any("with context" in finding.fix for finding in found)


def test_blocks_of_a_child_are_checked_in_the_place_of_the_parents(tmp_path: Path) -> None:
    parent = (
        "{% set sign = '>' %}\n{% block head %}\n{{ wrong_but_replaced }}\n{% endblock %}\n"
        "{% block rows %}\n" + block("{{ input.name }}") + "{% endblock %}\n"
    )
    child = '{% extends "parent.j2" %}\n{% block head %}\n{{ sign }} {{ tsk.name }}\n{% endblock %}'
    found = findings(child, tmp_path, parent=parent)
    assert [(f.rule, f.line, f.column) for f in found] == [("unknown-name", 3, 15)]
    calls_parent = child.replace("{{ tsk.name }}", "{{ super() }}")
    assert [f.line for f in findings(calls_parent, tmp_path, parent=parent)] == [3]


def test_a_macro_is_checked_with_what_it_is_called_with(tmp_path: Path) -> None:
    macro = "{% macro where(place) %}{{ place.country }}{% endmacro %}\n"
    fine = macro + block("{{ where(input.origin) }}")
    assert findings(fine, tmp_path) == ()
    wrong = macro + block("{{ where(input) }}")
    (found,) = findings(wrong, tmp_path)
    assert (found.rule, found.line) == ("unknown-field", 1)


def test_templates_that_load_each_other_end(tmp_path: Path) -> None:
    found = findings('{% include "one.j2" %}', tmp_path, one='{% include "prompt.j2" %}')
    assert [finding.rule for finding in found] == ["rendering"]


def test_an_unused_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prompt.j2"
    path.write_text(block("{{ input.name }} {{ input.tags | join }}"), encoding="utf-8")
    found = lint(TASK, templates=[path])
    unused = [f.message for f in found if f.rule == "unused-field"]
    assert [message.split("'")[1] for message in unused] == [
        *("origin", "parts", "extra", "note", "rare")
    ]
