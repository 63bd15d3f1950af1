"""How an output type is written in a prompt, asked of a model, and read back.

`Literal`, `Enum` and `bool` are closed: their values are labels, which a model scores. Every
other type is generated as text and validated: `str` as it stands, `int` and `float` from their
digits, anything else from JSON.
"""

from __future__ import annotations

import difflib
import json
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from promptkit.errors import TaskError, shorten
from promptkit.formats import FLOAT, AnswerFormat, narrowed


@dataclass(frozen=True)
class OutputType:
    """The output type of a task."""

    annotation: Any

    @cached_property
    def label_of(self) -> Mapping[Any, str]:
        """The label of each value of the closed set, as a prediction holds the value."""
        return {self.plain(value): label for label, value in self.values.items()}

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The closed set, each value by its label; empty for a type that is generated.

        Raises `TaskError` for labels that are empty, padded with white space, or the same.
        """
        values: dict[str, Any] = {}
        for value in _closed_values(self.annotation):
            label = self.text(value)
            if not label or label != label.strip():
                raise TaskError(
                    f"label {label!r}: a label is not empty and has no white space around it "
                    "(the space in front of an answer comes from the template)"
                )
            before = values.get(label, value)
            if before != value or type(before) is not type(value):
                raise TaskError(f"label {label!r} stands for both {before!r} and {value!r}")
            values[label] = value
        return values

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the type; empty for a type that is generated."""
        return tuple(self.values)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the type."""
        return self._adapter.json_schema()

    @cached_property
    def format(self) -> AnswerFormat | None:
        """What a generated answer must look like; None for labels, and for what may be any text.

        Raises `TaskError` for a schema that is nested too deeply.
        """
        if self.values:
            return None
        try:
            schema = self._adapter.json_schema(schema_generator=_WrittenSchema)
            if self.is_text:
                constrained = {"pattern", "minLength", "maxLength"} & schema.keys()
                return AnswerFormat.of("text", schema) if constrained else None
            if _bare(self.annotation) is float and schema == {"type": "number"}:
                return AnswerFormat.of("text", FLOAT)
            return AnswerFormat.of("json", narrowed(schema))
        except PydanticInvalidForJsonSchema:  # left to validation
            return None
        except RecursionError:
            raise TaskError("the output's JSON Schema is nested too deeply") from None

    @cached_property
    def json_format(self) -> AnswerFormat | None:
        """What a generated answer must look like where a template writes answers as JSON.

        None for labels, and for what has no schema. Raises `TaskError` like `format`.
        """
        if self.values:
            return None
        try:
            schema = self._adapter.json_schema(schema_generator=_WrittenSchema)
            return AnswerFormat.of("json", narrowed(schema))
        except PydanticInvalidForJsonSchema:  # left to validation
            return None
        except RecursionError:
            raise TaskError("the output's JSON Schema is nested too deeply") from None

    @property
    def is_text(self) -> bool:
        """Whether an output is any text, as it stands."""
        return _bare(self.annotation) is str

    @cached_property
    def _is_json(self) -> bool:
        """Whether an output is read as JSON, so that a text has its quotes."""
        closed = _closed_values(self.annotation)
        return not closed and _bare(self.annotation) not in (str, int, float)

    def text(self, value: Any) -> str:
        """A value as a prompt writes it."""
        bare = value.value if isinstance(value, Enum) else value
        if isinstance(bare, bool):
            return "true" if bare else "false"
        if isinstance(bare, int | float) or (isinstance(bare, str) and not self._is_json):
            return str(bare)
        return json.dumps(self._dumped(value), ensure_ascii=False)

    def as_json(self, value: Any) -> str:
        """A value as JSON writes it, on one line."""
        return json.dumps(self._dumped(value), ensure_ascii=False)

    def plain(self, value: Any) -> Any:
        """A value as JSON can hold it."""
        if self.values:
            return value if self.annotation is bool else self.text(value)
        return self._dumped(value)

    def parse(self, text: str, *, as_json: bool = False) -> Any:
        """The value that `text` writes, perhaps as JSON.

        Raises ValueError, saying what is wrong with it.
        """
        if self.values:
            # Spreadsheets and data frames write TRUE and True.
            label = text.lower() if _bare(self.annotation) is bool else text
            if label in self.values:
                return self.values[label]
            raise ValueError(self._not_a_label(text))
        try:
            if self.is_text and not as_json:
                return self._adapter.validate_python(text)
            if _bare(self.annotation) in (int, float) and not as_json:
                value = self._adapter.validate_strings(text)
            else:
                value = self._adapter.validate_json(text)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None
        if not _is_finite(self.plain(value)):
            raise ValueError("not a finite number")
        return value

    def validate(self, value: Any) -> Any:
        """`value` as the type has it: a label or a value of the type. Raises ValueError."""
        if self.values:
            if isinstance(value, str) and not isinstance(value, Enum) and value in self.values:
                return self.values[value]
            for known in self.values.values():
                plain = known.value if isinstance(known, Enum) else known
                if any(v == value and type(v) is type(value) for v in (known, plain)):
                    return known
            raise ValueError(self._not_a_label(value))
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None

    def _not_a_label(self, value: Any) -> str:
        same = [label for label in self.labels if _composed(label) == _composed(str(value))]
        if same:
            return (
                f"it looks like the label {same[0]!r}, but is written in other Unicode characters "
                f"({value!a}, not {same[0]!a}); write both the same way"
            )
        close = difflib.get_close_matches(str(value), self.labels, n=1)
        shown = ", ".join(self.labels[:12]) + (", …" if len(self.labels) > 12 else "")
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"not one of the labels ({shown}){hint}"

    def _dumped(self, value: Any) -> Any:
        """A value as its schema has it: with the names that its type reads."""
        return self._adapter.dump_python(value, mode="json", by_alias=True)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)


_HOST = "(?:[a-z0-9]+(?:-[a-z0-9]+)*\\.)*[a-z][a-z0-9]*"  # no address


class _WrittenSchema(GenerateJsonSchema):
    """The JSON Schema of values as they are written, with what pydantic checks but does not say."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> dict[str, Any]:
        least = schema.get("ge", schema.get("gt"))
        sign = "" if least is not None and least >= 0 else "-?"
        forms = _decimals(schema.get("max_digits"), schema.get("decimal_places"))
        return {"type": "string", "pattern": f"^{sign}(?:{'|'.join(forms)})$"}

    def set_schema(self, schema: core_schema.SetSchema) -> dict[str, Any]:
        return _with_repeats(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> dict[str, Any]:
        return _with_repeats(super().frozenset_schema(schema))

    def dict_schema(self, schema: core_schema.DictSchema) -> dict[str, Any]:
        written = super().dict_schema(schema)
        values = written.get("additionalProperties", True)
        match schema.get("keys_schema"):
            case {"type": "int"}:
                written["patternProperties"] = {"^-?[1-9][0-9]{0,17}$": values}
            case {"type": "literal", "expected": names} if all(isinstance(n, str) for n in names):
                written["properties"] = dict.fromkeys(names, values)
                written.pop("propertyNames", None)
            case _:
                return written
        return {**written, "additionalProperties": False}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> dict[str, Any]:
        written = super().datetime_schema(schema)
        zone = schema.get("tz_constraint")
        if written.get("format") == "date-time" and zone in ("naive", "aware"):
            written["format"] = f"date-time-{zone}"
        return written

    def url_schema(self, schema: core_schema.UrlSchema) -> dict[str, Any]:
        written = super().url_schema(schema)
        if schemes := schema.get("allowed_schemes"):
            written["pattern"] = (
                f"^(?:{'|'.join(schemes)})://{_HOST}(?::[0-9]{{1,4}})?(?:/[!-~]*)?$"
            )
        return written


def _decimals(digits: int | None, places: int | None) -> Iterator[str]:
    """Patterns for a decimal of at most so many digits, and so many after the point."""
    splits = [(whole, digits - whole) for whole in range(digits + 1)] if digits else []
    if digits is None or places is not None:
        after = 9 if places is None else places
        splits = [(18 if digits is None else max(digits - after, 0), after)]
    for before, after in splits:
        whole = f"(?:0|[1-9][0-9]{{0,{before - 1}}})" if before else "0"
        fraction = rf"(?:\.[0-9]{{1,{after}}}){'?' if before else ''}" if after else ""
        yield whole + fraction


def _with_repeats(schema: dict[str, Any]) -> dict[str, Any]:
    """A set's schema: what stands twice is taken once."""
    return {key: value for key, value in schema.items() if key != "uniqueItems"}


def _is_finite(plain: Any) -> bool:
    if isinstance(plain, float):
        return math.isfinite(plain)
    items = plain.values() if isinstance(plain, Mapping) else plain
    return not isinstance(items, Iterable) or isinstance(items, str) or all(map(_is_finite, items))


def _composed(text: str) -> str:
    """The one of its Unicode forms in which a letter and its marks are one character."""
    return unicodedata.normalize("NFC", text)


def _bare(annotation: Any) -> Any:
    """The type without a name of its own (`type Family = ...`) and without metadata."""
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    return annotation


def _closed_values(annotation: Any) -> list[Any]:
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return list(get_args(annotation))
    if origin in (Union, UnionType):  # Literal["a"] | Literal["b"]
        parts = [_closed_values(part) for part in get_args(annotation)]
        return [value for part in parts for value in part] if all(parts) else []
    if annotation is bool:
        return [True, False]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return list(annotation)
    return []


def first_reason(error: ValidationError) -> str:
    """The first thing pydantic found wrong, in one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    shown = f" (got {shorten(first['input'])})" if where else ""
    return f"{where}: {first['msg']}{shown}" if where else first["msg"]
