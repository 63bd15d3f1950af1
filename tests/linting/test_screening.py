"""`compare`, `check` and `optimise` refuse errors of `lint`, and say its warnings in a line."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import promptkit
from promptkit import Example, FakeModel, Store, Task, Template, check, compare, load_task, optimise
from promptkit.cli import app
from promptkit.errors import TemplateError
from promptkit.linting import screening
from promptkit.linting.screening import screen
from promptkit.tasks.scaffold import write_task
from promptkit.tasks.verbalizers import Verbalizer

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"
IGNORED = (
    "The next one:\n{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n"
    "{% endfor %}\n"
)
BLOCK = "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"


class Text(BaseModel):
    text: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scaffold's task, as `t` in the working folder."""
    monkeypatch.chdir(tmp_path)
    write_task(Path("t"))
    return Path("t")


def write(folder: Path, source: str, name: str = "prompt") -> None:
    (folder / "templates" / f"{name}.j2").write_text(source, encoding="utf-8")


def run(folder: Path | Task[Any, Any], **more: Any) -> promptkit.Comparison:
    task = folder if isinstance(folder, Task) else load_task(folder)
    arguments = {"shots": [0, 1], "seeds": 1, "store": Store(), **more}
    return compare(task, models=[FakeModel()], **arguments)


class Unasked(FakeModel):
    """A model that must not be asked."""

    def score(self, *_: Any) -> Any:
        raise AssertionError("asked")


ASK: list[Callable[[Path], Any]] = [
    lambda folder: compare(load_task(folder), models=[Unasked()], store=Store()),
    lambda folder: check(folder, models=[Unasked()], store=Store(), min={"accuracy": 0.1}),
    lambda folder: optimise(load_task(folder), Unasked(), shots=1, store=Store()),
]


@pytest.mark.parametrize("ask", ASK)
def test_an_error_of_lint_is_refused_before_a_model_runs(
    folder: Path, ask: Callable[[Path], Any]
) -> None:
    write(folder, IGNORED)
    with pytest.raises(TemplateError) as caught:
        ask(folder)
    shown = str(caught.value)
    assert shown.startswith("t/templates/prompt.j2:3:1: lint error query-ignored: the query is")
    assert "print the fields of query" in shown
    assert "see `promptkit lint t`; --no-lint, or lint=False, asks nevertheless" in shown
    assert len(shown.splitlines()) == 2


def test_other_errors_are_counted(folder: Path) -> None:
    write(folder, "{{ query.x }} {{ query.y }} {{ query.z }}")
    with pytest.raises(TemplateError, match=r"`promptkit lint t` lists 2 more; --no-lint"):
        run(folder)


def test_who_insists_is_not_stopped(folder: Path) -> None:
    write(folder, IGNORED)
    result = run(folder, lint=False)
    assert len(result.rows) > 1
    assert not any("int:" in warning for warning in result.warnings)


