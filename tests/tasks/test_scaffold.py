"""What authors are given: pages that do what they say, and a schema for their editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli_w
from walkthrough import ROOT, WALKED, walk

from promptkit import load_task
from promptkit.errors import TaskError
from promptkit.tasks import scaffold
from promptkit.tasks.task_file import json_schema, read_task_file, tomllib

SCHEMA = ROOT / "promptkit" / "tasks" / "task.schema.json"


@pytest.mark.model
@pytest.mark.parametrize("page", WALKED)
def test_a_page_prints_what_it_says(page: str, tmp_path: Path) -> None:
    steps = [*walk((ROOT / "docs" / page).read_text(encoding="utf-8"), tmp_path)]
    assert len(steps) > 4
    for step in steps:
        assert step.written == step.printed


def test_the_schema_is_made_from_the_types() -> None:
    assert SCHEMA.read_text("utf-8") == json_schema()
    jsonschema.Draft7Validator.check_schema(json.loads(json_schema()))


def test_every_key_is_described() -> None:
    schema = json.loads(json_schema())
    for section in (schema, *schema["definitions"].values()):
        for key, said in section.get("properties", {}).items():
            assert "description" in said or "$ref" in said, key


VALID: dict[str, Any] = {
    "name": "t",
    "input": {"word": "str", "size": ["small", "large"], "count": "int"},
    "output": {"labels": ["a", 1]},
    "files": {"demos": "demos.csv"},
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"instruction": "i", "template": "x.j2"},
        {"output": {"type": "int"}},
        {"output": {"schema": "answer.json", "column": "family"}},
        {"files": {"repeats": "drop"}},
        {"output": {"labels": {"0": "a", "1": "b"}}},
        {"output": {"labels": {"0": 1}}},
        {"input": {"words": "list[str]", "author": {"name": "str", "years": "list[int]"}}},
        {"input": {"turns": [{"speaker": ["a", "b"], "text": "str"}]}},
        {"input": {"author": {"name": "text"}}},
        {"input": {"author": {"name": "text"}}, "files": {"columns": {"author": 1}}},
        {"outputs": {}},
        {"name": 1},
        {"input": {"word": "text"}},
        {"output": {}},
        {"output": {"type": "int", "labels": ["a"]}},
        {"output": {"labels": [1.5]}},
        {"files": {"demo": "demos.csv"}},
        {"files": {"repeats": "keep"}},
    ],
)
def test_the_schema_and_promptkit_agree(tmp_path: Path, change: dict[str, Any]) -> None:
    data = {**VALID, **change}
    path = tmp_path / "task.toml"
    path.write_bytes(tomli_w.dumps(data).encode())
    fits = jsonschema.Draft7Validator(json.loads(json_schema())).is_valid(data)
    try:
        read_task_file(path)
    except TaskError:
        assert not fits
    else:
        assert fits


def test_a_new_task_names_its_schema(tmp_path: Path) -> None:
    scaffold.write_task(tmp_path / "animals")
    text = (tmp_path / "animals" / "task.toml").read_text("utf-8")
    named = text.splitlines()[0].removeprefix("#:schema ")
    schema = json.loads((tmp_path / "animals" / named).read_text("utf-8"))
    jsonschema.validate(tomllib.loads(text), schema)
    assert load_task(tmp_path / "animals").name == "animals"
