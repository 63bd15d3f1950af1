"""Tasks of lm-evaluation-harness: the text is what the harness 0.4.13 made of the same rows.

`importing/harness.golden.json` was written by its `ConfigurableTask.fewshot_context`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from promptkit import Template, load_task
from promptkit.errors import TaskError
from promptkit.importing.tools import import_file

FOLDER = Path(__file__).parent
GOLDEN = json.loads((FOLDER / "harness.golden.json").read_text(encoding="utf-8"))
ROWS = json.loads((FOLDER / "docs.json").read_text(encoding="utf-8"))


def imported(name: str, folder: Path) -> Any:
    import_file(FOLDER / f"{name}.yaml").write(folder)
    return load_task(folder)


def examples(task: Any, name: str) -> list[Any]:
    demos = []
    for row, target in zip(ROWS[name], GOLDEN[name]["targets"], strict=True):
        choices = GOLDEN[name]["choices"]
        output = choices[target] if isinstance(target, int) else target
        inputs = {key: row[key] for key in task.types()[0].model_fields}
        demos.append({"id": str(len(demos)), "input": inputs, "output": output})
    return list(type(task)(name=name, demos=demos).demos)


@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("shots", ["zero", "shots"])
def test_the_text_is_the_harness_s(name: str, shots: str, tmp_path: Path) -> None:
    task, golden = imported(name, tmp_path / name), GOLDEN[name]
    *before, query = examples(task, name)
    asked = before if shots == "shots" else []
    prompt = Template.of(task).render(task, shots=asked, query=query)
    delimiter = golden["target_delimiter"]
    if not delimiter.strip(" "):  # spaces belong to the answer
        assert (prompt.text, prompt.lead) == (golden[shots], delimiter)
    else:
        assert prompt.text + prompt.lead == golden[shots] + delimiter
    choices = golden["choices"]
    whole = [prompt.text + candidate for candidate in prompt.candidates or ()]
    assert whole == [golden[shots] + delimiter + choice for choice in choices or ()]


def test_what_is_read_off_a_task(tmp_path: Path) -> None:
    task = imported("boolq", tmp_path / "boolq")
    assert (task.name, task.labels) == ("boolq", ("no", "yes"))
    assert list(task.types()[0].model_fields) == ["passage", "question"]
    ticket = imported("ticket", tmp_path / "ticket")
    assert ticket.labels == ("billing", "shipping", "other")
    assert ticket.types()[0].model_fields["number"].annotation is int
    capital = imported("capital", tmp_path / "capital")
    assert (capital.instruction, capital.labels) == ("Answer each question.", ())
    assert [demo.output for demo in capital.demos] == ["Lima", "Kathmandu"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% block q %}{{ a }}{% endblock %}", "loads another template, or has a {% block %}"),
        ("{% include 'x' %}{{ a }}", "loads another template"),
        ("{% import 'x' as a %}{{ b }}", "loads another template"),
        ("{{ range }} {{ a }}", "reads range, which is a function of Jinja"),
        ("{{ lipsum() }} {{ a }}", "reads lipsum"),
    ],
)
def test_what_no_template_of_ours_could_do(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"doc_to_text: {json.dumps(text)}\ndoc_to_target: b\n", encoding="utf-8")
    with pytest.raises(TaskError, match=re.escape(f"doc_to_text {reason}")):
        import_file(path)


def test_code_is_named_and_not_run() -> None:
    lost = [str(x) for x in import_file(FOLDER / "ticket.yaml").lost]
    (clean,) = [x for x in lost if "utils.clean" in x]
    assert clean == (
        f"{FOLDER / 'ticket.yaml'}:18: process_docs: !function utils.clean is Python code, which "
        "is not run; write rows as it leaves them"
    )
    assert any("process_results: !function utils.score" in x for x in lost)
    lost = [str(x) for x in import_file(FOLDER / "boolq.yaml").lost]
    assert any("metric_list: !function aggregate.mean is Python code" in x for x in lost)


@pytest.mark.parametrize("key", ["generation_kwargs", "fewshot_config", "dataset_path"])
def test_what_is_not_carried_over_is_named(key: str) -> None:
    lost = import_file(FOLDER / "capital.yaml").lost
    assert [x for x in lost if x.what == key and x.why and x.do and x.line is not None]


def write(folder: Path, text: str) -> Path:
    path = folder / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("doc_to_text: !function utils.text\n", "1: doc_to_text is !function utils.text, Python"),
        ("include: ../../secret.yaml\n", "there is no doc_to_text"),
        ("include: task.yaml\n", "more than 8 files include one another"),
        ("doc_to_text: 'Say something.'\n", "prints nothing of a row"),
        ("doc_to_text: '{{ f(x) }}'\n", r"doc_to_text calls f\(\), which is Python"),
        ("doc_to_text: '{% if x %}{{ x }}'\n", "1: the template does not parse"),
        ("doc_to_text: '{{ x | regex_replace(1) }}'\n", "No filter named 'regex_replace'"),
        ("doc_to_text: '{{ x | random }}'\n", "No filter named 'random'"),
        ("doc_to_text: 3\n", "doc_to_text is 3, and no template"),
    ],
)
def test_what_cannot_be_carried_over(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=reason):
        import_file(write(tmp_path, text))


def test_a_file_outside_the_folder_is_not_included(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("description: secret\n", encoding="utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    for name in ("../secret.yaml", str(tmp_path / "secret.yaml"), "link.yaml"):
        path = write(tmp_path / "in", f"include: {name}\ndoc_to_text: q\ndoc_to_target: a\n")
        imported = import_file(path)
        assert "secret" not in imported.tasks[0].instruction
        assert any("leads out of the file's folder" in x.why for x in imported.lost)


def test_a_record_makes_a_template_and_no_task(tmp_path: Path) -> None:
    text = (
        "doc_to_text: '{{ question }} {{ choices[0] }}?'\ndescription: Hello.\n"
        "doc_to_choice: [A, B]\n"
    )
    imported = import_file(write(tmp_path, text))
    (path,) = imported.write(tmp_path / "out")
    assert path == tmp_path / "out" / "prompt.j2"
    assert "Hello." in path.read_text(encoding="utf-8")
    assert any("'choices' is a list or a record" in lost.why for lost in imported.lost)


@pytest.mark.parametrize("choices", ["choices", "'{{ [a, b] }}'", "!function utils.c", "[a, a]"])
def test_choices_that_are_no_set_of_labels(choices: str, tmp_path: Path) -> None:
    imported = import_file(write(tmp_path, f"doc_to_text: q\ndoc_to_choice: {choices}\n"))
    assert imported.tasks[0].labels == ()
    assert "doc_to_choice" in [lost.what for lost in imported.lost]


def test_choices_that_are_written_in_jinja(tmp_path: Path) -> None:
    text = "doc_to_text: q\ndoc_to_choice: \"{{['no', 'yes']}}\"\n"
    assert import_file(write(tmp_path, text)).tasks[0].labels == ("no", "yes")
