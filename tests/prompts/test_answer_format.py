from __future__ import annotations

import json
import re
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from promptkit.prompts.answer_format import AnswerFormat, literals, narrowed, parts

ROW = {"properties": {"a": {"type": "string"}}, "type": "object"}
CLOSED = {**ROW, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "narrow"),
    [
        ({"type": "string"}, {"type": "string"}),
        (True, True),
        (ROW, CLOSED),
        ({**ROW, "additionalProperties": True}, {**ROW, "additionalProperties": True}),
        ({**ROW, "required": ["b"]}, {**ROW, "required": ["b"]}),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "array", "items": ROW}, {"type": "array", "items": CLOSED}),
        ({"anyOf": [ROW, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        ({"$defs": {"R": ROW}, "$ref": "#/$defs/R"}, {"$defs": {"R": CLOSED}, "$ref": "#/$defs/R"}),
        # A value answers to several of them at once.
        ({"allOf": [ROW, {"title": "T"}]}, {"allOf": [ROW, {}]}),
        ({"oneOf": [ROW, {"type": "null"}]}, {"oneOf": [ROW, {"type": "null"}]}),
        ({**ROW, "anyOf": [{"required": ["a"]}]}, {**ROW, "anyOf": [{"required": ["a"]}]}),
        # What is no schema stays as it is.
        ({"properties": {"title": {"title": "T", "const": {"title": 1}}}},) * 2,
        ({"format": "path", "type": "string"}, {"type": "string"}),
        ({"format": "ipv4", "type": "string"}, {"format": "ipv4", "type": "string"}),
        ({"type": "number"}, {"type": "number"}),
        (
            {"type": "number", "minimum": 0},
            {"type": "number", "minimum": 0, "maximum": 10**18},
        ),
        (
            {"type": "number", "minimum": 0, "multipleOf": 0.5, "maximum": 3},
            {"type": "number", "minimum": 0, "multipleOf": 0.5, "maximum": 3},
        ),
        ({"type": "number", "maximum": 2}, {"type": "number", "minimum": -(10**18), "maximum": 2}),
        ({"type": "integer", "enum": [1]}, {"type": "integer", "enum": [1]}),
        (
            {"type": ["integer", "null"], "exclusiveMinimum": 3},
            {"type": ["integer", "null"], "exclusiveMinimum": 3, "maximum": 10**18},
        ),
        (
            {"type": "integer", "minimum": -(10**30), "maximum": 10**30},
            {"type": "integer", "minimum": -(10**18), "maximum": 10**18},
        ),
        ({"type": "integer", "minimum": 10**19}, {"type": "integer", "minimum": 10**19}),
    ],
)
def test_a_schema_is_narrowed(schema: Any, narrow: Any) -> None:
    before = json.dumps(schema)
    found = narrowed(schema)
    if isinstance(narrow, dict) and "title" in narrow.get("properties", {}):
        narrow = {
            "properties": {"title": {"const": {"title": 1}}},
            "additionalProperties": False,
        }
    assert found == narrow
    assert json.dumps(schema) == before


FORMATS: list[tuple[str, Any, st.SearchStrategy[Any]]] = [
    ("date", date, st.dates()),
    ("time", time, st.times(timezones=st.none() | st.just(timezone.utc))),
    (
        "date-time",
        datetime,
        st.datetimes(timezones=st.none() | st.just(timezone(timedelta(hours=5, minutes=30)))),
    ),
    ("duration", timedelta, st.timedeltas(timedelta(-90000), timedelta(90000))),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "values"), FORMATS, ids=lambda p: str(p)[:12])
@given(data=st.data())
def test_a_format_is_what_pydantic_writes_and_reads(
    name: str, kind: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    pattern = narrowed({"type": "string", "format": name})["pattern"]
    adapter = TypeAdapter(kind)
    written = adapter.dump_python(data.draw(values), mode="json")
    assert re.search(pattern, written)
    whole = re.compile(pattern.removesuffix("$") + r"\Z", re.ASCII)
    adapter.validate_python(data.draw(st.from_regex(whole)))


def test_every_day_there_is_and_no_other() -> None:
    pattern = narrowed({"type": "string", "format": "date"})["pattern"]
    for year in (0, 1, 4, 100, 400, 1600, 1900, 2000, 2023, 2024, 2100, 9999):
        for month in range(14):
            for day in range(33):
                written = f"{year:04}-{month:02}-{day:02}"
                try:
                    date(year, month, day)
                except ValueError:
                    assert not re.search(pattern, written), written
                else:
                    assert re.search(pattern, written), written


def test_the_parts_of_a_schema_have_places() -> None:
    schema = {
        "properties": {"a": {"items": {"type": "null"}}},
        "anyOf": [{"const": "x"}, True],
        "items": [{"enum": ["y"]}],
        "additionalProperties": False,
    }
    assert list(parts(schema)) == [
        ("properties.a", {"items": {"type": "null"}}),
        ("anyOf[0]", {"const": "x"}),
        ("anyOf[1]", True),
        ("items[0]", {"enum": ["y"]}),
        ("additionalProperties", False),
    ]
    assert list(literals(schema)) == ['"a"', '"x"', '"y"']


def test_a_format_is_a_value() -> None:
    assert AnswerFormat.of("json", {"enum": ["é"]}) == AnswerFormat("json", '{"enum": ["é"]}')
