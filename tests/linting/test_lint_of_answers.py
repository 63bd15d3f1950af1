"""`lint` on answers that cannot be reached, values that break out of their example, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Task, lint
from promptkit.linting.findings import Finding
from promptkit.tasks.scaffold import write_task


class Text(BaseModel):
    text: str


class Question(BaseModel):
    text: str
    choices: list[str]


def task_of(
    kind: Any,
    demos: Sequence[Any],
    tests: Sequence[Any],
    template: str = "colon.j2",
    texts: Sequence[str] = ("one thing", "another thing", "a third", "and a fourth"),
) -> Task[Any, Any]:
    examples = [
        Example(input=Text(text=text), output=output)
        for text, output in zip(texts, [*demos, *tests], strict=False)
    ]
    parts = {"demos": examples[: len(demos)], "tests": examples[len(demos) :]}
    made: Any = Task[Text, kind]
    task: Task[Any, Any] = made(name="t", instruction="Answer.", template=template, **parts)
    return task


def rules(findings: Sequence[Finding]) -> list[tuple[str, str | None]]:
    return [(finding.rule, finding.file) for finding in findings]


LIST = "- a\n- b"


def test_an_answer_that_holds_the_stop_cannot_be_reached() -> None:
    findings = lint(task_of(str, [LIST], ["- c\n- d", "e"]))
    assert rules(findings) == [("breaks-out", "demos[0]"), ("unreachable-answer", "tests[0]")]
    (finding,) = [finding for finding in findings if finding.rule == "unreachable-answer"]
    assert r"the answer '- c\n- d' contains '\n', at which every answer ends" in finding.message
    assert "xml.j2 or json.j2" in finding.fix


@pytest.mark.parametrize("template", ["xml.j2", "json.j2", "chat.j2"])
def test_other_templates_reach_it(template: str) -> None:
    assert rules(lint(task_of(str, [LIST], ["- c\n- d"], template))) == []


@pytest.mark.parametrize("template", ["lines.j2", "qa.j2"])
def test_a_paragraph_ends_at_an_empty_line(template: str) -> None:
    assert rules(lint(task_of(str, ["a"], ["b\nc"], template))) == []
    assert rules(lint(task_of(str, ["a"], ["b\n\nc"], template))) == [
        ("unreachable-answer", "tests[0]")
    ]


def test_a_tag_in_an_answer_breaks_out_of_xml() -> None:
    findings = lint(task_of(str, ["a</answer>b"], ["c</answer>d"], "xml.j2"))
    assert rules(findings) == [("breaks-out", "demos[0]"), ("breaks-out", "tests[0]")]
    findings = lint(task_of(str, ["a"], ["c</answer>\n\nd"], "xml.j2"))
    assert rules(findings) == [("unreachable-answer", "tests[0]")]


def test_a_tag_in_an_input_breaks_out_of_xml() -> None:
    texts = ["one</answer>", "another thing"]
    findings = lint(task_of(str, ["a"], ["b"], "xml.j2", texts=texts))
    assert rules(findings) == [("breaks-out", "demos[0]")]


@pytest.mark.parametrize("answer", ['a"}b', "}", "a\\"])
def test_json_holds_any_answer(answer: str) -> None:
    assert rules(lint(task_of(str, [answer], [answer], "json.j2"))) == []


def test_a_label_of_two_lines_breaks_out() -> None:
    findings = lint(task_of(Literal["a\nb", "c"], ["a\nb", "c"], ["a\nb", "c"]))
    assert [finding.rule for finding in findings] == ["breaks-out"]
    assert r"the label 'a\nb' contains '\n'" in findings[0].message
    assert not lint(task_of(Literal["a\nb", "c"], ["a\nb", "c"], ["a\nb", "c"], "json.j2"))


def test_json_written_by_hand_is_broken_by_a_quote(tmp_path: Path) -> None:
    write_task(tmp_path / "t")
    block = '{{% example %}}\n{{"name": {}, "class": {}}}\n{{% endexample %}}\n'
    loop = (
        '{{% for s in shots %}}\n{{"name": {}, "class": {}}}\n{{% endfor %}}\n'
        '{{"name": {{{{ query.name | tojson }}}}, "class":'
    )
    with (tmp_path / "t" / "demos.csv").open("a") as file:
        file.write('"the ""wolf""",mammal\n')

    def found(source: str) -> list[tuple[str, int | None]]:
        path = tmp_path / "t" / "templates" / "prompt.j2"
        path.write_text(source)
        return [(f.rule, f.line) for f in lint(tmp_path / "t") if f.file == str(path)]

    quoted, plain = '"{{ input.name }}"', "{{ input.name | tojson }}"
    answer = "{{ output | tojson }}"
    assert found(block.format(quoted, answer)) == [("broken-json", 2)]
    assert found(block.format(plain, "{{ output }}")) == [("broken-json", 2)]
    assert found(block.format(plain, answer)) == []
    assert found(loop.format('"{{ s.input.name }}"', '"{{ s.output }}"'))[0] == ("broken-json", 2)
    two = "{% example %}\n{{ input | tojson }} -> {{ {'a': 'b'} | tojson }}: {{ output }}\n"
    assert found(two + "{% endexample %}\n") == []
    assert found("{% example %}\n{ {{ input.name }} } -> {{ output }}\n{% endexample %}\n") == []


