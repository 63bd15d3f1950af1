"""How an output type is written in a prompt, asked of a model, and read back.

`Literal`, `Enum` and `bool` are closed: their values are labels, which a model scores. Every
other type is generated as text and validated: `str` as it stands, `int` and `float` from their
digits, anything else from JSON.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

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
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float) or (isinstance(value, str) and not self._is_json):
            return str(value)
        return json.dumps(self._adapter.dump_python(value, mode="json"), ensure_ascii=False)

    def plain(self, value: Any) -> Any:
        """A value as JSON can hold it."""
        if self.values:
            return value if self.annotation is bool else self.text(value)
        return self._adapter.dump_python(value, mode="json")

    def parse(self, text: str) -> Any:
        """The value that `text` writes. Raises ValueError, saying what is wrong with it."""
        if self.values:
            # Spreadsheets and data frames write TRUE and True.
            label = text.lower() if _bare(self.annotation) is bool else text
            if label in self.values:
                return self.values[label]
            raise ValueError(self._not_a_label(text))
        try:
            if self.is_text:
                return self._adapter.validate_python(text)
            if _bare(self.annotation) in (int, float):
                return self._adapter.validate_strings(text)
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise ValueError(first_reason(error)) from None

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

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)


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
