"""Whatever a model does, an answer that has ended is a value of its format.

Models here are random numbers over real vocabularies: they write what no model would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema
import numpy as np
import pytest
from gguf.gguf_writer import GGUFWriter
from hypothesis import HealthCheck, given, reject, settings
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
from vocabularies import load_vocabulary as load
from vocabularies import single_tokens

from promptkit.errors import PromptError
from promptkit.models.runtime.grammar import Grammar, Grammars, Matcher
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.prompts.answer_format import AnswerFormat, narrowed
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.output_type import OutputType

BUDGET = 400


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


def token_of(vocabulary: Vocabulary, piece: bytes) -> int:
    return next(t for t in range(vocabulary.size) if vocabulary.piece(t) == piece)


def spelled(matcher: Matcher, vocabulary: Vocabulary, *parts: str | bytes | int) -> bool:
    """Writes texts in their own tokens, and tokens; whether all of them were allowed."""
    single = single_tokens(vocabulary)
    for part in parts:
        if isinstance(part, int):
            tokens = [part]
        elif isinstance(part, bytes):
            tokens = [single[bytes([byte])] for byte in part]
        else:
            tokens = [single[c.encode()] for c in part]
        for token in tokens:
            if matcher.finished or not matcher.allows(token):
                return False
            matcher.accept(token)
    return True


def refusal(output: OutputType, text: str) -> str | None:
    """Why a text is no value, if it is none."""
    try:
        output.parse(text.strip())
    except ValueError as error:
        return str(error)
    return None


# -- Types ---------------------------------------------------------------------------------------


class Tree(BaseModel):
    label: Annotated[str, Field(max_length=3)]
    children: list[Tree] = Field(default=[], max_length=2)


class Place(Enum):
    DELHI = "दिल्ली"
    ZURICH = "Zürich"
    SNARE = 'a "quote" \\ and\na line'


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    friend: Cat | Dog | None = None


NAMES = ["name", "a b", "größe", "नाम", 'q"', "kind", "x-1"]
leaves = st.sampled_from(
    [
        *(int, float, bool, str, None, Place, date, datetime, time, timedelta, UUID, UUID4),
        *(Decimal, condecimal(max_digits=3, decimal_places=1), AwareDatetime, NaiveDatetime),
        *(Literal["a"], Literal["एक", 2, True], HttpUrl, IPv4Address, IPv6Address, Tree, bytes),
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
        st.tuples(inner, inner).map(lambda pair: optional(pair[0]) or int),
        fields.map(model),
    )


def optional(kind: Any) -> Any:
    return None if kind is None else kind | None


def model(fields: Mapping[str, tuple[Any, bool]]) -> type[BaseModel]:
    """A model with these fields, of which some may be left out."""
    made = {
        f"f{i}": (kind if needed else optional(kind), Field(... if needed else None, alias=name))
        for i, (name, (kind, needed)) in enumerate(fields.items())
    }
    return create_model("Made", **made)  # type: ignore[call-overload, no-any-return]


types = st.recursive(leaves, containers, max_leaves=4)


@pytest.mark.slow
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
            # A number inside JSON may have an exponent that no float holds.
            assert refusal(output, matcher.text) in (None, "not a finite number"), matcher.text


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


@pytest.mark.slow
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
    except PromptError:
        reject()
    assert grammar is not None
    for offset in range(3):
        matcher = write(grammar, vocabulary, seed + offset)
        assert matcher.finish != "stuck"
        if matcher.finished:
            jsonschema.validate(json.loads(matcher.text), schema)


# -- Where an answer ends ------------------------------------------------------------------------


class Note(BaseModel):
    text: str


def test_an_answer_ends_at_its_stop_or_with_the_model(bpe: Vocabulary) -> None:
    eos = max(bpe.endings)
    for parts, text, finish in [
        (["42\n"], "42", "stop"),
        ([" 42\n"], " 42", "stop"),
        ([" -7", eos], " -7", "eos"),
        (["0", token_of(bpe, b"1\n")], "", "refused"),  # no leading zero
        (["4", token_of(bpe, b"1\n")], "41", "stop"),  # a token of digits and the stop
        (["42"], "42", "length"),
        (["4 2"], "4", "refused"),
        (["\n"], "", "refused"),
        ([eos], "", "refused"),
        (["  4"], " ", "refused"),
        (["+4"], "", "refused"),
        (["4.0"], "4", "refused"),
        (["nan"], "", "refused"),
        (["1_0"], "1", "refused"),
    ]:
        matcher = grammar_of(prompt(int), bpe).start()
        went = spelled(matcher, bpe, *parts)
        assert went is (finish != "refused"), parts
        if went:
            assert (matcher.text, matcher.finish) == (text, finish)


@pytest.mark.parametrize("stop", [". ", '"}', "b", "<|im_end|>", "\\n"])
def test_a_json_text_may_contain_the_stop(bpe: Vocabulary, stop: str) -> None:
    written = json.dumps({"text": f"a{stop}b{stop}"})
    matcher = grammar_of(prompt(Note, stop=stop), bpe).start()
    assert spelled(matcher, bpe, written)
    assert matcher.finished  # nothing else than the stop could follow
    assert matcher.text == written
    assert OutputType(Note).parse(matcher.text) == Note(text=f"a{stop}b{stop}")


def test_a_token_may_end_the_value_and_begin_the_stop(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(Note), bpe).start()
    assert spelled(matcher, bpe, '{"text": "x', token_of(bpe, b'"}\n'))
    assert (matcher.text, matcher.finish) == ('{"text": "x"}', "stop")


def test_a_stop_of_several_tokens(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(int, stop=" fruits.\n"), bpe).start()
    assert spelled(matcher, bpe, "12 fruits")
    assert not matcher.finished
    assert not spelled(matcher, bpe, "!")
    assert spelled(matcher, bpe, ".\n")
    assert (matcher.text, matcher.finish) == ("12", "stop")


def test_the_stop_of_a_number_may_look_like_its_next_digit(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(float, stop="."), bpe).start()
    assert spelled(matcher, bpe, "3.")
    assert (matcher.text, matcher.finish) == ("3", "stop")
    matcher = grammar_of(prompt(float, stop=".\n"), bpe).start()
    assert spelled(matcher, bpe, "3.5.\n")
    assert (matcher.text, matcher.finish) == ("3.5", "stop")


def test_a_control_token_of_the_chat_template_ends_an_answer(bpe: Vocabulary) -> None:
    start, end = bpe.controls["<|im_start|>"].id, bpe.controls["<|im_end|>"].id
    assert start not in bpe.endings
    assert end in bpe.endings
    for stop, parts, finish in [
        ("<|im_end|>\n", ["7", end], "eos"),
        ("<|im_start|>user", ["7", start], "stop"),
        ("\n<|im_start|>user", ["7\n", start], "stop"),
        ("\n<|im_start|>user", ["7", end], "eos"),
    ]:
        matcher = grammar_of(prompt(int, stop=stop, lead="", chat=True), bpe).start()
        assert spelled(matcher, bpe, *parts)
        assert (matcher.text, matcher.finish) == ("7", finish)
    matcher = grammar_of(prompt(int, stop="\n<|im_start|>user", chat=True), bpe).start()
    assert not spelled(matcher, bpe, "7", start)


def test_control_tokens_stand_in_no_text(bpe: Vocabulary, spm: Vocabulary) -> None:
    for vocabulary in (bpe, spm):
        matcher = grammar_of(prompt(Note), vocabulary).start()
        assert spelled(matcher, vocabulary, '{"text": "')
        assert not any(matcher.allows(control.id) for control in vocabulary.controls.values())


def test_without_a_stop_the_model_ends_its_answer(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(int, stop=""), bpe).start()
    assert spelled(matcher, bpe, "12")
    assert not matcher.finished
    assert not spelled(matcher, bpe, "\n")
    assert spelled(matcher, bpe, 2)
    assert (matcher.text, matcher.finish) == ("12", "eos")
    matcher = grammar_of(prompt(Note, stop=""), bpe).start()
    assert spelled(matcher, bpe, '{"text":""}')
    assert matcher.finish == "stop"  # whole, whatever the model would say


class Endless:
    """A vocabulary without a token that ends a text."""

    endings: frozenset[int] = frozenset()

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.size, self.controls = vocabulary.size, vocabulary.controls
        self.piece, self.plain = vocabulary.piece, vocabulary.plain


def test_something_has_to_end_an_answer(bpe: Vocabulary) -> None:
    grammars = Grammars(Endless(bpe))
    with pytest.raises(PromptError, match=r"nothing ends an answer.*let a newline follow"):
        grammars.of(prompt(int, stop=""))
    grammar = grammars.of(prompt(int))
    assert grammar is not None
    matcher = grammar.start()
    assert spelled(matcher, bpe, "12\n")
    assert matcher.finish == "stop"


def test_an_answer_that_is_cut_is_what_there_was(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(Note), bpe).start()
    assert spelled(matcher, bpe, ' {"text": "\u0926'.encode()[:-1])
    assert not matcher.finished
    assert (matcher.text, matcher.finish) == (' {"text": "\ufffd', "length")


def test_a_token_that_may_not_come_next_is_refused(bpe: Vocabulary) -> None:
    matcher = grammar_of(prompt(int), bpe).start()
    with pytest.raises(ValueError, match="may not come next"):
        matcher.accept(bpe.plain("x")[0])
    assert spelled(matcher, bpe, "1\n")
    with pytest.raises(ValueError, match="may not come next"):
        matcher.accept(bpe.plain("1")[0])


# -- How it is written ---------------------------------------------------------------------------


class Pair(BaseModel):
    a: int
    b: list[int]


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ('{"a": 1, "b": [2, 3]}', True),
        ('{"a":1,"b":[2,3]}', True),
        ('{"a":  1', False),
        ('{ "a"', False),
        ('{"a" :', False),
        ('{"a": 1 ', False),
        ('{"a": 1,\n', False),
        ("{\n", False),
        ("\t{", False),
        ('{"a": 1, "b": [2,  ', False),
        ('{"a": 1, "b": []}', True),
        ('{"a": 1, "c', False),
        ('{"b', False),
        ('{"a": 01', False),
        ('{"a": 1234567890123456789', False),
        ('{"a": -0, "b": []}', True),
    ],
)
def test_white_space_is_what_shots_have(bpe: Vocabulary, written: str, allowed: bool) -> None:
    matcher = grammar_of(prompt(Pair), bpe).start()
    assert spelled(matcher, bpe, written) is allowed


@pytest.mark.parametrize("lead", ["", " ", "   "])
def test_spaces_in_front_are_the_templates_or_one(bpe: Vocabulary, lead: str) -> None:
    for spaces in range(5):
        matcher = grammar_of(prompt(int, lead=lead), bpe).start()
        assert spelled(matcher, bpe, " " * spaces + "1") is (spaces <= max(len(lead), 1))


@pytest.mark.parametrize(
    ("raw", "allowed"),
    [
        ("दवा".encode(), True),
        ("👩\u200d🌾".encode(), True),
        (b"\xe0\xa4", True),  # so far
        (b"\xe0\x80", False),  # too long a spelling
        (b"\xe0a", False),
        (b"\x80", False),
        (b"\xc0\x80", False),
        (b"\xed\xa0\x80", False),  # half of a surrogate pair
        (b"\xf5", False),
        (b"\xff", False),
        (b"\x01", False),
        (b"\n", False),
        (b"\\u0001", True),
        (b"\\ud83d", False),
        (b"\\x", False),
    ],
)
@pytest.mark.parametrize("name", ["bpe", "spm"])
def test_a_json_text_is_unicode(
    grammars: dict[str, tuple[Grammars, Vocabulary]], name: str, raw: bytes, allowed: bool
) -> None:
    made, vocabulary = grammars[name]
    grammar = made.of(prompt(Note))
    assert grammar is not None
    matcher = grammar.start()
    assert spelled(matcher, vocabulary, '{"text": "')
    assert spelled(matcher, vocabulary, raw) is allowed


def test_a_text_with_constraints_stands_as_it_is(bpe: Vocabulary) -> None:
    code = Annotated[str, Field(pattern="^[a-z]+(-[0-9/]+)?$", max_length=6)]
    for written, text in [
        ("abc\n", "abc"),
        (" a-1/2\n", " a-1/2"),
        ("a-123\n", "a-123"),
        ("a-12345", None),
        ("abc-\n", None),
        ("ABC", None),
        ("a\n-1", None),
    ]:
        matcher = grammar_of(prompt(code), bpe).start()
        assert spelled(matcher, bpe, written) is (text is not None), written
        if text is not None:
            assert matcher.text == text
            OutputType(code).parse(text.strip())


@pytest.mark.parametrize("stop", ["\n", "aa", "b.", ""])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_a_text_has_no_stop_in_it(bpe: Vocabulary, stop: str, seed: int) -> None:
    output = OutputType(Annotated[str, Field(pattern="^[ab. \n]*$", min_length=1, max_length=9)])
    matcher = write(grammar_of(prompt(output.annotation, stop=stop), bpe), bpe, seed)
    assert matcher.finished
    assert not stop or stop not in matcher.text
    assert refusal(output, matcher.text) is None


@pytest.mark.parametrize("pattern", ["^a$|^b$", "^a|b$", r"\bword\b", "a{3}$x"])
def test_a_pattern_without_a_grammar_is_left_to_validation(bpe: Vocabulary, pattern: str) -> None:
    assert Grammars(bpe).of(prompt(Annotated[str, Field(pattern=pattern)])) is None


def test_any_text_needs_no_grammar(bpe: Vocabulary) -> None:
    assert OutputType(str).format is None
    assert Grammars(bpe).of(prompt(str)) is None


def test_a_grammar_is_compiled_once(bpe: Vocabulary) -> None:
    grammars = Grammars(bpe)
    assert grammars.of(prompt(int)) is grammars.of(prompt(int))
    others = [prompt(float), prompt(int, stop="."), prompt(int, lead="  ")]
    assert len({grammars.of(other) for other in [prompt(int), *others]}) == 4


# -- What cannot be ------------------------------------------------------------------------------


class Tagged(BaseModel):
    word: Annotated[str, Field(pattern=r"\bfoo\b")]


class Deep(BaseModel):
    tags: list[Tagged]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "uniqueItems": True}, r'\$: "uniqueItems" cannot be kept to'),
        (
            {"type": "object", "properties": {"x": {"not": {"type": "string"}}}},
            r'\$\.properties\.x: "not" cannot be kept to .*simplify the output type',
        ),
        (
            {"anyOf": [{"type": "null"}, {"oneOf": [{"type": "integer"}, {"type": "number"}]}]},
            r"\$\.anyOf\[1\]: oneOf, but neither a type nor a constant",
        ),
        ({"type": "string", "pattern": "^(?!a)b"}, "look-ahead and look-behind, is not supported"),
        ({"type": "string", "pattern": "("}, "unclosed group"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum .5. is greater than maximum"),
        ({"$ref": "http://elsewhere/schema"}, "elsewhere"),
        ({"$ref": "#"}, "can begin: it contradicts itself"),
        ({"allOf": [{"$ref": "#"}, {"type": "object"}]}, "circular references"),
        ({"type": "string", "pattern": "(" * 999 + ")" * 999}, "nested parentheses"),
        ({"const": "\ud800"}, "surrogates"),
        (False, r"\$: Unsatisfiable schema"),
        (Deep, r"\$\.\$defs\.Tagged\.properties\.word: .*foo"),
    ],
)
def test_a_schema_without_a_grammar_says_why(bpe: Vocabulary, schema: Any, reason: str) -> None:
    if not isinstance(schema, type):
        schema = AnswerFormat.of("json", narrowed(schema))
    with pytest.raises(PromptError, match=reason) as caught:
        Grammars(bpe).of(prompt(schema))
    assert "\n" not in str(caught.value)


def without(path: Path, *bytes_: int) -> Vocabulary:
    """A byte-level vocabulary without tokens for these bytes."""

    def edit(writer: GGUFWriter) -> None:
        value = writer.kv_data[0]["tokenizer.ggml.tokens"]
        value.value = list(value.value)
        for byte in bytes_:
            value.value[3 + byte] = f"lost{byte}"

    return load(write_llama(path, edit=edit))


def test_a_vocabulary_that_cannot_write_what_a_schema_names(folder: Path) -> None:
    vocabulary = without(folder / "no-devanagari.gguf", 0xE0)
    with pytest.raises(PromptError, match=r"JSON Schema: .* has no token for '.' \(in '\"दिल्ली\"'"):
        Grammars(vocabulary).of(prompt(list[Place]))
    assert Grammars(vocabulary).of(prompt(Note)) is not None


def test_a_vocabulary_that_cannot_write_json(folder: Path) -> None:
    vocabulary = without(folder / "no-braces.gguf", ord("{"))
    with pytest.raises(PromptError, match="this model's vocabulary cannot write it"):
        Grammars(vocabulary).of(prompt(Note))
    assert Grammars(vocabulary).of(prompt(int)) is not None


@pytest.mark.parametrize("lost", [range(0x80, 0x90), range(0x80, 0xC0), [0xA4, 0xBF]])
def test_no_character_is_begun_that_cannot_be_ended(folder: Path, lost: Any) -> None:
    vocabulary = without(folder / f"lost-{min(lost)}-{len(lost)}.gguf", *lost)
    grammar = grammar_of(prompt(list[Note]), vocabulary)
    for seed in range(40):
        matcher = write(grammar, vocabulary, seed)
        assert matcher.finish != "stuck"
        assert refusal(OutputType(list[Note]), matcher.text) is None or not matcher.finished


def test_a_format_that_the_vocabulary_cannot_go_on_with_ends_the_answer(folder: Path) -> None:
    vocabulary = without(folder / "no-z.gguf", ord("z"))
    words = list[Annotated[str, Field(pattern="^a+z$")]]
    matcher = grammar_of(prompt(words), vocabulary).start()
    assert spelled(matcher, vocabulary, '["aa')
    assert not matcher.finished
    words = list[Annotated[str, Field(pattern="^az$")]]
    matcher = grammar_of(prompt(words), vocabulary).start()
    assert spelled(matcher, vocabulary, '["a')
    assert (matcher.text, matcher.finish) == ('["a', "stuck")
