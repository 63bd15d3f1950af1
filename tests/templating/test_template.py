from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from strategies import Family, Fruit, fruits, some_text, texts

from promptkit.errors import DataError, PromptError, TemplateError
from promptkit.prompts.pieces import Span
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.template import BUILT_IN, Template

COLON = """\
{{ task.instruction }}

{% example %}
{{ input.name }}: {{ output }}
{% endexample %}
"""

LOOP = """\
{{ task.instruction }}

{% for shot in shots %}
{{ shot.input.name }}: {{ shot.output }}
{% endfor %}
{{ query.name }}:"""

CHAT = """\
{% system %}{{ task.instruction }}{% endsystem %}
{% example %}
{% user %}{{ input.name }}?{% enduser %}
{% assistant %}Family: {{ output }}{% endassistant %}
{% endexample %}
"""

Write = Callable[..., Path]


def render(
    source: str, shots: Any = 0, query: Any = "fig", task: Any = None, **rest: Any
) -> Prompt:
    """The prompt of a template, about fruits unless a task is given."""
    if isinstance(query, str):
        query = {"name": query}
    return Template(source, "t.j2").render(task or fruits(), shots=shots, query=query, **rest)


def refusal(source: str, shots: int = 1, **rest: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        render(source, shots, selection="first", **rest)
    return str(caught.value)


def read(prompt: Prompt) -> list[tuple[str, Span]]:
    return [(prompt.text[span.start : span.end], span) for span in prompt.spans]


def data(prompt: Prompt) -> list[tuple[str, str | None, str | None]]:
    """The texts that came from data, with their examples and fields."""
    return [(text, s.example, s.field) for text, s in read(prompt) if s.source == "data"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes templates into a folder, and says where the first one is."""

    def write(**sources: str | bytes) -> Path:
        for name, source in sources.items():
            raw = source.encode() if isinstance(source, str) else source
            (tmp_path / f"{name}.j2").write_bytes(raw)
        return tmp_path / f"{next(iter(sources))}.j2"

    return write


# --- the example block ----------------------------------------------------------------------------


def test_the_block_is_rendered_once_per_shot_and_once_up_to_the_answer() -> None:
    prompt = render(COLON, 2, selection="first")
    assert prompt.text == "Name the family.\n\napple: pome\npeach: drupe\nfig:"
    assert prompt.candidates == (" drupe", " pome", " berry")
    assert (prompt.lead, prompt.stop) == (" ", "\n")
    assert prompt.shots == ("apple", "peach")
    assert (prompt.query or "").startswith("fig-")
    assert prompt.messages == ()


def test_without_shots_the_block_is_zero_shot() -> None:
    prompt = render(COLON)
    assert prompt.text == "Name the family.\n\nfig:"
    assert prompt.candidates == (" drupe", " pome", " berry")


@given(st.lists(some_text, unique_by=str.casefold, min_size=1, max_size=4), texts, texts)
def test_shots_and_query_cannot_drift(names: list[str], before: str, after: str) -> None:
    source = "{% example %}[{{ task.name }}{{ input.name }}|{{ output }}]{% endexample %}"
    task = Task[Fruit, Family](
        name=before,
        demos=[{"input": {"name": n}, "output": "pome", "id": f"{i}"} for i, n in enumerate(names)],
    )
    query = Example(input=Fruit(name="the query" + after), id="query")
    prompt = render(source, len(names), query, task)
    shown = [task.demos.by_id(id) for id in prompt.shots]
    shots = "".join(f"[{before}{shot.input.name}|pome]" for shot in shown if shot)
    assert prompt.text == f"{shots}[{before}the query{after}|"
    assert prompt.stop == "]"


def test_the_query_is_not_among_its_shots() -> None:
    assert set(render(COLON, 2, "apple").shots) == {"peach", "grape"}


def test_the_query_is_refused_among_given_shots() -> None:
    task = fruits()
    with pytest.raises(PromptError, match="is among its own shots"):
        render(COLON, task.demos[:2], "apple", task)
    assert len(render(COLON, task.demos[:2], "APPLE", task).shots) == 2  # another text


def test_given_shots_are_shown_in_their_order() -> None:
    task = fruits()
    shots = [task.demos[2], task.demos[0]]
    assert render(COLON, shots, task=task).shots == ("grape", "apple")


def test_names_that_a_template_sets_do_not_reach_the_block() -> None:
    source = "{% set shots = [] %}{% set query = 3 %}" + COLON
    assert render(source, 2).text == render(COLON, 2).text


def test_what_the_data_says_is_stop_too() -> None:
    source = "{% example %}{{ input.name }}: {{ output }} ({{ input.name }})\n{% endexample %}"
    assert render(source, 1).stop == " (fig)\n"


def test_a_generated_answer_has_no_candidates() -> None:
    task = Task[Fruit, str](name="t", demos=[{"input": {"name": "a"}, "output": "x"}])
    prompt = render(COLON, 1, task=task)
    assert prompt.candidates is None
    assert (prompt.text, prompt.lead, prompt.stop) == ("\n\na: x\nfig:", " ", "\n")


# --- the answer slot ------------------------------------------------------------------------------


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{{ input.name }}", "prints {{ output }} 0 times; once is where the answer goes"),
        ("{{ output }}{{ output }}", "prints {{ output }} 2 times"),
        ("{{ output | upper }}", "can only be printed as it is"),
        ("{{ output ~ '.' }}", "can only be printed as it is"),
        ("{% if output %}{{ output }}{% endif %}", "can only be printed as it is"),
        ("{% if output == 'pome' %}a {% endif %}{{ output }}", "can only be printed as it is"),
        ("{{ output | length }}", "can only be printed as it is"),
        ("{% filter upper %}{{ output }}{% endfilter %}", "prints {{ output }} 0 times"),
    ],
)
def test_the_slot_is_printed_once_and_as_it_is(shots: int, body: str, reason: str) -> None:
    message = refusal(f"first line\n{{% example %}}\n{body}\n{{% endexample %}}\n", shots)
    assert re.match(r"t\.j2:[23]: ", message)
    assert reason in message


def test_text_after_the_block_is_an_error_that_names_its_line() -> None:
    assert refusal(COLON + "\n\nGood luck\n").startswith(
        "t.j2:8: 'Good luck' comes after the query's answer, where the model never reads it"
    )


def test_a_second_block_is_an_error() -> None:
    assert "comes after the query's answer" in refusal(COLON + COLON)


def test_white_space_after_the_block_is_no_error() -> None:
    assert render(COLON + "\n  \n").stop == "\n"


@pytest.mark.parametrize(
    ("before", "text", "lead"),
    [
        (": ", "fig:", " "),
        (":   ", "fig:", "   "),
        (":\n", "fig:\n", ""),
        (":\t", "fig:\t", ""),
        (": \n  ", "fig: \n", "  "),
        (":{{ ' ' }} ", "fig:", "  "),
    ],
)
def test_the_space_in_front_of_an_answer_belongs_to_it(before: str, text: str, lead: str) -> None:
    prompt = render("{% example %}{{ input.name }}" + before + "{{ output }}\n{% endexample %}")
    assert prompt.text == text
    assert prompt.lead == lead
    assert prompt.candidates == tuple(lead + label for label in ("drupe", "pome", "berry"))


def test_spaces_that_are_data_stay_in_the_prompt() -> None:
    prompt = render("{% example %}{{ input.name }}{{ output }}{% endexample %}", 0, "fig  ")
    assert (prompt.text, prompt.lead) == ("fig  ", "")


# --- plain loops ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shots", [0, 2])
def test_a_loop_is_read_off_its_shots(shots: int) -> None:
    prompt = render(LOOP, shots, selection="first")
    assert prompt == render(LOOP, shots, selection="first")
    assert prompt.text == render(COLON, shots, selection="first").text
    assert (prompt.lead, prompt.stop) == (" ", "\n")
    assert prompt.candidates == (" drupe", " pome", " berry")


def test_a_loop_may_end_in_the_space_itself() -> None:
    prompt = render(LOOP + " ", 1)
    assert prompt.text == render(LOOP, 1).text
    assert prompt.lead == " "


@pytest.mark.parametrize(
    ("between", "stop"),
    [(".\n", ".\n"), ("; ", "; "), (" END\n\n", " END\n"), ("\n---\n", "\n"), ("", "\n")],
)
def test_the_stop_is_what_follows_an_answer_on_its_line(between: str, stop: str) -> None:
    source = (
        f"{{% for s in shots %}}{{{{ s.input.name }}}}:{{{{ s.output }}}}{between}{{% endfor %}}"
    )
    prompt = render(source + "{{ query.name }}:")
    assert (prompt.lead, prompt.stop) == ("", stop)


def test_an_answer_that_went_through_a_filter_is_still_the_answer() -> None:
    source = "{% for s in shots %}{{ s.input.name }}: {{ s.output | upper }};{% endfor %}"
    prompt = render(source + "{{ query.name }}:", 2)
    assert (prompt.lead, prompt.stop) == (" ", ";")


def test_a_field_called_like_the_output_is_not_the_answer() -> None:
    class Odd(BaseModel):
        output: str

    task = Task[Odd, Family](name="t", demos=[{"input": {"output": "a"}, "output": "pome"}])
    source = "{% for s in shots %}{{ s.output }};  {{ s.input.output }}.\n{% endfor %}"
    prompt = render(source + "{{ query.output }}", 1, {"output": "b"}, task)
    assert (prompt.lead, prompt.stop) == ("", ";  ")


def test_a_template_without_shots_or_pool_ends_at_the_line() -> None:
    prompt = render("{{ query.name }} is a", task=fruits({}))
    assert (prompt.text, prompt.lead, prompt.stop) == ("fig is a", "", "\n")


# --- turns ----------------------------------------------------------------------------------------


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in prompt.messages]


def test_role_tags_make_turns() -> None:
    prompt = render(CHAT, 1, selection="first")
    assert turns(prompt) == [
        ("system", "Name the family."),
        ("user", "apple?"),
        ("assistant", "Family: pome"),
        ("user", "fig?"),
        ("assistant", "Family:"),
    ]
    assert prompt.pieces == ()
    assert (prompt.lead, prompt.stop) == (" ", "")
    assert prompt.candidates == (" drupe", " pome", " berry")


def test_turns_of_a_plain_loop_end_with_the_question() -> None:
    source = """\
{% for shot in shots %}
{% user %}{{ shot.input.name }}{% enduser %}
{% assistant %}The {{ shot.output }}{% endassistant %}
{% endfor %}
{% user %}{{ query.name }} {% enduser %}
"""
    prompt = render(source, 1, selection="first")
    assert turns(prompt) == [("user", "apple"), ("assistant", "The pome"), ("user", "fig ")]
    assert (prompt.lead, prompt.stop) == ("", "")
    assert prompt.candidates == ("drupe", "pome", "berry")


def test_an_open_answer_in_a_plain_loop_is_read_off_its_shots() -> None:
    source = """\
{% for shot in shots %}
{% user %}{{ shot.input.name }}{% enduser %}
{% assistant %}The {{ shot.output }}{% endassistant %}
{% endfor %}
{% user %}{{ query.name }}{% enduser %}
{% assistant %}The{% endassistant %}
"""
    prompt = render(source)
    assert turns(prompt) == [("user", "fig"), ("assistant", "The")]
    assert (prompt.lead, prompt.stop) == (" ", "")


def test_text_outside_the_turns_is_an_error_that_names_its_line() -> None:
    assert refusal("{% user %}a{% enduser %}\n\nstray\n" + CHAT).startswith(
        "t.j2:3: 'stray' stands outside the turns; put it into {% system %}, {% user %}"
    )


def test_turns_do_not_nest() -> None:
    source = "\n{% user %}a{% system %}b{% endsystem %}{% enduser %}"
    assert refusal(source) == "t.j2:2: a turn inside {% user %}: turns do not nest"


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize(
    "body",
    [
        "{% user %}{{ input.name }}: {{ output }}{% enduser %}",
        "{% user %}a{% enduser %}{{ output }}",
    ],
)
def test_the_answer_stands_in_the_models_turn(body: str, shots: int) -> None:
    message = refusal("\n{% example %}\n" + body + "{% endexample %}", shots)
    assert message.startswith("t.j2:3: ")
    assert "outside" in message


# --- strictness -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "where", "reason"),
    [
        ("a\n{{ nothing }}", "t.j2:2", "'nothing' is undefined"),
        ("a\n\n{{ query.nam }}", "t.j2:3", "'query' has no field 'nam'; it has 'name'"),
        ("{{ query['nam'] }}", "t.j2:1", "'query' has no field 'nam'; it has 'name'"),
        ("\n{{ task.nam }}", "t.j2:2", "'task' has no field 'nam'; it has 'name', 'instruction'"),
        (
            "\n{% for s in shots %}\n\n{{ s.name }}{% endfor %}",
            "t.j2:4",
            "'shot' has no field 'name'; it has 'id', 'input', 'output', 'metadata'",
        ),
        ("\n{{ shots[0].metadata.x }}", "t.j2:2", "'metadata' has no field 'x'; it has no fields"),
        ("\n{% if nothing %}{% endif %}", "t.j2:2", "'nothing' is undefined"),
        ("\n{{ labels[7] }}", "t.j2:2", "has no element 7"),
        ("\n{{ query }}", "t.j2:2", "{{ query }} is a whole record; print one of its fields"),
        ("\n{{ shots[0] }}", "t.j2:2", "is a whole record"),
        ("\n{{ labels.append('x') }}", "t.j2:2", "has no attribute 'append'"),
        ("\n{{ query.name + 1 }}", "t.j2:2", "TypeError"),
        ("\n{{ 1 // 0 }}", "t.j2:2", "ZeroDivisionError"),
        ("\n{% include 'no.j2' %}", "t.j2:2", "template 'no.j2' not found in its search path"),
    ],
)
def test_an_error_names_file_line_and_what_there_is(source: str, where: str, reason: str) -> None:
    message = refusal(source)
    assert message.startswith(f"{where}: ")
    assert reason in message


def test_an_error_in_the_block_names_the_example() -> None:
    source = "{% example %}\n{{ input.name }}\n{{ input.nam }}: {{ output }}{% endexample %}"
    assert refusal(source) == (
        "t.j2:3: 'input' has no field 'nam'; it has 'name' (while rendering example 'apple')"
    )


def test_an_error_in_a_loop_names_the_example() -> None:
    task = fruits()
    odd = Example(input=Fruit(name="x"), output="pome", id="odd", metadata={"note": None})
    fine = Example(input=Fruit(name="y"), output="pome", id="fine", metadata={"note": "n"})
    source = "{% for shot in shots %}\n{{ shot.metadata.note }}\n{% endfor %}"
    with pytest.raises(TemplateError) as caught:
        render(source, [fine, odd], task=task)
    assert (caught.value.line, caught.value.example) == (2, "odd")
    assert caught.value.reason == (
        "{{ shot.metadata.note }} has no value; print it under "
        "{% if shot.metadata.note is not none %}"
    )


def test_an_error_about_the_query_names_it() -> None:
    query = Example(input=Fruit(name="fig"), id="the query")
    source = "{% example %}{{ input.name[9] }}{{ output }}{% endexample %}"
    with pytest.raises(TemplateError) as caught:
        render(source, 0, query)
    assert caught.value.example == "the query"


def test_a_shot_without_an_answer_is_an_error() -> None:
    shots = [Example(input=Fruit(name="x"), id="x")]
    with pytest.raises(TemplateError, match=r"has no value.*example 'x'"):
        render(COLON, shots)


def test_a_query_that_does_not_fit_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="the input has no such field; it has 'name'"):
        render(COLON, 0, {"nam": "fig"})


def test_a_small_pool_is_an_error() -> None:
    with pytest.raises(PromptError, match="9 shots asked, but the pool has only 3"):
        render(COLON, 9)


@pytest.mark.parametrize(
    "source",
    [
        "{{ query.__class__ }}",
        "{{ query.name.__class__ }}",
        "{{ query._fields }}",
        "{{ labels.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ query.name.format.__globals__ }}",
        "{{ range(999999999) | list }}",
        "{{ lipsum() }}",
        "{{ labels | random }}",
        "{{ shots.__getitem__(0) }}",
    ],
)
def test_a_template_reaches_its_data_and_nothing_else(source: str) -> None:
    assert refusal(source).startswith("t.j2:1: ")


def test_rendering_changes_nothing_that_a_template_sees() -> None:
    source = "{% set ns = namespace(a=[]) %}{{ ns.a.append(1) }}"
    assert "access to attribute 'append' of 'list' object is unsafe" in refusal(source)


@pytest.mark.parametrize("value", ["true", "false"])
def test_nothing_is_escaped(value: str) -> None:
    message = refusal("\n{% autoescape " + value + " %}{{ query.name }}{% endautoescape %}")
    assert message.endswith(":2: {% autoescape %} is for HTML, and a prompt is none; take it out")


@pytest.mark.parametrize("half", ["'\\ud800'", "'%c' | format(55296)"])
def test_half_of_a_surrogate_pair_is_no_character(half: str) -> None:
    message = refusal(
        "{% example %}\n{{ " + half + " }}{{ input.name }}: {{ output }}\n{% endexample %}"
    )
    assert message.endswith(":2: '\\ud800' is half of a surrogate pair, not a character")


@pytest.mark.slow
@pytest.mark.parametrize(
    "expression",
    [
        *("query | upper", "query.name.index | trim", "range | title", "[[query]] | lower"),
        *("shots | map('lower') | list", "['a', 'b'] | join(query)", "{'a': query} | xmlattr"),
        *("'a' | replace('a', query)", "'a' | indent(2, first=query.name.index)", "query | e"),
        *("query.name.index | safe", "query | urlencode", "shots | groupby('id') | upper"),
        *("'abc' | truncate(2, end=query)", "(shots | map('upper')) | capitalize"),
    ],
)
def test_no_filter_prints_what_has_no_text(expression: str) -> None:
    """Python's own notation holds an address, which is another one in every process."""
    assert "cannot be printed" in refusal("{{ " + expression + " }}{{ query.name }}:")


def test_a_test_is_asked_of_values_without_a_text() -> None:
    source = "{{ shots is string }} {{ query is string }} {{ missing is string }} {{ query.name }}:"
    assert render(source).text == "False False False fig:"


# --- nothing is rewritten -------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=300)
@given(some_text, some_text, texts, texts)
def test_data_is_rendered_as_it_is(name: str, other: str, instruction: str, before: str) -> None:
    literal = before.replace("{", "").replace("\r", "") + "<"
    task = Task[Fruit, str](
        name="t",
        instruction=instruction,
        demos=[{"input": {"name": "demo:" + name}, "output": other, "id": "a"}],
    )
    block = "{% example %}({{ input.name }}|{{ output }}){% endexample %}"
    query = Example(input=Fruit(name=other), id="b")
    # Named, since a demonstration that is nearly the query is not drawn.
    prompt = render(literal + "{{ task.instruction }}>" + block, [*task.demos], query, task)
    assert prompt.text == f"{literal}{instruction}>(demo:{name}|{other})({other}|"
    assert data(prompt) == [
        (instruction, None, "task.instruction"),
        (f"demo:{name}", "a", "input.name"),
        (other, "a", "output"),
        (other, "b", "input.name"),
    ]


def test_nothing_is_escaped_for_html() -> None:
    task = fruits({"<b>&amp;'\"": "pome"})
    assert render(COLON, 1, task=task).text.endswith("<b>&amp;'\": pome\nfig:")
    source = "{{ query.name | tojson }}"
    assert render(source, 0, "<é'>").text == '"<é\'>"'


def test_block_lines_are_trimmed_and_the_last_newline_stays() -> None:
    source = "a\n  {% if true %}  \n  b\n  {% endif %}\nc\n\n"
    assert render(source).text == "a\n  \n  b\nc\n\n"


def test_a_template_of_another_system_reads_the_same() -> None:
    assert render(COLON.replace("\n", "\r\n"), 2).text == render(COLON, 2).text


# --- values of every type -------------------------------------------------------------------------


class Place(BaseModel):
    city: str
    height: float


class Harvest(BaseModel):
    count: int
    weight: float
    ripe: bool
    place: Place
    tags: list[str]
    note: str | None = None


HARVEST = {
    "count": 3,
    "weight": 0.5,
    "ripe": True,
    "place": {"city": "Bonn", "height": 60.0},
    "tags": ["a", "b"],
}


def harvest(source: str, shots: int = 0) -> Prompt:
    other = {**HARVEST, "count": 4}
    task = Task[Harvest, Family](name="t", demos=[{"input": other, "output": "pome", "id": "d"}])
    return render(source, shots, Example(input=Harvest(**HARVEST), id="q"), task)


@pytest.mark.parametrize(
    ("expression", "text", "field"),
    [
        ("query.count", "3", "input.count"),
        ("query.weight", "0.5", "input.weight"),
        ("query.ripe", "True", "input.ripe"),
        ("query.place.city", "Bonn", "input.place.city"),
        ("query['place']['height']", "60.0", "input.place.height"),
        ("query.tags[1]", "b", "input.tags"),
        ("query.tags | join(', ')", "a, b", "input.tags"),
        ("query.count + 1", "4", "input.count"),
        ("'%.2f' % query.weight", "0.50", "input.weight"),
        ("query.place.city | upper", "BONN", "input.place.city"),
        ("query.place.city.upper()", "BONN", "input.place.city"),
        ("query.place | tojson", '{"city": "Bonn", "height": 60.0}', "input.place"),
        ("'ripe' if query.ripe else 'green'", "ripe", "input.ripe"),
        ("query.tags | length", "2", "input.tags"),
    ],
)
def test_a_value_of_any_type_knows_its_field(expression: str, text: str, field: str) -> None:
    assert data(harvest(f"{{{{ {expression} }}}}")) == [(text, "q", field)]


def test_values_in_a_loop_know_their_field_too() -> None:
    source = "{% for s in shots %}{{ s.input.ripe }}{{ s.input.count * 2 }}{% endfor %}"
    assert data(harvest(source, 1)) == [("True", "d", "input.ripe"), ("8", "d", "input.count")]


def test_a_record_gives_its_fields_by_name() -> None:
    source = "{% for name, value in query.place %}{{ name }}={{ value }};{% endfor %}"
    assert harvest(source).text == "city=Bonn;height=60.0;"


@pytest.mark.parametrize("expression", ["query.place", "query.note", "query"])
def test_records_and_missing_values_are_not_printed(expression: str) -> None:
    with pytest.raises(TemplateError, match=r"is a whole record|has no value"):
        harvest(f"{{{{ {expression} }}}}")


def test_a_missing_value_can_be_asked_about() -> None:
    assert harvest("{% if query.note is none %}none{% endif %}").text == "none"


def test_an_output_of_several_fields_is_written_as_json() -> None:
    class Answer(BaseModel):
        kind: Literal["a", "b"]
        note: str

    demos = [{"input": {"name": "x"}, "output": {"kind": "a", "note": "é\n"}, "id": "d"}]
    prompt = render(COLON, 1, task=Task[Fruit, Answer](name="t", demos=demos))
    assert prompt.text == '\n\nx: {"kind": "a", "note": "é\\n"}\nfig:'
    assert data(prompt)[2] == ('{"kind": "a", "note": "é\\n"}', "d", "output")


@pytest.mark.parametrize(
    ("output", "value", "text"), [(int, 3, "3"), (float, 2.0, "2.0"), (bool, True, "true")]
)
def test_outputs_of_every_type_are_printed(output: Any, value: Any, text: str) -> None:
    demos = [{"input": {"name": "x"}, "output": value, "id": "d"}]
    prompt = render(COLON, 1, task=Task[Fruit, output](name="t", demos=demos))
    assert (text, "d", "output") in data(prompt)


# --- spans ----------------------------------------------------------------------------------------


def check_spans(prompt: Prompt, sources: dict[str, str], task: Task[Any, Any], query: Any) -> None:
    """Spans cover the text without gaps, and every one can be found where it says it is."""
    ends = [0, *(span.end for span in prompt.spans)]
    assert [span.start for span in prompt.spans] == ends[:-1]
    assert ends[-1] == len(prompt.text)
    by_id = {example.id: example for example in (*task.demos, query)}
    for text, span in read(prompt):
        assert span.file is not None
        if span.source == "template":
            assert span.line is not None
            assert text.rstrip("\n") in sources[span.file].split("\n")[span.line - 1]
        elif (span.field or "").startswith(("input.", "output")) and span.example:
            example = by_id[span.example]
            value = example.output if span.field == "output" else example.input.name
            assert text == value


FRAGMENTS = [
    "plain",
    "two\nlines\n",
    "\n",
    "  {% if true %}\nindented\n  {% endif %}\n",
    "{# a comment #}",
    "{# a comment\n\nof lines #}after\n",
    "{% raw %}\n{{ raw }}\n{% endraw %}\nafter raw\n",
    "{{ 'const' }}",
    "{{ 'const' -}}\n\n stripped",
    "head \n {%- if true -%} \n middle \n{%- endif %}\ntail",
    "{{ query.name }}",
    "{{ query.name\n}}\nbehind",
    "{% set x = query.name %}[{{ x }}]",
    "{% set block %}\nin a block {{ query.name }}\n{% endset %}{{ block }}",
    "{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n{% endfor %}\n",
    "{% for shot in shots %}{{ loop.index }}{{ shot.input.name }}{% endfor %}",
    "{% for name, value in query %}\n{{ name }}\n= {{ value }}\n{% endfor %}",
    "{{ labels | join('/') }}\n",
    "{% filter replace('\n', '') %}\nfiltered\n{% endfilter %}",
    "{{ query.name | replace('x', 'x') }}",
    "{% macro m(a) %}\nmacro {{ a }}\n!{% endmacro %}{{ m(query.name) }}",
    "{% macro n(a) %}\nsays {{ caller(a) }}\n{% endmacro %}\n"
    "{% call(a) n(query.name) %}\ncalled {{ a }}\n{% endcall %}",
    "{% include 'part.j2' %}",
    "{% import 'macros.j2' as lib %}{{ lib.show(query.name) }}",
    "{% with y = query.name %}\n{{ y }}\n{% endwith %}",
]
PARTS = {
    "part.j2": "included\n{{ query.name }}\nto the end\n",
    "macros.j2": "unused\n{% macro show(x) %}\nshown: {{ x }}\n{% endmacro %}\n",
    "base.j2": "base\n{% block body %}\nold\n{% endblock %}\n\nfooter\n",
    "built.j2": "built in\n",
}
NO_BRACES = some_text.map(lambda text: text.replace("{", ""))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for name, source in PARTS.items():
        (folder / name).write_text(source)
    return folder


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(FRAGMENTS) | NO_BRACES.map(lambda t: t.replace("\r", "")), max_size=6),
    st.sampled_from(["loop", "example", "turns"]),
    some_text,
    some_text,
    st.integers(0, 2),
)
def test_every_character_can_be_found_where_its_span_says(
    parts: Path, fragments: list[str], kind: str, name: str, family: str, shots: int
) -> None:
    source = "".join(fragments)
    if kind == "turns":
        source = f"{{% user %}}\n{source}{{% enduser %}}\n{CHAT.split(chr(10), 1)[1]}"
    elif kind == "example":
        source += COLON
    demos = [{"input": {"name": f"{i}{name}"}, "output": family, "id": f"{i}"} for i in range(2)]
    task = Task[Fruit, str](name="t", instruction="i", demos=demos)
    query = Example(input=Fruit(name="query" + name), id="q")
    shown = [*task.demos][:shots]  # named, as one that is nearly the query is not drawn
    prompt = Template(source, "t.j2", (parts,)).render(task, shots=shown, query=query)
    sources = {"t.j2": source, **{str(parts / n): text for n, text in PARTS.items()}}
    check_spans(prompt, sources, task, query)
    pieces = [p for message in prompt.messages for p in message.pieces] or prompt.pieces
    assert "".join(piece.text for piece in pieces) == prompt.text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% include 'part.j2' %}", [("included\n", "part.j2", 1), ("\n", "part.j2", 2)]),
        (
            "{% extends 'base.j2' %}\n{% block body %}\nnew {{ super() }}{% endblock %}",
            [
                ("base\n", "base.j2", 1),
                ("new ", "t.j2", 3),
                ("old\n", "base.j2", 3),
                ("\n", "base.j2", 5),
                ("footer\n", "base.j2", 6),
            ],
        ),
        (
            "{% import 'macros.j2' as lib %}\n\n{{ lib.show(query.name) }}",
            [("\n", "t.j2", 2), ("shown: ", "macros.j2", 3), ("\n", "macros.j2", 3)],
        ),
    ],
)
def test_text_of_another_file_names_it(
    parts: Path, source: str, expected: list[tuple[str, str, int]]
) -> None:
    prompt = Template(source, "t.j2", (parts,)).render(fruits(), query={"name": "fig"})
    found = [
        (text, Path(span.file or "").name, span.line)
        for text, span in read(prompt)
        if span.source == "template"
    ]
    assert found[: len(expected)] == expected