@pytest.mark.parametrize("template", ["colon.j2", "lines.j2", "xml.j2", "chat.j2", "letters.j2"])
def test_a_built_in_template_that_prints_a_list_says_so(template: str) -> None:
    made: Any = Task[Question, Literal["A", "B"]]
    rows = [("x", ["c", "d"], "A"), ("z", ["f", "h"], "B"), ("y", ["e"], "B"), ("w", ["g"], "A")]
    examples = [Example(input=Question(text=t, choices=c), output=o) for t, c, o in rows]
    task = made(name="t", template=template, demos=examples[:2], tests=examples[2:])
    (finding,) = lint(task)
    assert finding.rule == "not-text"
    assert "the field 'choices', is a list, which prints as its items" in finding.message
    assert not lint(task, templates=["json.j2"])


def test_a_template_that_tells_lists_from_texts_is_left_alone(tmp_path: Path) -> None:
    source = (
        "{% example %}\n{% for name, value in input %}\n{% if value is string %}\n{{ value }}\n"
        '{% else %}\n{{ value | join("/") }}\n{% endif %}\n{% endfor %}\n: {{ output }}\n'
        "{% endexample %}\n"
    )
    path = tmp_path / "t.j2"
    path.write_text(source)
    examples = [
        Example(input=Question(text=text, choices=[text, "x"]), output=output)
        for text, output in [("x", "A"), ("z", "B"), ("y", "B"), ("w", "A")]
    ]
    made: Any = Task[Question, Literal["A", "B"]]
    task = made(name="t", demos=examples[:2], tests=examples[2:])
    assert "not-text" not in {finding.rule for finding in lint(task, templates=[path])}


def test_other_columns_are_known_to_lint(tmp_path: Path) -> None:
    write_task(tmp_path / "t")
    for name in ("demos.csv", "tests.csv"):
        path = tmp_path / "t" / name
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"{head},source", *(f"{row},book" for row in rows)]) + "\n")
    template = tmp_path / "t" / "templates" / "prompt.j2"
    block = "{{% example %}}\n{}: {{{{ output }}}}\n{{% endexample %}}\n"
    template.write_text(block.format("{{ input.metadata.source }} {{ input.name }}"))
    assert lint(tmp_path / "t") == ()
    template.write_text(block.format("{{ input.name }} {{ input.source }}"))
    (finding,) = lint(tmp_path / "t")
    assert (finding.rule, finding.fix) == ("unknown-field", "write input.metadata.source")
    template.write_text("{{ query.colour }}")
    assert "query has no field 'colour'" in lint(tmp_path / "t")[0].message


def test_a_template_may_refuse_what_no_row_has(tmp_path: Path) -> None:
    """Rows whose field has one value are probed with a made-up one, which may be refused."""
    write_task(tmp_path / "t")
    for name in ("demos.csv", "tests.csv"):
        path = tmp_path / "t" / name
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"lang,{head}", *(f"en,{row}" for row in rows)]) + "\n")
    spec = tmp_path / "t" / "task.toml"
    spec.write_text(spec.read_text().replace("[input]\n", '[input]\nlang = "str"\n'))
    (tmp_path / "t" / "templates" / "prompt.j2").write_text(
        '{% example %}\n{{ {"en": "English"}[input.lang] }} {{ input.name }}: {{ output }}\n'
        "{% endexample %}\n"
    )
    assert lint(tmp_path / "t") == ()
