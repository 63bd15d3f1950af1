"""What a template loads: built-in templates load built-in ones, and nothing loads itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import BaseModel

from promptkit import FakeModel, Template, compare, load_task
from promptkit.errors import TemplateError
from promptkit.formatting.inheritance import written_out
from promptkit.formatting.variants import variants
from promptkit.linting.lint import lint
from promptkit.tasks.task import Task
from promptkit.templating.template import BUILT_IN

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"
LISTED = "Answer with one of: "


class Fruit(BaseModel):
    name: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The fruit task without templates of its own."""
    shutil.copytree(FRUIT, tmp_path / "fruit", ignore=shutil.ignore_patterns("templates"))
    (tmp_path / "fruit" / "templates").mkdir()
    return tmp_path / "fruit"


def write(folder: Path, **sources: str) -> None:
    for name, source in sources.items():
        (folder / "templates" / f"{name}.j2").write_text(source, encoding="utf-8")


def text(folder: Path, name: str) -> str:
    task = load_task(folder)
    return Template.of(task, name).render(task, shots=1, query=task.tests[0]).text


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in BUILT_IN.glob("*.j2")))
def test_no_file_of_a_task_changes_a_built_in_template(folder: Path, name: str) -> None:
    before = text(folder, name)
    for path in BUILT_IN.glob("*.j2"):
        if path.name != name:
            write(folder, **{path.stem: "{% example %}\n{{ output }}\n{% endexample %}\n"})
    assert text(folder, name) == before


def test_a_labels_twin_lists_the_labels_beside_a_template_of_the_parents_name() -> None:
    task = load_task(FRUIT)
    assert (FRUIT / "templates" / "colon.j2").is_file()
    prompt = Template.of(task, "colon-labels.j2").render(task, shots=1, query=task.tests[0])
    assert LISTED in prompt.text
    files = {piece.file for piece in prompt.pieces if piece.kind == "template"}
    assert files == {str(BUILT_IN / "colon-labels.j2")}
    assert not lint(FRUIT, templates=["colon-labels.j2"])


def test_a_built_in_template_in_the_middle_loads_a_built_in_one(folder: Path) -> None:
    write(folder, mine='{% extends "colon-labels.j2" %}', colon="never\n")
    assert LISTED in text(folder, "mine.j2")


def test_a_template_of_the_task_loads_those_of_the_task_first(folder: Path) -> None:
    write(
        folder,
        mine='{% extends "colon.j2" %}{% block labels %}extended\n{% endblock %}',
        colon="own\n{% block labels %}{% endblock %}"
        "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n",
    )
    assert text(folder, "mine.j2").startswith("own\nextended\n")


@pytest.mark.parametrize(
    "load",
    [
        '{% extends "colon.j2" %}{% block labels %}extended\n{% endblock %}',
        'extended\n{% include "colon.j2" %}',
    ],
)
def test_a_copy_may_load_the_built_in_template_that_it_stands_in_front_of(
    folder: Path, load: str
) -> None:
    write(folder, colon=load)
    shown = text(folder, "colon.j2")
    assert "extended\n" in shown
    assert load_task(folder).instruction in shown
    assert not lint(folder, templates=["colon.j2"])


def test_a_macro_of_a_built_in_name_comes_from_the_task_first(folder: Path) -> None:
    write(
        folder,
        mine='{% from "colon.j2" import named %}{% example %}\n'
        "{{ named(input.name) }}: {{ output }}\n{% endexample %}\n",
        colon="{% macro named(text) %}<{{ text }}>{% endmacro %}",
    )
    assert text(folder, "mine.j2").startswith("<")


def test_a_template_in_memory_loads_built_in_ones() -> None:
    task = load_task(FRUIT)
    template = Template('{% extends "colon-labels.j2" %}', name="colon-labels.j2")
    assert LISTED in template.render(task, shots=1, query=task.tests[0]).text


@pytest.mark.slow
def test_variants_and_templates_written_out_load_what_the_template_loads(folder: Path) -> None:
    write(folder, colon="never\n", lines='{% extends "lines.j2" %}')
    task = load_task(folder)
    for name in ("colon-labels.j2", "lines.j2"):
        template = Template.of(task, name)
        whole = template.render(task, shots=2, query=task.tests[0]).text
        written = written_out(template).render(task, shots=2, query=task.tests[0]).text
        assert written == whole
        first, *others = variants(task, template, 3)
        assert len(others) == 2
        for variant in others:
            shown = variant.render(task, shots=2, query=task.tests[0]).text
            assert task.instruction in shown
            assert (LISTED in shown) == (LISTED in whole)
        assert first is template


def test_a_variant_that_cannot_be_written_out_does_not_load_its_own_original(folder: Path) -> None:
    write(
        folder,
        colon="{% extends 'colon.j2' %}{% block labels %}{{ super() }}more\n{% endblock %}",
    )
    task = load_task(folder)
    template = Template.of(task, "colon.j2")
    variant = Template(template.source, "v", template.folders, made_from=template.place)
    shown = variant.render(task, query=task.tests[0]).text
    assert shown == template.render(task, query=task.tests[0]).text
    assert "more\n\n" in shown


@pytest.mark.slow
def test_what_a_template_does_not_find_is_named_as_it_is_written(folder: Path) -> None:
    write(folder, mine='{% include "colours.j2" %}')
    with pytest.raises(TemplateError, match=r"mine\.j2:1: template 'colours\.j2' not found"):
        text(folder, "mine.j2")
    write(folder, other='{% include ["colours.j2", "none.j2"] ignore missing %}a\n')
    assert text(folder, "other.j2") == "a\n"


def test_an_error_in_a_built_in_parent_names_the_parents_file() -> None:
    template = Template('{% extends "letters.j2" %}')
    task = Task[Fruit, str](name="free", demos=[])
    with pytest.raises(TemplateError) as caught:
        template.render(task, shots=0, query=Fruit(name="fig"))
    assert caught.value.file == str(BUILT_IN / "letters.j2")


def test_a_comparison_tells_a_twin_from_its_parent(tmp_path: Path) -> None:
    result = compare(
        load_task(FRUIT),
        models=[FakeModel()],
        templates=["colon.j2", "colon-labels.j2"],
        shots=[1],
        seeds=1,
        store=tmp_path / "store.sqlite",
    )
    by_template = [
        {p.prompt_sha256 for p in result.predictions if p.template == name}
        for name in ("colon.j2", "colon-labels.j2")
    ]
    assert not by_template[0] & by_template[1]
