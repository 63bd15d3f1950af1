"""How an output type is written in a prompt, asked of a model, and read back.

`Literal`, `Enum` and `bool` are closed: their values are labels, which a model scores. Every
other type is generated as text and validated: `str` as it stands, `int` and `float` from their
digits, anything else from JSON.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from promptkit.errors import TaskError, shorten


@dataclass(frozen=True)
class OutputType:
    """The output type of a task."""

    annotation: Any

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
            if label in values:
                raise TaskError(f"label {label!r} stands for both {values[label]!r} and {value!r}")
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

    def text(self, value: Any) -> str:
        """A value as a prompt writes it."""
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, BaseModel):
            return value.model_dump_json()
        if isinstance(value, str | int | float):
            return str(value)
        return json.dumps(self._adapter.dump_python(value, mode="json"), ensure_ascii=False)

    def plain(self, value: Any) -> Any:
        """A value as JSON can hold it."""
        if self.values:
            return value if isinstance(value, int | str) else self.text(value)
        return self._adapter.dump_python(value, mode="json")

    def parse(self, text: str) -> Any:
        """The value that `text` writes. Raises ValueError, saying what is wrong with it."""
        if self.values:
            if text in self.values:
                return self.values[text]
            raise ValueError(self._not_a_label(text))
        if self.annotation is str:
            return text
        try:
            if self.annotation in (int, float):
                return self._adapter.validate_strings(text)
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None

    def validate(self, value: Any) -> Any:
        """`value` as the type has it: a label or a value of the type. Raises ValueError."""
        if self.values:
            if isinstance(value, str) and not isinstance(value, Enum) and value in self.values:
                return self.values[value]
            known = [v for v in self.values.values() if v == value and type(v) is type(value)]
            if known:
                return known[0]
            raise ValueError(self._not_a_label(value))
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None

    def _not_a_label(self, value: Any) -> str:
        close = difflib.get_close_matches(str(value), self.labels, n=1)
        shown = ", ".join(self.labels[:12]) + (", …" if len(self.labels) > 12 else "")
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"not one of the labels ({shown}){hint}"

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)


def _closed_values(annotation: Any) -> list[Any]:
    annotation = getattr(annotation, "__value__", annotation)  # type Family = Literal[...]
    origin = get_origin(annotation)
    if origin is Annotated:
        return _closed_values(get_args(annotation)[0])
    if origin is Literal:
        return list(dict.fromkeys(get_args(annotation)))
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
