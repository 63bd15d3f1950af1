"""Output types: how values are written in prompts, asked of a model, and parsed.

`Literal`, `Enum` and `bool` are closed: their values are labels, which a model scores; so are lists
of them that are marked with `ManyLabels`. Every other type is generated as text and validated:
`str` as it stands, `int` and `float` from their digits, anything else from JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError, WithJsonSchema
from pydantic.errors import PydanticInvalidForJsonSchema

from promptkit.errors import TaskError, shorten
from promptkit.files.json_values import (
    confuses_booleans,
    is_finite,
    literal,
    unwrapped,
    value_key,
    written,
)
from promptkit.prompts.answer_format import AnswerFormat, as_ordered, floats, narrowed, unfollowed
from promptkit.tasks import label_sets
from promptkit.tasks.digits import plain_number
from promptkit.tasks.json_schema import WrittenSchema
from promptkit.tasks.label_texts import equals, label_texts, written_otherwise
from promptkit.tasks.pydantic_messages import first_reason
from promptkit.text import did_you_mean, first_names
from promptkit.translation import tr


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
        for value in self._closed:
            label = _label(value)
            if not label or label != label.strip():
                raise TaskError(
                    tr(
                        "label {label!r}: a label is not empty and has no white space around it "
                        "(the space in front of an answer comes from the template)",
                        label=label,
                    )
                )
            before = values.get(label, value)
            if before != value or type(before) is not type(value):
                raise TaskError(
                    tr(
                        "label {label!r} stands for both {before!r} and {value!r}",
                        label=label,
                        before=before,
                        value=value,
                    )
                )
            values[label] = value
        return values

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the type; empty for a type that is generated."""
        return tuple(self.values)

    @cached_property
    def items(self) -> OutputType | None:
        """The type of one label, where outputs are lists of labels (`ManyLabels`); else None.

        Raises `TaskError` for a mark on anything but a list of labels.
        """
        annotation = getattr(self.annotation, "__value__", self.annotation)
        if not any(map(label_sets.is_mark, get_args(annotation)[1:])):
            return None
        kind = _bare(annotation)
        items = OutputType(get_args(kind)[0]) if get_origin(kind) is list else None
        if items is None or not items.labels:
            raise TaskError(
                tr(
                    "ManyLabels marks a list of labels, such as list[Literal['a', 'b']], not "
                    "{kind!r}",
                    kind=kind,
                )
            )
        label_sets.check_labels(items.labels)
        return items

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the type. Raises `TaskError` where it has none."""
        if self._given is not None:
            return self._given
        try:
            return self._adapter.json_schema()
        except (KeyError, ValueError, PydanticInvalidForJsonSchema) as error:
            reason = str(error).splitlines()[0]
            raise TaskError(
                tr("the output type has no JSON Schema: {reason}", reason=reason)
            ) from None

    @cached_property
    def written_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of outputs as they are written; None for a type that has none.

        Raises `TaskError` for a reference that cannot be followed.
        """
        try:
            schema = self._given
            if schema is None:
                schema = self._adapter.json_schema(schema_generator=WrittenSchema)
        except PydanticInvalidForJsonSchema:  # left to validation
            return None
        except (KeyError, ValueError) as error:
            raise TaskError(
                tr("the output type has no JSON Schema: {error}", error=error)
            ) from None
        if reason := unfollowed(schema):
            raise TaskError(tr("the output's JSON Schema: {reason}", reason=reason))
        return schema

    @cached_property
    def _given(self) -> dict[str, Any] | None:
        """The JSON Schema that stands in the annotation, for the whole of the output."""
        annotation = getattr(self.annotation, "__value__", self.annotation)
        found = [data for data in get_args(annotation)[1:] if isinstance(data, WithJsonSchema)]
        named = found and get_origin(annotation) is Annotated
        return found[-1].json_schema if named else None

    @cached_property
    def format(self) -> AnswerFormat | None:
        """The format of generated answers; None for labels and for unconstrained text.

        Raises `TaskError` for a schema that is nested too deeply.
        """
        if self.json_format is None:
            return None
        schema = self.written_schema or {}
        if self.is_text:
            constrained = {"pattern", "minLength", "maxLength"} & schema.keys()
            return AnswerFormat.of("text", schema) if constrained else None
        if _bare(self.annotation) is float and (text := floats(schema)) is not None:
            return AnswerFormat.of("text", text)
        return self.json_format

    @cached_property
    def json_format(self) -> AnswerFormat | None:
        """The format of generated answers in templates that write answers as JSON.

        None for labels, and for what has no schema. Raises `TaskError` like `format`.
        """
        try:
            schema = None if self.values or self.items else self.written_schema
            return AnswerFormat.of("json", narrowed(schema)) if schema is not None else None
        except RecursionError:
            raise TaskError(tr("the output's JSON Schema is nested too deeply")) from None

    @property
    def is_text(self) -> bool:
        """Return whether outputs are plain text."""
        return _bare(self.annotation) is str

    @property
    def is_number(self) -> bool:
        """Return whether outputs are numbers that are generated, and no labels."""
        return _bare(self.annotation) in (int, float)

    @cached_property
    def _closed(self) -> list[Any]:
        return _closed_values(self.annotation)

    @cached_property
    def _is_json(self) -> bool:
        """Return whether outputs are read as JSON, so that texts are quoted."""
        return not self._closed and _bare(self.annotation) not in (str, int, float)

    @cached_property
    def allows_null(self) -> bool:
        """Return whether None is a value of the type, not a missing output."""
        return self.allows(None)

    def allows(self, value: Any) -> bool:
        """Return whether a value is of the type without conversion."""
        try:
            return _is(self.validate(value), value)
        except Exception:  # of a validator of the user's too
            return False

    def text(self, value: Any) -> str:
        """Return a value as prompts write it."""
        if self.items is not None:
            return label_sets.joined(self.plain(value))
        return _label(value) if self._closed else self._text(self.form(value)[0])

    def _text(self, form: Any) -> str:
        return form if isinstance(form, str) and not self._is_json else literal(form)

    def as_json(self, value: Any) -> str:
        """A value as JSON writes it, on one line."""
        form = written(value) if self._closed else self.form(value)[0]
        return json.dumps(form, ensure_ascii=False)

    def plain(self, value: Any) -> Any:
        """A value as JSON can hold it: a label, or what its type reads."""
        if self.values:
            return value if self.annotation is bool else self.text(value)
        if self.items is not None:
            return [self.items.plain(label) for label in value]
        return self.form(value)[0]

    def form(self, value: Any) -> tuple[Any, bool]:
        """Return a value as an answer has it, and whether its type parses this to the same value.

        Raises `TaskError` for what JSON cannot hold.
        """
        if self.items is not None:
            return self.plain(value), True
        form, is_read = self._read_form(value)
        if isinstance(form, dict | list) and self.format is not None:
            return as_ordered(form, self._layout), is_read
        return form, is_read

    @cached_property
    def _layout(self) -> Any:
        return json.loads(self.format.schema) if self.format is not None else {}

    def _read_form(self, value: Any) -> tuple[Any, bool]:
        """A value as its type reads it: with the names of its fields, or as it serialises it."""
        if self._given is not None or self.annotation in (str, int, float):
            return written(value), True
        forms = []
        for write in (written, self._dumped):
            try:
                forms.append(write(value))
                again = write(self._read(self._text(forms[-1])))
                if again == forms[-1] or value_key(again) == value_key(forms[-1]):
                    return forms[-1], True
            except Exception:  # of a validator or a serializer of the user's
                continue
        if not forms:
            raise TaskError(
                tr("the output {value} cannot be written as JSON", value=shorten(value))
            )
        return forms[0], False

    def same(self, one: Any, other: Any) -> bool:
        """Return whether two outputs are the same answer: 1 equals 1.0, but not true."""
        if self.values:
            return self.text(one) == self.text(other)
        if self.key(one) == self.key(other):
            return True
        return bool(one == other) and not confuses_booleans(self.plain(one), self.plain(other))

    def key(self, value: Any) -> str:
        """Return a text that equal outputs share, and no others."""
        form = self.plain(value)
        if self.items is not None:  # whose order does not count
            form = sorted(form, key=str)
        if self._given is not None:  # a type fills its defaults in itself
            form = as_ordered(form, self._given, filled=True)
        return value_key(form)

    def parse(self, text: str, *, as_json: bool = False) -> Any:
        """The value that `text` writes, perhaps as JSON.

        Raises ValueError, saying what is wrong with it.
        """
        if self.values:
            # Spreadsheets and data frames write TRUE and True.
            return self.validate(text.lower() if _bare(self.annotation) is bool else text)
        if self.items is not None:
            return self.validate(text)
        value = self._read(text, as_json=as_json)
        if not is_finite(self.plain(value)):
            raise ValueError(tr("not a finite number"))
        return value

    def _read(self, text: str, *, as_json: bool = False) -> Any:
        text = plain_number(text) if self.is_number else text
        try:
            if self.is_text and not as_json:
                return self._adapter.validate_python(text)
            if _bare(self.annotation) in (int, float) and not as_json:
                return self._adapter.validate_strings(text)
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None

    def validate(self, value: Any) -> Any:
        """`value` as the type has it: a label or a value of the type. Raises ValueError."""
        if (items := self.items) is not None:
            return label_sets.validated(value, items.labels, items.validate, items.text)
        simple = value if isinstance(value, Enum) else unwrapped(value)
        if not self.values:
            if self.is_number and isinstance(simple, str):
                simple = plain_number(simple)
            try:
                return self._adapter.validate_python(simple)
            except ValidationError as error:
                raise ValueError(first_reason(error)) from None
        for known in self.values.values():
            if _is(value, known) or _is(value, unwrapped(known)):
                return known
        for text in () if isinstance(value, Enum) else label_texts(value):
            if text in self.values:
                return self.values[text]
        if type(simple) is str and (label := written_otherwise(simple, self.values)) is not None:
            return self.values[label]
        for known in self.values.values():
            if isinstance(known, float) and equals(simple, known):
                return known
        raise ValueError(self._not_a_label(simple))

    def _not_a_label(self, value: Any) -> str:
        if isinstance(value, bool | int | float):
            kind = tr("truth value") if isinstance(value, bool) else tr("number")
            return tr(
                "not one of the labels ({shown}), but the {kind} {literal}",
                shown=self._shown,
                kind=kind,
                literal=literal(value),
            )
        hint = did_you_mean(str(value), self.labels, lead="; ")
        return tr("not one of the labels ({shown}){hint}", shown=self._shown, hint=hint)

    @property
    def _shown(self) -> str:
        return first_names(self.labels)

    def _dumped(self, value: Any) -> Any:
        """A value as its type serialises it."""
        return self._adapter.dump_python(value, mode="json", by_alias=True)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)


def _is(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _label(value: Any) -> str:
    """The label of a value of a closed set. Raises `TaskError` for one without a text."""
    try:
        form = written(value)
    except ValueError:
        raise TaskError(
            tr("label {value}: no text, number or other JSON value", value=shorten(value))
        ) from None
    return form if isinstance(form, str) else literal(form)


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