def test_data_from_an_included_file_knows_its_example(parts: Path) -> None:
    source = "{% example %}{% include 'of.j2' %}: {{ output }}\n{% endexample %}"
    (parts / "of.j2").write_text("{{ input.name }}")
    prompt = Template(source, "t.j2", (parts,)).render(
        fruits(), shots=1, selection="first", query=Example(input=Fruit(name="fig"), id="q")
    )
    assert prompt.text == "apple: pome\nfig:"
    assert data(prompt)[0] == ("apple", "apple", "input.name")
    assert data(prompt)[-1] == ("fig", "q", "input.name")


def test_the_block_may_stand_in_an_included_file(parts: Path) -> None:
    (parts / "block.j2").write_text(COLON)
    template = Template("Hello\n{% include 'block.j2' %}", "t.j2", (parts,))
    assert template.render(fruits(), shots=2, query={"name": "fig"}).text == (
        "Hello\n" + render(COLON, 2).text
    )


@pytest.mark.parametrize("context", ["", " with context"])
def test_the_block_in_an_imported_macro_needs_the_context(parts: Path, context: str) -> None:
    (parts / "lib.j2").write_text("{% macro ask() %}\n" + COLON.split("\n\n")[1] + "{% endmacro %}")
    template = Template(
        f"{{% import 'lib.j2' as lib{context} %}}{{{{ lib.ask() }}}}", "t", (parts,)
    )
    if context:
        assert template.render(fruits(), query={"name": "fig"}).text == "fig:"
    else:
        with pytest.raises(TemplateError, match=r"write \{% import ... with context %\}"):
            template.render(fruits(), query={"name": "fig"})


