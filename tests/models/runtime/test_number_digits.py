"""Digits of numbers inside JSON: as many as a value may need, and an end of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from tiny_gguf import write_llama
from vocabularies import load_vocabulary, single_tokens

from promptkit.models.runtime.grammar import Grammars, Matcher
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.prompts.answer_format import AnswerFormat, narrowed
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.output_type import OutputType


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabularies")
    words = ("0.", "12", "00", "000", "999", "5}", "}\n", '": ')
    return load_vocabulary(write_llama(folder / "bpe.gguf", words=words))


@pytest.fixture(scope="module")
def grammars(vocabulary: Vocabulary) -> Grammars:
    return Grammars(vocabulary)


def started(grammars: Grammars, format: AnswerFormat | None) -> Matcher:
    grammar = grammars.of(Prompt(lead=" ", stop="\n", stop_is_chat=False, format=format))
    assert grammar is not None
    return grammar.start()


def of_fields(**schemas: Any) -> AnswerFormat:
    schema = {"type": "object", "properties": schemas, "required": [*schemas]}
    return AnswerFormat.of("json", narrowed(schema))


def spells(matcher: Matcher, vocabulary: Vocabulary, text: str) -> bool:
    """Write a text in its single characters, and return whether all of them were allowed."""
    single = single_tokens(vocabulary)
    for character in text:
        if not matcher.allows(single[character.encode()]):
            return False
        matcher.accept(single[character.encode()])
    return True


def written_by_digits(matcher: Matcher, vocabulary: Vocabulary, digits: bytes, most: int) -> int:
    """Let a model write that prefers these digits to everything else; return its tokens."""
    likes = np.array(
        [vocabulary.piece(t)[:1] in map(bytes, zip(digits)) for t in range(vocabulary.size)]
    )
    commas = np.array(
        [vocabulary.piece(t)[:1] in (b"}", b",", b"\n", b".") for t in range(vocabulary.size)]
    )
    for count in range(most):
        logits = (likes * 8.0 + commas * 4.0).astype(np.float32)
        matcher.mask(logits)
        matcher.accept(int(logits.argmax()))
        if matcher.finished:
            return count
    return most


BOUNDED = [
    {"type": "number", "minimum": -1, "maximum": 1},
    {"type": "number", "minimum": 0},
    {"type": "number", "maximum": 0.5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "exclusiveMinimum": -0.5, "exclusiveMaximum": 0},
    {"type": "number", "minimum": -1e-30, "maximum": 1e-30},
    {"type": "number", "exclusiveMinimum": -2, "exclusiveMaximum": -1},
    {"type": "number"},
    {"anyOf": [{"type": "number", "minimum": -3}, {"type": "null"}]},
    {"type": "number", "minimum": 1e20},
    {"type": ["number", "null"], "maximum": 0.75},
    {"type": "array", "items": {"type": "number"}, "maxItems": 2},
    {"type": "object", "additionalProperties": {"type": "number", "maximum": 2}},
]


@pytest.mark.parametrize("schema", BOUNDED, ids=str)
@pytest.mark.parametrize("digits", [b"0", b"9", b"1", b"50"])
def test_digits_have_an_end(
    grammars: Grammars, vocabulary: Vocabulary, schema: Any, digits: bytes
) -> None:
    matcher = started(grammars, of_fields(x=schema, y=schema))
    assert spells(matcher, vocabulary, '{"x": ')
    written_by_digits(matcher, vocabulary, digits, 400)
    assert matcher.finished, matcher.text
    found = json.loads(matcher.text, parse_float=Decimal)
    for value in found.values():
        jsonschema.validate(value, schema)


NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.1, -0.05, 1e-9, 123456.789]),
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-5),
).map(lambda x: x + 0.0)  # a zero is written without a sign


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(NUMBERS, NUMBERS, NUMBERS)
@example(-1.0, 1.0, -0.12345678901234567)
@example(0.0, 0.5, 0.12345678901234567)
@example(0.0, 100.0, 12.345678901234567)
def test_no_valid_value_is_excluded(
    grammars: Grammars, vocabulary: Vocabulary, least: float, most: float, value: float
) -> None:
    least, value, most = sorted([least, value, most])
    row = create_model("Row", x=Annotated[float, Field(ge=least, le=most)])
    matcher = started(grammars, OutputType(row).format)
    text = f"{Decimal(repr(value)):f}"
    assert spells(matcher, vocabulary, f'{{"x": {text}}}'), text
    assert OutputType(row).parse(matcher.text).x == value


def test_whole_numbers_are_as_before(grammars: Grammars, vocabulary: Vocabulary) -> None:
    class Row(BaseModel):
        x: int

    for text in (str(10**18), str(-(10**18)), "0", "-7"):
        matcher = started(grammars, OutputType(Row).format)
        assert spells(matcher, vocabulary, f'{{"x": {text}}}')
