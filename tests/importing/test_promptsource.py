"""Templates of promptsource: the question is what its `Template.apply` made of the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promptkit import Template, load_task
from promptkit.errors import TaskError
from promptkit.importing.tools import import_file

FOLDER = Path(__file__).parent
FILE = FOLDER / "templates.yaml"
GOLDEN = json.loads((FOLDER / "promptsource.golden.json").read_text(encoding="utf-8"))
FOLDERS = {"I wonder…": ("no-yes", "i-wonder"), "blocks": ("no-yes", "blocks")}


@pytest.mark.parametrize("name", sorted(GOLDEN["rendered"]))
def test_the_question_is_promptsource_s(name: str, tmp_path: Path) -> None:
    import_file(FILE).write(tmp_path)
    folder, file = FOLDERS.get(name, ("generated", "ask"))
    task = load_task(tmp_path / folder)
    template = Template.load(f"{file}.j2", tmp_path / folder / "templates")
    for row, (question, *_) in zip(GOLDEN["rows"], GOLDEN["rendered"][name], strict=True):
        query = {field: row[field] for field in task.types()[0].model_fields}
        prompt = template.render(task, query=query)
        assert (prompt.text, prompt.lead) == (question, " ")


def test_templates_with_the_same_answers_make_one_task(tmp_path: Path) -> None:
    imported = import_file(FILE)
    assert [(task.labels, len(task.templates)) for task in imported.tasks] == [
        (("No", "Yes"), 2),
        ((), 1),
    ]
    imported.write(tmp_path)
    task = load_task(tmp_path / "no-yes")
    assert (task.name, task.labels) == ("tickets/shop", ("No", "Yes"))


def test_an_answer_that_is_a_column_is_read_from_it(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "dataset: d\ntemplates:\n"
        "  a: !Template {name: a, jinja: 'Sum up {{ text }} ||| {{ summary }}'}\n"
    )
    (task,) = import_file(path).tasks
    assert (task.fields, task.output_column) == ({"text": "str"}, "summary")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("other choices in every row", "it shows answer_choices, which are not the same"),
        ("at random", "No filter named 'choice'"),
        ("two answers", "it has 2 `|||`"),
        ("zipped", "it calls zip(), which is Python"),
        ("appended", "it changes a value with .append()"),
    ],
)
def test_a_template_that_is_left_out_is_named_with_its_line(name: str, why: str) -> None:
    lost = [lost for lost in import_file(FILE).lost if lost.why.startswith(repr(name))]
    assert any(why in x.why for x in lost)
    text = FILE.read_text(encoding="utf-8").splitlines()
    assert all(text[(x.line or 0) - 1].strip().endswith("!Template") for x in lost[-1:])


@pytest.mark.parametrize(
    ("jinja", "why"),
    [
        ("{{ a }}", "it has 0 `|||`"),
        ("{% for x in a %}{{ x }} ||| {% endfor %}", "stands in a loop or a block"),
        ("{% if a %}{{ a }} ||| {% else %}{{ b }}{% endif %}", "in one of several branches"),
        ("{% if a %}{{ a ||| b }}{% endif %}", "does not parse"),
        ("Say something. ||| {{ a }}", "it prints nothing of a row"),
        ("{{ a.b }} ||| c", "'a' is a list or a record"),
        ("{{ a | join(' ') }} ||| c", "'a' is a list or a record"),
    ],
)
def test_what_cannot_be_carried_over(jinja: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "dataset: d\ntemplates:\n  a: !Template\n    name: a\n    jinja: " + json.dumps(jinja)
    )
    with pytest.raises(TaskError) as caught:
        import_file(path)
    assert "no template could be carried over" in str(caught.value)
    assert why in str(caught.value)