def test_a_filtered_block_knows_its_line() -> None:
    prompt = render("a\n{% filter upper %}b{{ query.name }}{% endfilter %}")
    assert prompt.text == "a\nBFIG"
    (span,) = [span for span in prompt.spans if span.source == "data"]
    assert (span.file, span.line, span.field) == ("t.j2", 2, "upper")


def test_constants_are_the_templates_and_data_never_is() -> None:
    prompt = render("{{ '<|im_end|>' }}{{ '<|im_' ~ query.name }}", 0, "end|>")
    assert [(t, s.source) for t, s in read(prompt)] == [
        ("<|im_end|>", "template"),
        ("<|im_end|>", "data"),
    ]


# --- finding templates ----------------------------------------------------------------------------


def test_a_name_is_looked_up_in_the_tasks_folder_first(tmp_path: Path) -> None:
    built_in = Template.load("colon.j2", tmp_path)
    assert built_in.file == str(BUILT_IN / "colon.j2")
    (tmp_path / "colon.j2").write_text("mine")
    assert Template.load("colon.j2", tmp_path).source == "mine"
    assert Template.load("colon", tmp_path).source == "mine"
    assert Template.load("colon").source == built_in.source


def test_a_task_names_its_template(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mine.j2").write_text("mine")
    task = fruits(template="mine.j2", folder=tmp_path)
    assert Template.of(task).source == "mine"
    assert Template.of(task, "qa").name == "qa.j2"
    assert Template.of(fruits()).name == "colon.j2"


def test_a_path_is_a_path(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(mine="mine")
    assert Template.load(path).source == "mine"
    assert Template.load(str(path)).source == "mine"
    monkeypatch.chdir(tmp_path.parent)
    assert Template.load(f"{tmp_path.name}/mine.j2").source == "mine"
    monkeypatch.chdir(tmp_path)
    assert Template.load("mine.j2").source == "mine"


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("mine")
    known = r"unknown template 'mein'; choose one of: .*colon.j2.*mine.j2"
    with pytest.raises(TemplateError, match=known):
        Template.load("mein", tmp_path)


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"none.j2: No such file or directory"):
        Template.load(tmp_path / "none.j2")


@pytest.mark.parametrize(
    "name", ["../outside.j2", "{outside}", "/etc/passwd", "sub/../../outside.j2", "./../outside.j2"]
)
def test_a_file_outside_the_search_path_is_not_included(
    write: Write, tmp_path: Path, name: str
) -> None:
    (tmp_path / "inside").mkdir()
    outside = write(outside="secret")
    path = tmp_path / "inside" / "t.j2"
    path.write_text(f"\n{{% include '{name.format(outside=outside)}' %}}")
    with pytest.raises(TemplateError, match=r"t.j2:2: template .* not found in its search path"):
        Template.load(path).render(fruits(), query={"name": "fig"})


@pytest.mark.parametrize("tag", ["include", "extends", "import"])
def test_a_link_that_leads_out_of_the_search_path_is_refused(
    write: Write, tmp_path: Path, tag: str
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link.j2").symlink_to(write(outside="secret"))
    path = tmp_path / "inside" / "t.j2"
    path.write_text(f"{{% {tag} 'link.j2' {'as x' if tag == 'import' else ''} %}}")
    with pytest.raises(TemplateError, match=r"link.j2: a link to a file outside the templates"):
        Template.load(path).render(fruits(), query={"name": "fig"})
    with pytest.raises(TemplateError, match=r"link.j2: a link to a file outside the templates"):
        Template.load("link.j2", tmp_path / "inside")


def test_a_folder_of_templates_may_be_a_link_itself(write: Write, tmp_path: Path) -> None:
    write(t="{% include 'part.j2' %}:", part="{{ query.name }}")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "same.j2").symlink_to("part.j2")
    prompt = Template.load("t.j2", tmp_path / "link").render(fruits(), query={"name": "fig"})
    assert prompt.text == "fig:"
    assert Template.load("same.j2", tmp_path / "link").source == "{{ query.name }}"


def test_a_template_includes_its_neighbours_and_the_built_in_ones(write: Write) -> None:
    path = write(t="{% include 'other.j2' %}", other="other {{ query.name }}")
    assert Template.load(path).render(fruits(), query={"name": "fig"}).text == "other fig"
    path = write(u="{% extends 'colon.j2' %}")
    built_in = Template.load("colon.j2").render(fruits(), query={"name": "fig"}).text
    assert Template.load(path).render(fruits(), query={"name": "fig"}).text == built_in


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("a\n{{ query.name", 2, "unexpected end of template"),
        ("a\n\n{% example %}", 3, "endexample"),
        ("{% exmple %}", 1, "unknown tag 'exmple'"),
        ("\n{{ query.name | uper }}", 2, "No filter named 'uper'"),
        ("\n{{ a b }}", 2, "expected token 'end of print statement'"),
        ("{% user %}{% endsystem %}", 1, "endsystem"),
    ],
)
def test_a_syntax_error_names_file_and_line(
    write: Write, source: str, line: int, reason: str
) -> None:
    path = write(t=source)
    with pytest.raises(TemplateError) as caught:
        Template.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


