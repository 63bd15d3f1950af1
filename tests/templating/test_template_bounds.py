"""Chat templates that write marks of contents, tags without end, deep and slow templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hostile import TASK

from promptkit.errors import PromptError, TemplateError
from promptkit.linting.lint import lint_template
from promptkit.prompts import chat_template
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox.environment import within_bounds
from promptkit.templating import renderer
from promptkit.templating.template import Template

PROMPT = Prompt(messages=(Message("user", (Piece("hi", "data"),)),))
BLOCK = (
    "{{ task.instruction }}\n"
    "{% example %}\n{{ input.name }} {{ input.note }}: {{ output }}\n{% endexample %}\n"
)


@pytest.mark.parametrize(
    "forged",
    [
        "\ue0f0999\ue0f1",
        "\ue0f0" + "9" * 6_000 + "\ue0f1",
        "\ue0f00\ue0f1",
        "{{ '%c' % 0xe0f0 }}7{{ '%c' % 0xe0f1 }}",
        "{{ '%c' % 0xe0f0 }}00{{ '%c' % 0xe0f1 }}",
        "{{ messages[0].content[0] }}",
        "{{ messages[0].content | replace('0', '1') }}",
    ],
)
def test_a_chat_template_writes_no_marks_of_contents(forged: str) -> None:
    with pytest.raises(PromptError, match=r"U\+E0F0"):
        chat_template.apply(PROMPT, "{{ messages[0].content }}" + forged)


@pytest.mark.parametrize("tail", ["'<' ~ 'think' * 10**6", "'<think>' ~ ' ' * 10**6 ~ 'x'"])
def test_a_tag_without_end_takes_no_time(tail: str) -> None:
    """In quadratic time it would take hours."""
    text = chat_template.apply(PROMPT, "{{ messages[0].content }}{{ " + tail + " }}").text
    assert len(text) > 10**6


@pytest.mark.parametrize(
    "load",
    ["{% include 'deep.j2' %}", "{% import 'deep.j2' as deep %}", "{% extends 'deep.j2' %}"],
)
def test_a_loaded_template_that_nests_too_deeply_is_an_error(tmp_path: Path, load: str) -> None:
    deep = "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}"
    (tmp_path / "deep.j2").write_text(deep)
    template = Template(load + BLOCK, "t.j2", (tmp_path,))
    with pytest.raises(TemplateError, match=r"deep\.j2:1: the template nests too deeply"):
        template.render(TASK, query={"name": "fig"})
    (finding, *_) = lint_template(TASK, template)
    assert "nests too deeply" in finding.message


@pytest.mark.parametrize("link", [" + 1", " * 1", " ** 1", " | abs", " and 1", " or 1", " ~ 1"])
def test_lint_follows_long_chains(link: str) -> None:
    template = Template("{{ 1" + link * 180 + " }} " + BLOCK, "t.j2")
    assert template.render(TASK, query={"name": "fig"}).text
    assert lint_template(TASK, template) == ()


@pytest.mark.slow
def test_lint_renders_a_slow_template_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []

    def counted(*args: Any) -> Any:
        rendered.append(args)
        return within_bounds(*args)

    monkeypatch.setattr(renderer, "within_bounds", counted)
    loops = "{% for i in range(99999) %}{% for j in range(20) %}{% endfor %}{% endfor %}"
    findings = lint_template(TASK, Template(loops + BLOCK, "t.j2"))
    assert [finding.rule for finding in findings] == ["slow"]
    assert len(rendered) == 1