def test_a_comment_in_the_template_leaves_a_rule_out(folder: Path) -> None:
    write(folder, "{# lint: ignore query-ignored #}\n" + IGNORED)
    assert run(folder).rows


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compare", "check", "optimise"])
def test_the_command_line_exits_with_2(folder: Path, command: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(promptkit, "load_model", lambda *_, **__: FakeModel())
    write(folder, IGNORED)
    words = [command, "t", *(["--min", "accuracy=0"] if command == "check" else [])]
    words += ["--shots", "1"] if command != "optimise" else ["--shots", "1", "--held-out", "1"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "lint error query-ignored" in refused.output
    assert len(refused.output.splitlines()) <= 3  # with the plan's
    asked = CliRunner().invoke(app, [*words, "--no-lint"])
    assert "lint error" not in asked.output
    assert asked.exit_code != 2 or "lint" not in asked.output


def test_a_warning_is_a_sentence_for_people_and_for_readers_of_the_result(folder: Path) -> None:
    write(folder, "Say it. \n" + BLOCK)
    with (folder / "demos.csv").open("a") as file:
        file.write("Dog.,mammal\n")
    told: list[str] = []
    result = run(folder, announce=told.append)
    said = "lint: 2 warnings (near-repeat, trailing-space); see `promptkit lint t`"
    assert said in told
    assert told.index(said) == 0
    assert f"L{said[1:]}." in result.warnings
    assert f"L{said[1:]}." in result.to_dict()["warnings"]


def test_nothing_is_said_of_what_is_right() -> None:
    assert not [w for w in run(load_task(FRUIT), limit=3).warnings if "int:" in w]


@pytest.mark.slow
@pytest.mark.parametrize(
    "templates", [["colon.j2"], ["colon.j2", "xml.j2"], ["t/other/one.j2"], ["prompt.j2"]]
)
def test_the_command_that_is_named_shows_the_findings(folder: Path, templates: list[str]) -> None:
    spec = folder / "task.toml"
    spec.write_text(spec.read_text().replace("[output]", 'colour = "str"\n[output]'))
    for name in ("demos.csv", "tests.csv"):
        head, *rows = (folder / name).read_text().splitlines()
        lines = [f"{head},colour", *(f"{row},c{i}" for i, row in enumerate(rows))]
        (folder / name).write_text("\n".join(lines) + "\n")
    write(folder, BLOCK)
    (folder / "other").mkdir()
    (folder / "other" / "one.j2").write_text(BLOCK)
    write(folder, "{{ task.name }} \n" + BLOCK, "colon")
    task = load_task(folder)
    for said in screen(task, [Template.of(task, name) for name in templates], [1]):
        command = said.split("`")[1]
        shown = CliRunner().invoke(app, shlex.split(command)[1:]).output
        for rule in said.split("(")[1].split(")")[0].split(", "):
            assert rule in shown


def test_zero_shots_need_no_shots_in_a_template(folder: Path) -> None:
    write(folder, "{{ query.name }}:")
    assert run(folder, shots=[0]).rows
    with pytest.raises(TemplateError, match="shots-ignored"):
        run(folder, shots=[0, 1])


def test_a_gold_answer_that_cannot_be_given_is_a_warning() -> None:
    task = Task[Text, str](
        name="t",
        demos=[Example(input=Text(text="one thing"), output="a")],
        tests=[
            Example(input=Text(text="another"), output="- c\n- d"),
            Example(input=Text(text="a third"), output="e"),
        ],
    )
    said = (
        r"With colon.j2, 1 of 2 gold answers can never be given: the answer '- c\n- d' contains "
        r"'\n', at which every answer ends; use a template whose examples end otherwise, such as "
        "xml.j2 or json.j2."
    )
    assert said in run(task).warnings
    assert not any("never be given" in w for w in run(task, templates=["json.j2"]).warnings)


def test_a_template_that_is_too_deep_for_lint_is_compared(folder: Path) -> None:
    write(folder, f"{{{{ 0{' + 0' * 150} }}}}\n" + BLOCK)
    assert run(folder).rows


def test_many_rows_are_not_compared_with_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task(FRUIT)

    def refuse(_: Any) -> Any:
        raise AssertionError("looked at every row")

    monkeypatch.setattr(screening, "near_repeats", refuse)
    monkeypatch.setattr(screening, "MOST_NEAR", 10)
    assert screen(task, [Template.of(task)], [1]) == []


# Cells with the same prompts.

SO = "their figures are the same by construction."


def same(result: promptkit.Comparison) -> list[str]:
    return [warning for warning in result.warnings if warning.endswith(SO)]


def copy(tmp_path: Path, name: str, source: str | None = None) -> str:
    path = tmp_path / name
    path.write_text(source if source is not None else Template.load("colon.j2").source)
    return str(path)


def test_templates_with_the_same_prompts_are_named(tmp_path: Path) -> None:
    mine = copy(tmp_path, "mine.j2")
    told: list[str] = []
    task = load_task(shutil.copytree(FRUIT, tmp_path / "fruit"))
    (tmp_path / "fruit" / "templates" / "colon.j2").unlink()
    result = run(task, templates=["colon.j2", mine, "qa.j2"], limit=3, announce=told.append)
    assert same(result) == [
        f"Templates colon.j2 and mine.j2 give the same prompts at every number of shots: {SO}"
    ]
    assert f"t{same(result)[0][1:-1]}" in told


def test_templates_that_differ_with_shots_only(tmp_path: Path) -> None:
    source = Template.load("colon.j2").source.replace(
        "{% example %}", "{% if shots %}\nExamples:\n{% endif %}\n{% example %}"
    )
    result = run(
        load_task(FRUIT),
        templates=[Template.load("colon.j2"), copy(tmp_path, "mine.j2", source)],
        shots=[0, 1, 2],
        limit=3,
    )
    said = f"Templates colon.j2 and mine.j2 give the same prompts with 0 shots: {SO}"
    assert same(result) == [said]


def test_label_wordings_that_no_template_shows() -> None:
    task = load_task(FRUIT)
    other = Verbalizer("other", {label: f"{label}s" for label in task.labels})
    result = run(task, templates=["letters.j2"], verbalizers=["labels", other], limit=2)
    assert not same(result)  # the options show them
    source = "{% example %}\n{{ input.name }}: {{ output | letter(labels) }}\n{% endexample %}\n"
    result = run(
        task, templates=[Template(source)], verbalizers=["labels", other], limit=2, shots=[1]
    )
    assert same(result) == [
        f"Verbalizers labels and other give the same prompts at every number of shots: {SO}"
    ]


def test_selections_and_orders_that_come_to_the_same() -> None:
    made: Any = Task[Text, Literal["a", "b"]]
    task = made(
        name="t",
        demos=[
            Example(input=Text(text=f"demo {i}"), output="ab"[i % 2], id=str(i)) for i in range(4)
        ],
        tests=[Example(input=Text(text="asked of it"), output="a")],
    )
    ids = ["0", "1", "2", "3"]
    result = run(task, selections=[ids, "first"], shots=[0, 1, 2], lint=False)
    (said,) = same(result)
    assert "give the same prompts at every number of shots" in said
    assert said.startswith("Selections ")
    result = run(task, selections=["first"], orders=["drawn", "reversed"], shots=[0, 1, 2])
    assert same(result) == []  # without shots, or with one, there is no order to speak of


def test_shot_counts_that_come_to_the_same() -> None:
    task = load_task(FRUIT)
    result = compare(
        task,
        models=[FakeModel(context=150)],
        shots=[0, 8, 16],
        seeds=1,
        limit=2,
        fit="drop-shots",
        store=Store(),
    )
    assert same(result) == [f"8 and 16 shots give the same prompts: {SO}"]
