from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl, WithJsonSchema, condecimal
from strategies import Kind, texts

from promptkit.errors import TaskError
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.tasks.output_type import OutputType


class Text(str, Enum):
    A = "a"


class Number(IntEnum):
    ONE = 1


class Answer(BaseModel):
    kind: Literal["a", "b"]
    note: str = ""


class Renamed(BaseModel):
    kind: int = Field(alias="class")


@pytest.mark.parametrize(
    ("annotation", "labels"),
    [
        (Literal["a", "b"], ("a", "b")),
        (Literal[2, 1], ("2", "1")),
        (Literal["a"] | Literal["b"], ("a", "b")),
        (Literal["a", "b"] | Literal["b", "c"], ("a", "b", "c")),
        (Annotated[Literal["a"], Field(title="x")], ("a",)),
        (Kind, ("drupe", "pome")),
        (Text, ("a",)),
        (Number, ("1",)),
        (bool, ("true", "false")),
        (str, ()),
        (int, ()),
        (float, ()),
        (Answer, ()),
        (list[str], ()),
        (Literal["a"] | int, ()),
    ],
)
def test_closed_types_have_labels_in_order(annotation: Any, labels: tuple[str, ...]) -> None:
    assert OutputType(annotation).labels == labels


@pytest.mark.parametrize("label", ["", " a", "a ", "a\n", "\t"])
def test_a_label_is_not_empty_or_padded(label: str) -> None:
    with pytest.raises(TaskError, match="not empty and has no white space around it"):
        _ = OutputType(Literal[label, "b"]).labels  # type: ignore[valid-type]


def test_labels_of_equal_text_clash() -> None:
    with pytest.raises(TaskError, match="label '1' stands for both 1 and '1'"):
        _ = OutputType(Literal[1, "1"]).labels


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (Literal["a"], "a", "a"),
        (Kind, Kind.POME, "pome"),
        (Text, Text.A, "a"),
        (Number, Number.ONE, "1"),
        (bool, True, "true"),
        (int, -7, "-7"),
        (float, 0.1, "0.1"),
        (str, "null\n", "null\n"),
        (Annotated[str, Field(max_length=9)], "plain", "plain"),
        (Annotated[int, Field(ge=0)], 3, "3"),
        (list[str], ["é", "b"], '["é", "b"]'),
        (Answer, Answer(kind="a", note="é"), '{"kind": "a", "note": "é"}'),
        (int | str, "a", '"a"'),
        (int | str, "1", '"1"'),
        (int | str, 1, "1"),
        (Literal["a"] | int, "a", '"a"'),
        (date, date(2020, 1, 31), '"2020-01-31"'),
        (Kind | None, Kind.POME, '"pome"'),
        (Renamed, Renamed(**{"class": 1}), '{"class": 1}'),
    ],
)
def test_a_value_is_written_as_text_and_read_back(annotation: Any, value: Any, text: str) -> None:
    output = OutputType(annotation)
    assert output.text(value) == text
    assert output.parse(text) == value
    assert type(output.parse(text)) is type(value)


@given(texts)
def test_a_text_output_is_any_text_as_it_stands(text: str) -> None:
    assert OutputType(str).parse(OutputType(str).text(text)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_exactly(value: float) -> None:
    assert OutputType(float).parse(OutputType(float).text(value)) == value


@pytest.mark.parametrize(
    ("annotation", "text", "reason"),
    [
        (Literal["drupe", "pome"], "drupes", "did you mean 'drupe'"),
        (Literal["drupe", "pome"], " drupe", "not one of the labels (drupe, pome)"),
        (bool, "truth", "did you mean 'true'"),
        (int, "seven", "unable to parse string as an integer"),
        (int, "1.5", "unable to parse string as an integer"),
        (float, "", "unable to parse string as a number"),
        (Answer, "{", "Invalid JSON"),
        (Answer, '{"kind": "c"}', "kind: Input should be 'a' or 'b' (got 'c')"),
        (list[str], '["a", 1]', "1: Input should be a valid string (got 1)"),
        (Annotated[str, Field(max_length=2)], "abc", "at most 2 characters"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_reason(
    annotation: Any, text: str, reason: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is below
        OutputType(annotation).parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "given", "value"),
    [
        (Literal["a", "b"], "a", "a"),
        (Literal[1, 2], 1, 1),
        (Literal[1, 2], "1", 1),
        (Literal[1, 2], 1.0, 1),
        (Kind, "pome", Kind.POME),
        (Kind, Kind.POME, Kind.POME),
        (Text, "a", Text.A),
        (Number, 1, Number.ONE),
        (bool, True, True),
        (bool, "false", False),
        (int, "7", 7),
        (Answer, {"kind": "a"}, Answer(kind="a")),
    ],
)
def test_a_value_or_its_label_is_valid(annotation: Any, given: Any, value: Any) -> None:
    found = OutputType(annotation).validate(given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (Literal["a", "b"], "c"),
        (Literal[1, 2], True),
        (Literal[1, 2], 1.5),
        (Kind, "DRUPE"),
        (Kind, Text.A),
        (bool, 1),
        (bool, "yes"),
        (int, 1.5),
        (Answer, {"kind": "a", "note": 1}),
        (Literal["a"], ["a"]),
    ],
)
def test_any_other_value_is_refused(annotation: Any, given: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        OutputType(annotation).validate(given)


def test_a_long_list_of_labels_is_shortened() -> None:
    many = Literal[tuple(f"label-{i}" for i in range(50))]  # type: ignore[valid-type]
    with pytest.raises(ValueError, match=r"label-11, …\); did you mean 'label-49'"):
        OutputType(many).parse("label_49")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Literal[1, 2], 2),
        (Kind, Kind.POME),
        (Text, Text.A),
        (bool, False),
        (Answer, Answer(kind="b")),
        (list[str], ["a"]),
        (Renamed, Renamed(**{"class": 1})),
    ],
)
def test_a_plain_value_is_valid_again(annotation: Any, value: Any) -> None:
    output = OutputType(annotation)
    plain = output.plain(value)
    assert isinstance(plain, bool | str | dict | list)
    assert not isinstance(plain, Enum)
    assert output.validate(plain) == value