def test_a_syntax_error_in_an_included_file_names_that_file(write: Write, tmp_path: Path) -> None:
    path = write(t="{% include 'part.j2' %}", part="a\n\n{{ b c }}")
    with pytest.raises(TemplateError) as caught:
        Template.load(path).render(fruits(), query={"name": "fig"})
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "part.j2"), 3)


def test_an_error_in_an_included_file_names_that_file(write: Write, tmp_path: Path) -> None:
    path = write(t="\n\n\n{% include 'part.j2' %}", part="a\n{{ nothing }}")
    with pytest.raises(TemplateError) as caught:
        Template.load(path).render(fruits(), query={"name": "fig"})
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "part.j2"), 2)


def test_a_template_in_another_encoding_is_refused_with_its_line(write: Write) -> None:
    path = write(t="\n{% include 'part.j2' %}", part=b"a\n\xe9")
    with pytest.raises(TemplateError, match=r"part.j2:2: byte 0xe9 is not UTF-8; save"):
        Template.load(path).render(fruits(), query={"name": "fig"})
    with pytest.raises(TemplateError, match=r"part.j2:2: byte 0xe9 is not UTF-8"):
        Template.load(write(part=b"a\n\xe9"))


def test_a_byte_order_mark_is_not_part_of_a_template(write: Write) -> None:
    path = write(t="\ufeff{% include 'part.j2' %}", part="\ufeffa")
    assert Template.load(path).render(fruits(), query={"name": "fig"}).text == "a"


