"""Shapes: the types of a template's values, as far as the task's types determine them.

A shape is what a value is certain to be; `ANY` is what nothing certain is known of.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from jinja2 import nodes
from pydantic import BaseModel, PlainSerializer, RootModel, WrapSerializer
from pydantic.fields import FieldInfo

from promptkit.templating.source import Page


@dataclass(frozen=True)
class Shape:
    """Anything at all."""


@dataclass(frozen=True)
class ScalarShape(Shape):
    """A text or a number."""

    kind: type = str

    @property
    def methods(self) -> frozenset[str]:
        """The methods that a template may call."""
        return frozenset(name for name in dir(self.kind) if not name.startswith("_"))


@dataclass(frozen=True)
class AnswerShape(Shape):
    """`output` in an example's block, which can only be printed."""


@dataclass(frozen=True)
class MethodShape(Shape):
    """A function, which is called and never printed."""

    name: str


@dataclass(frozen=True)
class Items(Shape):
    """A list."""

    item: Shape


@dataclass(frozen=True)
class TupleShape(Shape):
    """A tuple."""

    parts: tuple[Shape, ...]


@dataclass(frozen=True)
class Record(Shape):
    """Named fields; an open record may have others."""

    name: str
    fields: tuple[tuple[str, Shape], ...] = ()
    open: bool = False
    metadata: Record | None = None
    """The metadata beside an input's fields: read by that name, and not iterated over."""
    options: str | None = None
    """The field of the options of an input's answer, a list that is not iterated over either; any
    input has its possible answers as `options`."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        found = dict(self.fields)
        if self.options is not None:
            found[self.options] = Items(TEXT)
        if self.metadata is not None:
            found.setdefault("metadata", self.metadata)
            found.setdefault("options", Items(TEXT))
        return found


@dataclass(frozen=True)
class OneOf(Shape):
    """The value of one of several fields, in a loop over a record."""

    fields: tuple[tuple[str, Shape], ...]


@dataclass(frozen=True, eq=False)
class Macro(Shape):
    """A macro of a page, and the names it sees."""

    node: nodes.Macro
    page: Page
    scope: Any


ANY = Shape()
TEXT, NUMBER = ScalarShape(str), ScalarShape(float)
INPUT = "input"
"""The name of the record of an example's input."""

LOOP = Record(
    "loop",
    tuple(
        (name, ANY)
        for name in (
            *("index", "index0", "revindex", "revindex0", "first", "last", "length", "depth"),
            *("depth0", "previtem", "nextitem", "changed", "cycle"),
        )
    ),
)


def same_or_any(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that all share, or `ANY`."""
    found = set(shapes)
    return found.pop() if len(found) == 1 else ANY


def record_of(model: type[BaseModel], name: str = INPUT) -> Record:
    """Return the shape of a pydantic model."""
    decorators = model.__pydantic_decorators__
    changed = bool(decorators.model_serializers)
    serialized = {
        field for item in decorators.field_serializers.values() for field in item.info.fields
    }
    fields = [
        (
            field,
            ANY
            if {field, "*"} & serialized or _is_serialised(info)
            else shape_of(info.annotation, f"{name}.{field}"),
        )
        for field, info in model.model_fields.items()
        if not info.exclude
    ]
    fields += [(field, ANY) for field in model.model_computed_fields]
    is_open = changed or model.model_config.get("extra") == "allow"
    return Record(name, tuple(fields), is_open)


def _is_serialised(info: FieldInfo) -> bool:
    return any(isinstance(data, PlainSerializer | WrapSerializer) for data in info.metadata)


def shape_of(annotation: Any, name: str) -> Shape:
    """Return the shape of a value of a type."""
    annotation = getattr(annotation, "__value__", annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(args[0], name)
    if origin in (Union, UnionType):
        shapes = [shape_of(arg, name) for arg in args if arg is not NoneType]
        if all(isinstance(shape, Record) for shape in shapes):
            return _either(name, [s for s in shapes if isinstance(s, Record)])
        return same_or_any(shapes)
    if origin is Literal:
        return same_or_any(shape_of(type(value), name) for value in args)
    if origin in (list, tuple, set, frozenset) and args:
        return Items(same_or_any(shape_of(arg, name) for arg in args if arg is not Ellipsis))
    if not inspect.isclass(annotation):
        return ANY
    if issubclass(annotation, Enum):
        return same_or_any(shape_of(type(member.value), name) for member in annotation)
    if issubclass(annotation, BaseModel) and not issubclass(annotation, RootModel):
        return record_of(annotation, name)
    # bool is what templates test; its methods are nothing to look for.
    kinds = (str, int, float)
    return next((ScalarShape(kind) for kind in kinds if annotation is kind), ANY)


def _either(name: str, records: list[Record]) -> Record:
    """Return the fields that are certain for one of several records."""
    fields: dict[str, list[Shape]] = {}
    for record in records:
        for field, shape in record.fields:
            fields.setdefault(field, []).append(shape)
    merged = tuple((field, same_or_any(shapes)) for field, shapes in fields.items())
    return Record(name, merged, any(record.open for record in records))


def items_of(shape: Shape) -> Shape:
    """Return the shape of the items of a loop."""
    match shape:
        case Items(item):
            return item
        case Record(fields=fields, open=False):
            one = same_or_any(field for _, field in fields)
            return TupleShape((TEXT, OneOf(fields) if one == ANY else one))
        case _:
            return ANY
