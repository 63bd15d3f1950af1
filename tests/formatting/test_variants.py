"""Formats: variants of a template that differ in what stands around its values."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import islice
from math import prod
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import Example, Task, Template
from promptkit.errors import TaskError, TemplateError
from promptkit.formatting.design import design
from promptkit.formatting.spots import JOINTS
from promptkit.formatting.variants import SEPARATORS, FormatChange, reformatted, variants
from promptkit.linting.lint import lint_template
from promptkit.templating.source import Page
from promptkit.templating.template import BUILT_IN

NAMES = sorted(
    path.name
    for path in BUILT_IN.glob("*.j2")
    if not path.stem.endswith("-labels") or path.stem.startswith(("colon", "chat-one", "xml"))
)
"""The built-in templates; of those with a list of labels in front, the kinds that there are."""


class Fruit(BaseModel):
    name: str
    colour: str


FRUITS = [
    ("peach", "orange", "drupe"),
    ("apple", "green", "pome"),
    ("melon", "white", "pepo"),
    ("plum", "blue", "drupe"),
]


def fruit_task(output: Any = Literal["drupe", "pome", "pepo"]) -> Task[Fruit, Any]:
    examples = [
        Example(input=Fruit(name=name, colour=colour), output=label)
        for name, colour, label in FRUITS
    ]
    more = Example(input=Fruit(name="lemon", colour="yellow"), output="pome")
    return Task[Fruit, output](
        name="fruit", instruction="Name the type.", demos=examples, tests=[more]
    )


TASK = fruit_task()

LOOP = (
    "Fruits.\n{% for shot in shots %}\n"
    "Fruit: {{ shot.input.name }}\nColour: {{ shot.input.colour }}\nType: {{ shot.output }}\n\n"
    "{% endfor %}\n"
    "Fruit: {{ query.name }}\nColour: {{ query.colour }}\nType:"
)
SOURCES = {
    "loop": LOOP,
    "loop-arrow": (
        "{% for s in shots %}\n{{ s.input.name }} ({{ s.input.colour }}) -> {{ s.output }}\n"
        "{% endfor %}\n{{ query.name }} ({{ query.colour }}) ->"
    ),
    "loop-items": (
        "{% for shot in shots %}\n{{ shot['input'].name }}, {{ shot.input.colour }}: "
        "{{ shot['output'] }}\n{% endfor %}\n{{ query.name }}, {{ query.colour }}:"
    ),
    "hindi": (
        "{% example %}\nफल: {{ input.name }}\nरंग: {{ input.colour }}\nवर्ग: {{ output }}\n\n"
        "{% endexample %}\n"
    ),
    "no separators": "{% example %}\n{{ input.name }} {{ input.colour }} {{ output }}\n"
    "{% endexample %}\n",
    "a sentence": "{% example %}\nThe type of {{ input.name }} ({{ input.colour }}) is "
    "{{ output }}.\n{% endexample %}\n",
    "a list": "{% example %}\n- {{ input.name }}, {{ input.colour }}: {{ output }}\n"
    "{% endexample %}\n",
    "a table": "{% example %}\n| {{ input.name }} | {{ input.colour }} | {{ output }} |\n"
    "{% endexample %}\n",
    "markdown": "{% example %}\n### Input:\n{{ input.name }}, {{ input.colour }}\n\n### Type:\n"
    "{{ output }}\n\n{% endexample %}\n",
    "bold": "{% example %}\n**Fruit**: {{ input.name }} {{ input.colour }}\n"
    "**Type**: {{ output }}\n\n{% endexample %}\n",
    "a macro": (
        "{% macro show(fruit) %}\nFruit: {{ fruit.name }}, {{ fruit.colour }}\n{% endmacro %}\n"
        "{% example %}\n{{ show(input) }}Type: {{ output }}\n\n{% endexample %}\n"
    ),
    "a macro in a loop": (
        "{% macro show(fruit) %}\nFruit: {{ fruit.name }}, {{ fruit.colour }}\n"
        "Type:{% endmacro %}\n"
        "{% for shot in shots %}\n{{ show(shot.input) }} {{ shot.output }}\n{% endfor %}\n"
        "{{ show(query) }}"
    ),
    "windows": "{% example %}\r\nFruit: {{ input.name }} {{ input.colour }}\r\n"
    "Type: {{ output }}\r\n{% endexample %}\r\n",
    "indented": "{% if true %}\n  {% example %}\nFruit: {{ input.name }} {{ input.colour }} = "
    "{{ output }}\n  {% endexample %}\n{% endif %}\n",
    "controlled": "{% example -%}\n  {{ input.name }} {{ input.colour }}: {{ output }}\n"
    "{% endexample %}\n",
    "control tokens": (
        "{% for s in shots %}\n<|im_start|>user\nFruit: {{ s.input.name }} {{ s.input.colour }}"
        "<|im_end|>\n<|im_start|>assistant\n{{ s.output }}<|im_end|>\n{% endfor %}\n"
        "<|im_start|>user\nFruit: {{ query.name }} {{ query.colour }}<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "options": (
        "{% example %}\nFruit: {{ input.name }}, {{ input.colour }}\nOptions:\n"
        "{% for label in labels %}\n- {{ label }}\n{% endfor %}\nType: {{ output }}\n\n"
        "{% endexample %}\n"
    ),
    "raw": "{% raw %}{{ a: }}{% endraw %}\n{% example %}\n{{ input.name }}{{ ' ' }}"
    "{{ input.colour }}: {{ output }}\n{% endexample %}\n",
    "turns": (
        "{% example %}\n{% user %}\nFruit: {{ input.name }}, {{ input.colour }}\n{% enduser %}\n"
        "{% assistant %}{{ output }}{% endassistant %}\n{% endexample %}\n"
    ),
    "turns in a loop": (
        "{% for shot in shots %}\n{% user %}\nFruit: {{ shot.input.name }} {{ shot.input.colour }}"
        "{% enduser %}\n{% assistant %}Type: {{ shot.output }}{% endassistant %}\n{% endfor %}\n"
        "{% user %}\nFruit: {{ query.name }} {{ query.colour }}{% enduser %}\n"
        "{% assistant %}Type:{% endassistant %}\n"
    ),
}
TEMPLATES = [*(Template.load(name) for name in NAMES if name not in ("chat.j2",))]
TEMPLATES += [Template(source, name) for name, source in SOURCES.items()]


def shown(template: Template, task: Task[Any, Any] = TASK) -> tuple[Any, ...]:
    prompt = template.render(task, shots=task.demos[:2], query=task.tests[0])
    return str(prompt), prompt.candidates, prompt.stop


def broken(template: Template, task: Task[Any, Any] = TASK) -> set[str]:
    return {f.rule for f in lint_template(task, template) if f.severity != "note"}


def data(template: Template) -> Counter[tuple[str, str | None, str | None]]:
    prompt = template.render(TASK, shots=TASK.demos[:2], query=TASK.tests[0])
    pieces = [*prompt.pieces, *(piece for turn in prompt.messages for piece in turn.pieces)]
    return Counter((p.text, p.example, p.field) for p in pieces if p.kind == "data")


def tokens_but_text(source: str) -> list[tuple[str, str]]:
    return [
        (token.kind, token.text)
        for token in Page("t", "t", source).tokens
        if token.kind not in ("data", "whitespace") and token.text.strip()
    ]


@cache
def formats_of(template: Template) -> tuple[list[Template], list[str]]:
    notes: list[str] = []
    return variants(TASK, template, 7, notes.append), notes


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_variants_differ_in_format_alone(template: Template) -> None:
    found, notes = formats_of(template)
    assert found[0] == template
    assert len(found) > 1
    assert len(found) == 7 or any("of 7 formats are possible" in note for note in notes)
    assert len({shown(variant) for variant in found}) == len(found)
    assert len({variant.name for variant in found}) == len(found)
    for variant in found[1:]:
        assert variant.name.startswith(f"{template.name} [")
        assert broken(variant) <= broken(template)
        assert data(variant) == data(template)
        if "extends" not in template.source:
            assert tokens_but_text(variant.source) == tokens_but_text(template.source)


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_query_with_its_answer_is_a_shot(template: Template) -> None:
    first, second, third, _ = TASK.demos
    for variant in formats_of(template)[0]:
        asked = variant.render(TASK, shots=[first], query=second)
        if asked.messages:
            continue  # its model's chat template joins the turns
        shot = variant.render(TASK, shots=[first, second], query=third)
        assert asked.candidates is not None
        answer = asked.candidates[TASK.labels.index(str(second.output))]
        assert shot.text.startswith(asked.text + answer + asked.stop)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loop", "colon-labels.j2", "letters.j2"])
def test_variants_are_always_the_same(name: str) -> None:
    (template,) = [one for one in TEMPLATES if one.name == name]
    assert variants(TASK, template, 4) == formats_of(template)[0][:4]


def levels(template: Template) -> str:
    """The names of enough variants that each level is in one."""
    return "\n".join(variant.name for variant in formats_of(template)[0])


def rendered(source: str, change: FormatChange) -> str:
    """What a changed template renders after one shot."""
    template = reformatted(Template(source, "t"), change)
    prompt = template.render(TASK, shots=TASK.demos[:1], query=TASK.tests[0])
    return f"{prompt.text}⟨{(prompt.candidates or ('',))[0]}⟩"


@pytest.mark.slow
def test_a_loop_is_changed_in_shots_and_query_alike() -> None:
    assert rendered(LOOP, FormatChange(separator=" - ")) == (
        "Fruits.\nFruit - peach\nColour - orange\nType - drupe\n\n"
        "Fruit - lemon\nColour - yellow\nType -⟨ drupe⟩"
    )
    assert rendered(LOOP, FormatChange(casing="UPPER", gap="\n", line_end=" || ")) == (
        "Fruits.\nFRUIT: peach\nCOLOUR: orange\nTYPE:\ndrupe || "
        "FRUIT: lemon\nCOLOUR: yellow\nTYPE:\n⟨drupe⟩"
    )
    for name in ("loop", "loop-items"):
        assert 'gap "\\n"' in levels(Template(SOURCES[name], name))


def test_what_is_not_format_stays_as_it_is() -> None:
    options = rendered(SOURCES["options"], FormatChange(" = ", "UPPER"))
    assert options.startswith("FRUIT = peach, orange\nOptions:\n- drupe\n")
    assert "\nTYPE = drupe\n" in options
    table = rendered(SOURCES["a table"], FormatChange(": ", joint="; "))
    assert table.startswith("| peach: orange: drupe |\n")
    tokens = rendered(SOURCES["control tokens"], FormatChange(" - ", "UPPER", line_end=" || "))
    assert tokens.startswith(
        "<|im_start|>user\nFRUIT - peach orange<|im_end|>\n<|im_start|>assistant\ndrupe<|im_end|>\n"
    )
    sentence = rendered(
        SOURCES["a sentence"], FormatChange(" - ", "UPPER", gap="", line_end="\n\n")
    )
    assert sentence.startswith("The type of peach (orange) is drupe.\n\nThe type of lemon")
    hindi = rendered(SOURCES["hindi"], FormatChange(" = ", "UPPER"))
    assert hindi.startswith("फल = peach\n")
    headed = rendered(SOURCES["markdown"], FormatChange(" - ", "lower"))
    assert headed.startswith("### input -\npeach, orange\n\n### type -\ndrupe\n")


@pytest.mark.slow
def test_instructions_stay_as_they_are() -> None:
    for name in ("lines-labels.j2", "instruction-last-labels.j2"):
        for variant in formats_of(Template.load(name))[0]:
            assert "Answer with one of: drupe, pome, pepo." in shown(variant)[0]


def test_two_separators_are_not_made_one() -> None:
    source = "{% example %}\nFruit: {{ input.name }} -> {{ output }}\n{% endexample %}\n"
    found = levels(Template(source, "t"))
    assert 'sep " = "' in found
    assert 'sep ": "' not in found
    assert rendered(source, FormatChange(" = ")).startswith("Fruit: peach = drupe\n")


def test_the_page_names_what_is_tried() -> None:
    page = (BUILT_IN.parent / "docs" / "sensitivity.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`.*?\| (?:.*?) \| (.*) \|$", page, re.MULTILINE))
    assert re.findall("`([^`]+)`", rows["sep"]) == list(SEPARATORS)
    assert re.findall("`([^`]+)`", rows["joint"].replace("\\|", "|")) == list(JOINTS)
    source = "{% example %}\nQuestion: {{ input.name }}\nAnswer: {{ output }}\n\n{% endexample %}\n"
    change = FormatChange(" - ", "UPPER", line_end="\n")
    assert str(change) in page
    assert rendered(source, change).startswith("QUESTION - peach\nANSWER - drupe\nQUESTION - lemon")


@pytest.mark.parametrize("name", ["json.j2", "xml.j2", "json-labels.j2"])
def test_in_markup_only_white_space_is_varied(name: str) -> None:
    template = Template.load(name)
    found, notes = formats_of(template)
    kind = "JSON" if "json" in name else "XML"
    assert f"{name} is {kind}: only its white space is varied" in notes
    before = "".join(shown(template)[0].split())
    assert {"".join(shown(variant)[0].split()) for variant in found} == {before}


def test_what_ends_a_generated_answer_is_white_space() -> None:
    task = fruit_task(str)
    for variant in variants(task, Template.load("lines.j2"), 20):
        assert not shown(variant, task)[2].strip()


def test_a_variant_can_be_saved_and_read_again(tmp_path: Any) -> None:
    variant = formats_of(Template.load("qa-labels.j2"))[0][3]
    path = tmp_path / "best.j2"
    path.write_text(variant.source, encoding="utf-8")
    assert shown(Template.load(path)) == shown(variant)


@pytest.mark.slow
def test_each_level_of_a_separator_gets_its_share() -> None:
    found = variants(TASK, Template.load("lines.j2"), 12)
    levels = Counter(variant.name.partition("sep ")[2][:6] for variant in found)
    assert max(levels.values()) - min(levels.values()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "{% example %}{{ input.name }} {{ input.colour }}{{ '\\n' }}{{ output }}{{ '\\n' }}"
            "{% endexample %}",
            "the text around the values of its examples cannot be varied",
        ),
        ("{% include 'colon.j2' %}\n", "its examples are in colon.j2, which it loads"),
        ("{{ query.name }} {{ query.colour }}:", "no {% example %} block and no loop"),
    ],
)
def test_where_nothing_can_be_varied_it_says_so(source: str, reason: str) -> None:
    template = Template(source, "mine.j2")
    with pytest.raises(TemplateError) as raised:
        variants(TASK, template, 3)
    assert str(raised.value).startswith("mine.j2: ")
    assert reason in str(raised.value)
    assert variants(TASK, template, 1) == [template]


def test_a_chat_of_single_fields_has_nothing_to_vary() -> None:
    class Name(BaseModel):
        name: str

    task = Task[Name, Literal["a", "b"]](
        name="t", tests=[Example(input=Name(name="x"), output="a")]
    )
    with pytest.raises(TemplateError, match="the text around the values of its examples cannot be"):
        variants(task, Template.load("chat.j2"), 3)
    assert len(variants(TASK, Template.load("chat.j2"), 3)) == 3


def test_a_number_of_formats_is_at_least_one() -> None:
    with pytest.raises(TaskError, match="formats is 0"):
        variants(TASK, Template.load("colon.j2"), 0)


def test_a_template_that_does_not_render_says_why() -> None:
    with pytest.raises(TemplateError, match="nam"):
        variants(
            TASK, Template("{% example %}\n{{ input.nam }}: {{ output }}\n{% endexample %}"), 3
        )


# --- the design -----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 5), max_size=4), st.integers(1, 30))
def test_a_design_is_distinct_nearly_balanced_and_its_beginnings_are_designs(
    levels: list[int], runs: int
) -> None:
    chosen = list(islice(design(levels), runs))
    assert len(set(chosen)) == len(chosen) == min(runs, prod(levels))
    assert chosen[0] == (0,) * len(levels)
    for factor, count in enumerate(levels):
        seen = Counter(combination[factor] for combination in chosen)
        times = [seen[level] for level in range(count)]
        assert max(times) - min(times) <= 2