def test_the_fingerprint_is_of_the_source() -> None:
    assert Template("a", "x").fingerprint == Template("a", "y").fingerprint
    assert Template("a").fingerprint != Template("b").fingerprint


FRUIT_TASK = Task[Fruit, Family](
    name="fruit", demos=[Example(input=Fruit(name="peach"), output="drupe")]
)


# --- what would be lost in silence ----------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{% filter upper %}{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}"
        "{% endfilter %}",
        "{% macro m() %}{% example %}{{ input.name }}{{ output }}{% endexample %}{% endmacro %}"
        "{{ m() | upper }}",
        "{% filter upper %}{% user %}{{ query.name }}{% enduser %}{% endfilter %}",
    ],
)
def test_a_filter_over_the_slot_or_a_turn_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="is lost: a filter"):
        Template(source).render(FRUIT_TASK, shots=1, query={"name": "fig"})


def test_a_query_that_is_printed_after_its_answer_is_refused() -> None:
    source = "{% example %}\n{{ output }} is the type of {{ input.name }}\n{% endexample %}\n"
    with pytest.raises(TemplateError, match=r"^t\.j2:2: 'input\.name' is printed only after"):
        Template(source, "t.j2").render(FRUIT_TASK, shots=0, query={"name": "fig"})


def test_a_number_of_shots_is_whole() -> None:
    with pytest.raises(PromptError, match=r"1\.5"):
        Template.load("colon").render(FRUIT_TASK, shots=1.5, query={"name": "fig"})  # type: ignore[arg-type]
