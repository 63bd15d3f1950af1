"""Inputs are read as pydantic reads them: by alias, and by name where the model says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, computed_field

from promptkit import Task, Template, lint
from promptkit.calibration.probes import content_free, random_texts
from promptkit.errors import DataError
from promptkit.tasks.reading import read_examples
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.validation import ExampleParser


class Alias(BaseModel):
    klass: str = Field(alias="class")


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    klass: str = Field(alias="class")


class Validation(BaseModel):
    klass: str = Field(validation_alias="Review Text", serialization_alias="out")


class Choices(BaseModel):
    klass: str = Field(validation_alias=AliasChoices("first", AliasPath("all", 0)))


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=str.upper)
    klass: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    klass: str


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (Alias, {"class": "x"}),
        (ByName, {"class": "x"}),
        (ByName, {"klass": "x"}),
        (Validation, {"Review Text": "x"}),
        (Choices, {"first": "x"}),
        (Choices, {"all": ["x"]}),
        (Generated, {"KLASS": "x"}),
        (Open, {"klass": "x"}),
    ],
)
def test_an_input_is_read_by_its_aliases(model: Any, given: Any) -> None:
    task = Task[model, Literal["a"]](name="t", demos=[{"input": given, "output": "a"}])
    assert task.fields_of(task.demos[0]) == {"klass": "x"}
    asked = {key: ["y"] if isinstance(value, list) else "y" for key, value in given.items()}
    text = Template.load("colon.j2").render(task, shots=1, query=asked).text
    assert text.splitlines()[-2:] == ["x: a", "y:"]


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (Alias, "'class'"),
        (Validation, "'Review Text'"),
        (Choices, "'first', 'all'"),
        (Generated, "'KLASS'"),
    ],
)
def test_the_messages_about_a_wrong_name_agree(model: Any, known: str) -> None:
    task = Task[model, Literal["a"]](name="t")
    with pytest.raises(DataError) as caught:
        task.as_query({"klass": "x"})
    unknown, missing = caught.value.problems
    assert unknown.reason == f"the input has no such field; it has {known}"
    assert (unknown.field, missing.reason) == ("klass", "missing")
    assert repr(missing.field) in known


def test_further_fields_are_kept_where_the_model_allows_them() -> None:
    task = Task[Open, Literal["a"]](
        name="t", demos=[{"input": {"klass": "x", "more": 1}, "output": "a"}]
    )
    assert task.fields_of(task.demos[0]) == {"klass": "x", "more": 1}


@pytest.mark.parametrize("model", [Alias, ByName, Validation, Choices, Generated])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_is_read_by_aliases(tmp_path: Path, model: Any, suffix: str) -> None:
    parser = ExampleParser(model, Literal["a"], [])
    key = next(iter(parser.keys))
    path = tmp_path / f"a.{suffix}"
    rows = f"{key},output,note\nx,a,n\n", f'{{"{key}": "x", "output": "a", "note": "n"}}\n'
    path.write_text(rows[suffix == "jsonl"])
    (example,), _ = read_examples(read_data_file(path), parser, labelled=True)
    assert (example.input.klass, example.metadata) == ("x", {"note": "n"})


class Everything(BaseModel):
    word: str = Field(alias="a word")
    hidden: int = Field(exclude=True, default=3)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> str:
        return 2 * self.word


def test_probes_and_lint_know_aliases_and_what_is_serialised() -> None:
    demos = [{"input": {"a word": f"word {i}"}, "output": "ab"[i % 2]} for i in range(8)]
    task = Task[Everything, Literal["a", "b"]](name="t", demos=demos)
    assert [probe.input.word for probe in content_free(task)] == ["N/A", "", "[MASK]"]
    assert len(random_texts(task, 3)) == 3
    assert lint(task) == ()
    prompt = Template.load("colon.j2").render(task, shots=0, query={"a word": "x"})
    assert prompt.text.endswith("x, xx:")
