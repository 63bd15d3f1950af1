"""Whatever a model does, an answer that has ended is a value of its format.

Models here are random numbers over real vocabularies: they write what no model would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import jsonschema
import numpy as np
import pytest
from gguf.gguf_writer import GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    UUID4,
    AwareDatetime,
    BaseModel,
    Field,
    HttpUrl,
    NaiveDatetime,
    condecimal,
    create_model,
)
from tiny_gguf import write_llama

from promptkit.encode import ControlToken
from promptkit.errors import PromptError
from promptkit.formats import AnswerFormat, narrowed
from promptkit.models.gguf import read_header
from promptkit.models.grammar import Grammar, Grammars, Matcher
from promptkit.models.library import library
from promptkit.models.vocabulary import Vocabulary
from promptkit.outputs import OutputType
from promptkit.prompts import Prompt

BUDGET = 400


def load(path: Path) -> Vocabulary:
    lib = library()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    return Vocabulary(lib.llama_model_load_from_file(str(path).encode(), params), read_header(path))


WORDS = ('": ', '", "', '"}', "}\n", '"}\n', '{"', "1\n", "0.", "12", "null", "true", '\\"', " 7")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vocabularies")


@pytest.fixture(scope="module")
def bpe(folder: Path) -> Vocabulary:
    return load(write_llama(folder / "bpe.gguf", words=WORDS))


@pytest.fixture(scope="module")
def spm(folder: Path) -> Vocabulary:
    return load(write_llama(folder / "spm.gguf", tokenizer="spm", words=WORDS))


@pytest.fixture(scope="module")
def grammars(bpe: Vocabulary, spm: Vocabulary) -> dict[str, tuple[Grammars, Vocabulary]]:
    return {"bpe": (Grammars(bpe), bpe), "spm": (Grammars(spm), spm)}


def prompt(
    format: AnswerFormat | type | Any, *, stop: str = "\n", lead: str = " ", chat: bool = False
) -> Prompt:
    if not isinstance(format, AnswerFormat):
        format = OutputType(format).format
    return Prompt(lead=lead, stop=stop, stop_is_chat=chat, format=format)


def grammar_of(asked: Prompt, vocabulary: Vocabulary) -> Grammar:
    grammar = Grammars(vocabulary).of(asked)
    assert grammar is not None
    return grammar


def pull(vocabulary: Vocabulary, towards: bytes, weight: float) -> np.ndarray:
    """Logits that prefer tokens which begin with one of these bytes, and the model's own end."""
    preferred = [
        token in vocabulary.endings or vocabulary.piece(token)[:1] in [bytes([b]) for b in towards]
        for token in range(vocabulary.size)
    ]
    return np.where(preferred, weight, 0.0).astype(np.float32)


def write(
    grammar: Grammar, vocabulary: Vocabulary, seed: int, weight: float = 4.0, budget: int = BUDGET
) -> Matcher:
    """An answer by a model of random numbers that likes to come to an end."""
    random = np.random.default_rng(seed)
    matcher = grammar.start()
    likes = pull(vocabulary, b'"}],\n', weight)
    for _ in range(budget):
        logits = random.normal(size=vocabulary.size).astype(np.float32) * 2 + likes
        best = int(logits.argmax())
        allowed = matcher.allows(best)
        matcher.mask(logits)
        token = int(logits.argmax())
        assert allowed is (token == best)
        assert logits[token] > -np.inf
        matcher.accept(token)
        if matcher.finished:
            break
    return matcher


def spelled(matcher: Matcher, vocabulary: Vocabulary, *parts: str | bytes | int) -> bool:
    """Writes texts in their own tokens, and tokens; whether all of them were allowed."""
    for part in parts:
        if isinstance(part, int):
            tokens = [part]
        elif isinstance(part, bytes):
            tokens = [vocabulary._single[bytes([byte])] for byte in part]
        else:
            tokens = [vocabulary._single[c.encode()] for c in part]
        for token in tokens:
            if matcher.finished or not matcher.allows(token):
                return False
            matcher.accept(token)
    return True


def parses(output: OutputType, text: str) -> None:
    """Reads a value; a number inside JSON may have an exponent that no float holds."""
    try:
        output.parse(text.strip())
    except ValueError as error:
        assert str(error) == "not a finite number", text


# -- Types ---------------------------------------------------------------------------------------


class Tree(BaseModel):
    label: Annotated[str, Field(max_length=3)]
    children: "list[Tree]" = Field(default=[], max_length=2)


class Place(Enum):
    DELHI = "दिल्ली"
    ZURICH = "Zürich"
    SNARE = 'a "quote" \\ and\na line'


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    friend: "Cat | Dog | None" = None


