"""JSON Schemas that refer to their own parts, and to what nobody can follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from output_types import Color, Node, Pet
from pydantic import BaseModel, create_model

import promptkit.cli.commands
from promptkit import Task, Template, load_task, save_task
from promptkit.errors import TaskError
from promptkit.prompts.answer_format import unfollowed
from promptkit.tasks.file_types import schema_type
from promptkit.tasks.output_type import OutputType

A = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
TREE = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "y"]}, "below": {"items": {"$ref": "#"}}},
    "required": ["a"],
}


class In(BaseModel):
    text: str


def write(folder: Path, schema: Any, *outputs: Any) -> Path:
    (folder / "s.json").write_text(json.dumps(schema))
    rows = [json.dumps({"text": f"t{i}", "output": output}) for i, output in enumerate(outputs)]
    (folder / "demos.jsonl").write_text("\n".join(rows))
    (folder / "task.toml").write_text(
        'name = "t"\n[input]\ntext = "str"\n[output]\nschema = "s.json"\n'
        '[files]\ndemos = "demos.jsonl"\n'
    )
    return folder


@pytest.mark.parametrize(
    ("schema", "output"),
    [
        ({"properties": {"b": {"$ref": "#/$defs/A"}}, "$defs": {"A": A}}, {"b": {"a": "x"}}),
        ({"properties": {"b": {"$ref": "#/$defs/E"}}, "$defs": {"E": {"enum": ["x"]}}}, {"b": "x"}),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {"a": "x"}),
        ({"$ref": "#/definitions/A", "definitions": {"A": A}}, {"a": "x"}),
        ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": A}}, {"a": "x"}),
        ({"$ref": "#/components/schemas/A", "components": {"schemas": {"A": A}}}, {"a": "x"}),
        ({"$ref": "#there", "$defs": {"A": {**A, "$anchor": "there"}}}, {"a": "x"}),
        (TREE, {"a": "x", "below": [{"a": "y", "below": []}, {"a": "x"}]}),
    ],
)
def test_a_schema_may_refer_to_its_parts(
    tmp_path: Path, schema: Any, output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    task = load_task(write(tmp_path, schema, output))
    assert task.output_type.parse(task.output_type.text(output)) == output
    with pytest.raises(ValueError, match=r"\$"):
        task.output_type.validate({"a": "z", "b": "z"})
    assert task.fingerprint
    assert task.output_type.format is not None


@pytest.mark.parametrize(
    "reference",
    ["other.json", "https://example.com/s.json", "#/$defs/None", "#nowhere", "file:///etc/passwd"],
)
def test_a_reference_that_cannot_be_followed_is_named(
    tmp_path: Path, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: Any, **more: Any) -> None:
        raise AssertionError("a schema touches no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    schema = {"properties": {"a": {"items": {"$ref": reference}}}}
    with pytest.raises(TaskError) as caught:
        load_task(write(tmp_path, schema, {"a": []}))
    assert f"s.json: the $ref {reference!r} cannot be followed" in str(caught.value)
    with pytest.raises(TaskError, match="cannot be followed"):
        _ = OutputType(schema_type(schema)).format


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
    ],
)
def test_a_reference_that_leads_back_to_itself_is_an_error(tmp_path: Path, schema: Any) -> None:
    with pytest.raises(TaskError, match="leads back to itself"):
        load_task(write(tmp_path, schema, 1))


def test_a_schema_without_an_end_is_an_error_of_the_row(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="without end"):
        load_task(write(tmp_path, {"anyOf": [{"$ref": "#"}]}, 1))


def test_names_and_constants_are_no_references() -> None:
    schema = {"properties": {"$ref": {"const": {"$ref": "x"}}}, "enum": [{"$ref": "x"}]}
    assert unfollowed(schema) is None


def test_what_pydantic_writes_of_nested_types_runs_after_saving(tmp_path: Path) -> None:
    cases = [
        (Node, {"color": "red", "children": [{"color": "blue", "children": []}]}),
        (Pet, {"pet": {"kind": "dog", "good": True}}),
        (create_model("Holder", color=(Color, ...)), {"color": "blue"}),
        (list[Node], [{"color": "red", "children": []}]),
    ]
    for number, (annotation, gold) in enumerate(cases):
        folder = tmp_path / str(number)
        task = Task[In, annotation](name="t", demos=[{"input": {"text": "x"}, "output": gold}])  # type: ignore[valid-type]
        save_task(task, folder)
        loaded = load_task(folder)
        assert loaded.output_type.format == task.output_type.format
        template = Template.load("colon.j2")
        prompts = [
            template.render(t, shots=[*t.demos], query={"text": "y"}) for t in (task, loaded)
        ]
        assert prompts[0] == prompts[1]


def test_a_check_exits_with_2_after_any_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any, **more: Any) -> None:
        raise KeyError("#/$defs/A")

    monkeypatch.setattr(promptkit.cli.check.arguments, "task_named", broken)
    with pytest.raises(SystemExit) as caught:
        promptkit.cli.app(["check", "t", "--min", "accuracy=0"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: KeyError: '#/$defs/A' (test_schema_references.py:")
    assert "Traceback" not in said
    monkeypatch.setenv("PROMPTKIT_TRACEBACK", "1")
    with pytest.raises(SystemExit):
        promptkit.cli.app(["check", "t", "--min", "accuracy=0"])
    assert "Traceback" in capsys.readouterr().err
