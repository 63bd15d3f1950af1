"""A shot is an answer that the model could give: written as its type reads it."""

from __future__ import annotations

import json
import tempfile
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer
from output_types import (
    Color,
    Computed,
    Generated,
    Rank,
    Renamed,
    Secret,
    Serialised,
    Whole,
    output_types,
)
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
)
from typing_extensions import TypedDict

from promptkit import Example, Task, Template, load_task, save_task
from promptkit.errors import TaskError
from promptkit.models.runtime import grammar_source
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.tasks.file_types import schema_type
from promptkit.tasks.output_type import OutputType

COLON = Template.load("colon.j2")


class In(BaseModel):
    text: str


@pytest.fixture(scope="module")
def tokenizer() -> LLTokenizer:
    return LLTokenizer("byte")


def may_be_written(format: AnswerFormat, text: str, tokenizer: LLTokenizer) -> bool:
    """Whether a grammar of this format lets an answer be this text."""
    source = grammar_source.source(
        format.kind, json.loads(format.schema), 0, grammar_source.Ending("\n##", None), []
    )
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(source), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return all(matcher.consume_token(byte) for byte in f"{text}\n##".encode())


class Names(TypedDict):
    second: int
    first: int


class Nested(BaseModel):
    inner: int = Field(validation_alias=AliasPath("outer", "inner"))


class Degrees:
    def __init__(self, value: float) -> None:
        self.value = value


Temperature = Annotated[
    Degrees,
    PlainValidator(
        lambda v: v if isinstance(v, Degrees) else Degrees(float(v.removesuffix(" °C"))),
        json_schema_input_type=str,
    ),
    PlainSerializer(lambda v: f"{v.value} °C"),
]


def task_of(annotation: Any, *golds: Any) -> Task[In, Any]:
    demos = [Example(input=In(text=f"x{i}"), output=gold) for i, gold in enumerate(golds)]
    return Task[In, annotation](name="t", demos=demos)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_what_a_shot_shows_can_be_written_and_is_read_as_the_same(
    data: st.DataObject, tokenizer: LLTokenizer
) -> None:
    annotation, values = data.draw(output_types)
    value = data.draw(values)
    task = task_of(annotation, value)
    output, (demo,) = task.output_type, task.demos
    text = output.text(demo.output)
    assert output.same(output.parse(text), demo.output)
    assert output.same(output.validate(output.plain(demo.output)), demo.output)
    if output.format is not None:
        assert may_be_written(output.format, text, tokenizer)


@pytest.mark.slow
@settings(deadline=None)
@given(data=st.data())
def test_a_saved_task_has_the_same_prompts_or_is_refused(data: st.DataObject) -> None:
    annotation, values = data.draw(output_types)
    task = task_of(annotation, *data.draw(st.lists(values, min_size=1, max_size=3)))
    with tempfile.TemporaryDirectory() as folder:
        if '"uniqueItems": true' in json.dumps(task.output_type.schema):
            with pytest.raises(TaskError, match="has a set in it"):
                save_task(task, folder)
            return
        save_task(task, folder)
        loaded = load_task(folder)
    assert loaded.labels == task.labels
    assert loaded.output_type.format == task.output_type.format
    both = [COLON.render(t, shots=[*t.demos], query={"text": "y"}) for t in (task, loaded)]
    assert both[0] == both[1]
    for mine, theirs in zip(task.demos, loaded.demos, strict=True):
        assert task.output_type.text(mine.output) == loaded.output_type.text(theirs.output)
        assert task.output_type.key(mine.output) == loaded.output_type.key(theirs.output)


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (
            Renamed,
            Renamed.model_validate({"class": 1, "a word": "w", "first": True}),
            '{"class": 1, "a word": "w", "first": true}',
        ),
        (Generated, Generated(one_word="w", some={10, 9}), '{"ONE_WORD": "w", "SOME": [9, 10]}'),
        (Computed, Computed(a=1, hidden="h"), '{"a": 1, "hidden": "h"}'),
        (
            Serialised,
            Serialised(x=1.25, when=date(2020, 1, 2)),
            '{"x": 1.25, "when": "2020-01-02"}',
        ),
        (Whole, Whole(a=1), '{"a": 1}'),
        (Secret, Secret(word=SecretStr("w")), '{"word": "w"}'),
        (dict[Color, int], {Color.RED: 1}, '{"red": 1}'),
        (dict[date, int], {date(2020, 1, 2): 1}, '{"2020-01-02": 1}'),
        (dict[int, str], {0: "a", -7: "b"}, '{"0": "a", "-7": "b"}'),
        (set[Rank], {Rank.HIGH, Rank.LOW}, "[1, 10]"),
        (Names, {"first": 1, "second": 2}, '{"second": 2, "first": 1}'),
    ],
)
def test_an_output_is_written_as_its_type_reads_it(annotation: Any, value: Any, text: str) -> None:
    output = OutputType(annotation)
    assert output.text(value) == text
    assert output.same(output.parse(text), value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[tuple[int, int], int], {(1, 2): 1}),
        (Annotated[int, AfterValidator(lambda value: value + 1)], 3),
        (Nested, Nested.model_validate({"outer": {"inner": 1}})),
    ],
)
def test_an_output_that_its_type_does_not_read_is_an_error_when_the_task_is_made(
    annotation: Any, value: Any
) -> None:
    with pytest.raises(TaskError, match="its type does not read as the same value"):
        task_of(annotation, value)


def test_an_output_that_only_its_own_serializer_can_write_is_written_by_it() -> None:
    task = task_of(Temperature, Degrees(3.5))
    assert task.output_type.text(task.demos[0].output) == '"3.5 °C"'


def test_the_keys_of_rows_come_in_the_order_of_the_schema() -> None:
    schema = {
        "$defs": {"B": {"properties": {"y": {"type": "integer"}, "x": {"type": "integer"}}}},
        "properties": {"a": {"items": {"$ref": "#/$defs/B"}}, "b": {"type": "integer"}},
    }
    output = OutputType(schema_type(schema))
    value = {"b": 1, "a": [{"x": 1, "y": 2}]}
    assert output.text(value) == '{"a": [{"y": 2, "x": 1}], "b": 1}'
    assert output.same(output.parse(output.text(value)), value)