NAMES = ["name", "a b", "größe", "नाम", 'q"', "kind", "x-1"]
leaves = st.sampled_from(
    [
        *(int, float, bool, str, None, Place, date, datetime, time, timedelta, UUID, UUID4),
        *(Decimal, condecimal(max_digits=3, decimal_places=1), AwareDatetime, NaiveDatetime),
        *(Literal["a"], Literal["एक", 2, True], HttpUrl, Tree, bytes),
        Annotated[Cat | Dog, Field(discriminator="kind")],
        Annotated[int, Field(ge=0, le=10)],
        Annotated[int, Field(gt=-3)],
        Annotated[int, Field(multiple_of=5, ge=0)],
        Annotated[float, Field(gt=0, lt=1)],
        Annotated[float, Field(le=-0.25)],
        Annotated[str, Field(pattern=r"^[a-z]{2}\d$")],
        Annotated[str, Field(pattern="ab|cd", max_length=5)],
        Annotated[str, Field(min_length=1, max_length=2)],
    ]
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(st.sampled_from(NAMES), st.tuples(inner, st.booleans()), max_size=3)
    return st.one_of(
        inner.map(lambda t: list[t]),
        inner.map(lambda t: Annotated[list[t], Field(min_length=1, max_length=3)]),
        inner.map(lambda t: dict[str, t]),
        inner.map(lambda t: dict[int, t]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | None if pair[0] else int),
        fields.map(model),
    )


def model(fields: Mapping[str, tuple[Any, bool]]) -> type[BaseModel]:
    """A model with these fields, of which some may be left out."""
    made = {
        f"f{i}": (kind if needed else Optional[kind], Field(... if needed else None, alias=name))
        for i, (name, (kind, needed)) in enumerate(fields.items())
    }
    return create_model("Made", **made)  # type: ignore[call-overload, no-any-return]


types = st.recursive(leaves, containers, max_leaves=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    types.filter(lambda kind: not OutputType(kind).labels),
    st.integers(0, 2**32),
    st.sampled_from(["bpe", "spm"]),
    st.sampled_from(["\n", "", ". ", "<|im_end|>\n", "</s>"]),
)
def test_an_answer_that_has_ended_is_a_value_of_its_type(
    grammars: dict[str, tuple[Grammars, Vocabulary]],
    annotation: Any,
    seed: int,
    name: str,
    stop: str,
) -> None:
    made, vocabulary = grammars[name]
    output = OutputType(annotation)
    grammar = made.of(prompt(annotation, stop=stop))
    if grammar is None:
        assert annotation is str
        return
    for offset in range(3):
        matcher = write(grammar, vocabulary, seed + offset)
        assert matcher.finish != "stuck"
        if matcher.finished:
            parses(output, matcher.text)


# -- Schemas that others wrote -------------------------------------------------------------------

small = st.integers(-3, 12)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda: {"type": "integer"}),
    st.tuples(small, small).map(
        lambda p: {"type": "integer", "minimum": min(p), "maximum": max(p)}
    ),
    small.map(lambda n: {"type": "integer", "exclusiveMinimum": n}),
    small.map(lambda n: {"type": "number", "maximum": n / 4}),
    st.tuples(small, small).map(
        lambda p: {"type": "number", "minimum": min(p) / 8, "maximum": max(p) / 8}
    ),
    st.just({"type": "string", "maxLength": 4}),
    st.sampled_from(["^a+$", "b|c", r"\d{3}", "^x|y$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
    st.lists(
        st.sampled_from(["a", "é", "दवा", 'q"', 1, 2.5, True, None]), min_size=1, max_size=3
    ).map(lambda values: {"enum": values}),
    st.sampled_from([{"const": [1, "a"]}, {"type": ["null", "boolean"]}, {"type": "null"}, {}]),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    return st.one_of(
        st.tuples(properties, st.data()).map(lambda p: thing(*p)),
        st.tuples(inner, st.integers(0, 2)).map(
            lambda p: {"type": "array", "items": p[0], "minItems": p[1], "maxItems": p[1] + 1}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        st.lists(inner, min_size=2, max_size=2).map(lambda each: {"allOf": each}),
        st.lists(inner, min_size=2, max_size=2).map(lambda each: {"oneOf": each}),
        st.lists(inner, min_size=1, max_size=2).map(
            lambda each: {
                "type": "array",
                "prefixItems": each,
                "items": False,
                "minItems": len(each),
            }
        ),
        inner.map(lambda value: {"type": "object", "additionalProperties": value}),
    )


def thing(properties: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    names = list(properties)
    needed = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    schema = {"type": "object", "properties": properties, "required": needed}
    extra = data.draw(st.sampled_from([None, True, False]))
    return schema if extra is None else {**schema, "additionalProperties": extra}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(scalars, nested, max_leaves=5),
    st.integers(0, 2**32),
    st.sampled_from(["bpe", "spm"]),
)
def test_an_answer_that_has_ended_is_valid_under_the_schema_of_a_file(
    grammars: dict[str, tuple[Grammars, Vocabulary]], schema: Any, seed: int, name: str
) -> None:
    made, vocabulary = grammars[name]
    try:
        grammar = made.of(prompt(AnswerFormat.of("json", narrowed(schema))))
    except PromptError as error:
        assert str(error)
        return
    assert grammar is not None
    for offset in range(3):
        matcher = write(grammar, vocabulary, seed + offset)
        assert matcher.finish != "stuck"
        if matcher.finished:
            jsonschema.validate(json.loads(matcher.text), schema)
