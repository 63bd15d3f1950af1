"""Hypothesis strategies of output types, each with a strategy of its values."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
)
from pydantic.dataclasses import dataclass


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    LOW = 1
    HIGH = 10


class Renamed(BaseModel):
    kind: int = Field(validation_alias="class", serialization_alias="KLASS")
    word: str = Field(alias="a word")
    other: bool = Field(validation_alias=AliasChoices("first", "second"))


class Generated(BaseModel):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=str.upper, serialization_alias=str.title),
        populate_by_name=True,
    )
    one_word: str
    some: set[int]


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    hidden: str = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.a


class Serialised(BaseModel):
    x: float
    when: Annotated[date, PlainSerializer(lambda value: value.year)]

    @field_serializer("x")
    def _rounded(self, value: float) -> str:
        return f"{value:.1f}"


class Whole(BaseModel):
    a: int

    @model_serializer
    def _text(self) -> str:
        return f"a is {self.a}"


class Secret(BaseModel):
    word: SecretStr


class Node(BaseModel):
    color: Color
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Pet(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@dataclass
class Point:
    x: int
    y: bool


class Pair(NamedTuple):
    left: int
    right: str


Typed = tuple[Any, st.SearchStrategy[Any]]

words = st.text("ab é\"'\\\n{", max_size=4)
whole = st.integers(-20, 20)
numbers = st.floats(-100, 100).map(lambda value: round(value, 3))
days = st.dates(date(1990, 1, 1), date(2030, 1, 1))
decimals = st.decimals(-99, 99, places=2)
nodes: st.SearchStrategy[Node] = st.recursive(
    st.builds(Node, color=st.sampled_from(Color)),
    lambda inner: st.builds(
        Node, color=st.sampled_from(Color), children=st.lists(inner, max_size=2)
    ),
    max_leaves=4,
)
pets = st.builds(Cat, kind=st.just("cat"), lives=st.integers(0, 9)) | st.builds(
    Dog, kind=st.just("dog"), good=st.booleans()
)

scalars: list[Typed] = [
    (int, whole),
    (Annotated[int, Field(ge=-20, le=20)], whole),
    (bool, st.booleans()),
    (float, numbers),
    (str, words),
    (Annotated[str, Field(max_length=4)], words),
    (Literal["sport", "world", "art"], st.sampled_from(["sport", "world", "art"])),
    (Literal[1, "one", True], st.sampled_from([1, "one", True])),
    (Color, st.sampled_from(Color)),
    (Rank, st.sampled_from(Rank)),
    (date, days),
    (datetime, st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))),
    (time, st.times()),
    (Decimal, decimals),
    (UUID, st.uuids()),
]
models: list[Typed] = [
    (
        Renamed,
        st.builds(
            lambda kind, word, other: Renamed.model_validate(
                {"class": kind, "a word": word, "second": other}
            ),
            whole,
            words,
            st.booleans(),
        ),
    ),
    (
        Generated,
        st.builds(
            lambda word, some: Generated(one_word=word, some=some),
            words,
            st.sets(whole, max_size=4),
        ),
    ),
    (Computed, st.builds(Computed, a=whole, hidden=words)),
    (Serialised, st.builds(Serialised, x=numbers, when=days)),
    (Whole, st.builds(Whole, a=whole)),
    (Secret, st.builds(Secret, word=words.map(SecretStr))),
    (Node, nodes),
    (Pet, st.builds(Pet, pet=pets)),
    (Point, st.builds(Point, x=whole, y=st.booleans())),
    (Pair, st.builds(Pair, whole, words)),
]


def _lists(inner: Typed) -> Typed:
    return list[inner[0]], st.lists(inner[1], max_size=3)  # type: ignore[name-defined]


def _optional(inner: Typed) -> Typed:
    return inner[0] | None, st.none() | inner[1]


def _pairs(inner: Typed) -> Typed:
    return tuple[inner[0], int], st.tuples(inner[1], whole)  # type: ignore[name-defined]


def _model(inner: Typed) -> Typed:
    made = create_model("Made", inner=(inner[0], ...), n=(int, Field(alias="N")))
    return made, st.builds(lambda value, n: made.model_construct(inner=value, n=n), inner[1], whole)


def _dict(pair: tuple[Typed, Typed]) -> Typed:
    key, inner = pair
    return dict[key[0], inner[0]], st.dictionaries(  # type: ignore[name-defined]
        key[1], inner[1], max_size=3
    )


def _sets(inner: Typed) -> Typed:
    return frozenset[inner[0]], st.frozensets(inner[1], max_size=4)  # type: ignore[name-defined]


hashable = st.sampled_from([pair for pair in scalars if pair[0] not in (float,)])
keys = st.sampled_from([pair for pair in scalars if pair[0] in (str, int, Color, date, UUID)])
output_types: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from([*scalars, *models]) | hashable.map(_sets),
    lambda inner: (
        inner.map(_lists)
        | inner.map(_optional)
        | inner.map(_pairs)
        | inner.map(_model)
        | st.tuples(keys, inner).map(_dict)
    ),
    max_leaves=3,
)
"""Types that JSON can hold, nested to a small depth, with their values."""