# What a generated answer must look like.


@pytest.mark.parametrize("annotation", [Kind, Literal["a"], bool, Number, str, Annotated[str, "x"]])
def test_labels_and_any_text_have_no_format(annotation: Any) -> None:
    assert OutputType(annotation).format is None


@pytest.mark.parametrize(
    ("annotation", "kind", "schema"),
    [
        (int, "json", {"type": "integer", "minimum": -(10**18), "maximum": 10**18}),
        (
            Annotated[int, Field(ge=0, le=10)],
            "json",
            {"type": "integer", "minimum": 0, "maximum": 10},
        ),
        (Annotated[str, Field(max_length=3)], "text", {"maxLength": 3, "type": "string"}),
        (
            Answer,
            "json",
            {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["a", "b"], "type": "string"},
                    "note": {"type": "string"},
                },
                "required": ["kind"],
                "additionalProperties": False,
            },
        ),
        (set[bool], "json", {"items": {"type": "boolean"}, "type": "array"}),
        (
            dict[Literal["a", "b"], bool],
            "json",
            {
                "type": "object",
                "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
                "additionalProperties": False,
            },
        ),
    ],
)
def test_the_format_of_a_generated_answer(annotation: Any, kind: str, schema: Any) -> None:
    made = OutputType(annotation).format
    assert made is not None
    assert (made.kind, json.loads(made.schema)) == (kind, schema)


def test_a_format_keeps_the_order_of_fields() -> None:
    made = OutputType(Answer).format
    assert made is not None
    assert list(json.loads(made.schema)["properties"]) == ["kind", "note"]


def allows(format: AnswerFormat | None, text: str) -> bool:
    assert format is not None
    value = json.loads(text) if format.kind == "json" else text
    schema = json.loads(format.schema)
    return bool(jsonschema.validators.validator_for(schema)(schema).is_valid(value))


@given(st.floats(min_value=-1e17, max_value=1e17) | st.floats(-1e-9, 1e-9))
def test_a_float_is_written_in_its_own_format(value: float) -> None:
    output = OutputType(float)
    assert allows(output.format, output.text(value))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "1e999", ".5", "5.", "+1", "01"])
def test_a_float_is_written_as_a_finite_number(text: str) -> None:
    assert not allows(OutputType(float).format, text)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-999, max_value=999, places=2))
def test_a_decimal_is_written_in_its_own_format(value: Decimal) -> None:
    for annotation in (Decimal, condecimal(max_digits=5), condecimal(decimal_places=2)):
        output = OutputType(annotation)
        assert allows(output.format, output.text(value))


@pytest.mark.parametrize(
    ("options", "text", "allowed"),
    [
        ({"max_digits": 2}, "12", True),
        ({"max_digits": 2}, "1.2", True),
        ({"max_digits": 2}, "1.23", False),
        ({"max_digits": 2}, "123", False),
        ({"max_digits": 3, "decimal_places": 1}, "12.3", True),
        ({"max_digits": 3, "decimal_places": 1}, "123", False),
        ({"max_digits": 2, "decimal_places": 2}, "0.12", True),
        ({"max_digits": 2, "decimal_places": 2}, "0", False),
        ({"decimal_places": 0}, "1.5", False),
        ({"ge": 0}, "-1", False),
        ({"gt": -5}, "-1", True),
        ({}, "1e5", False),
        ({}, "NaN", False),
    ],
)
def test_the_digits_of_a_decimal(options: dict[str, Any], text: str, allowed: bool) -> None:
    output = OutputType(condecimal(**options))
    assert allows(output.format, json.dumps(text)) is allowed
    if allowed:
        output.parse(json.dumps(text))


@pytest.mark.parametrize(
    ("annotation", "text", "allowed"),
    [
        (HttpUrl, "https://example.org/a?b=c", True),
        (HttpUrl, "ftp://example.org", False),
        (HttpUrl, "https://a..b", False),
        (dict[int, int], {"-12": 1}, True),
        (dict[int, int], {"a": 1}, False),
    ],
)
def test_what_pydantic_checks_but_does_not_say(annotation: Any, text: Any, allowed: bool) -> None:
    output = OutputType(annotation)
    assert allows(output.format, json.dumps(text)) is allowed
    if allowed:
        output.parse(json.dumps(text))


@pytest.mark.slow
def test_a_schema_that_is_nested_too_deeply() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(5000):
        schema = {"properties": {"a": schema}}
    with pytest.raises(TaskError, match="nested too deeply"):
        _ = OutputType(Annotated[Any, WithJsonSchema(schema)]).format


def test_a_type_without_a_schema_is_left_to_validation() -> None:
    assert OutputType(complex | None).format is not None
    assert OutputType(Callable[[], int]).format is None


@pytest.mark.parametrize(
    ("annotation", "text"), [(float, "1e999"), (float, "nan"), (list[float], "[1, -1e999]")]
)
def test_a_number_that_is_not_finite_is_no_answer(annotation: Any, text: str) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        OutputType(annotation).parse(text)
