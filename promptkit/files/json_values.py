"""Values as JSON holds them.

An input is written as its type serialises it, since a prompt shows what pydantic would show. An
output is written as its type reads it, since a shot must be an answer that the model could give.
Sets have one order in either, whatever the process.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from promptkit.graphemes import composed
from promptkit.translation import tr

_SECRETS = (Secret, SecretStr, SecretBytes)
_SIMPLE = frozenset((str, int, float, bool))
_LISTS = (list, tuple, deque, set, frozenset)


class UnwritableError(ValueError):
    """An input that JSON cannot hold; `field` names the part of it."""

    def __init__(self, reason: str, field: str | None = None, value: object = None) -> None:
        self.field, self.value = field, value
        super().__init__(reason)


def plain(value: BaseModel) -> Mapping[str, Any]:
    """The fields of an input, as pydantic's JSON mode has them. Raises `UnwritableError`."""
    fields = value.__dict__
    kind = type(value)
    if _SIMPLE.issuperset(map(type, fields.values())) and _is_bare(kind, len(fields)):
        return fields  # the common case, and much faster than a dump
    try:
        dumped = value.model_dump(mode="json", by_alias=False)
        if isinstance(value, RootModel):
            return {"root": _settled(value.root, dumped)}
        if isinstance(dumped, dict):
            return {name: _settled(getattr(value, name, None), v) for name, v in dumped.items()}
    except ValueError as error:
        raise _located(value, error) from None
    raise UnwritableError(
        tr(
            "{name} is not written as fields, but as {dumped}",
            name=kind.__name__,
            dumped=type(dumped),
        )
    )


@lru_cache(maxsize=1024)
def _is_bare(kind: type[BaseModel], fields: int) -> bool:
    """Return whether a model's dump is its fields, which no serializer changes."""
    if kind.model_config.get("json_encoders") or kind.model_config.get("extra") == "allow":
        return False
    return len(kind.model_fields) == fields and not _serialises(kind.__pydantic_core_schema__)


def _serialises(schema: Any) -> bool:
    """Return whether serialisation by a core schema changes, adds or drops something."""
    if isinstance(schema, Mapping):
        found = ("serialization", "serialization_exclude", "serialization_exclude_if")
        if any(schema.get(key) for key in (*found, "computed_fields")):
            return True
        return any(map(_serialises, schema.values()))
    return isinstance(schema, list | tuple) and any(map(_serialises, schema))


def _settled(value: Any, dumped: Any) -> Any:
    """Return the dump of a value with its sets in order. Raises `UnwritableError` for a secret."""
    if isinstance(value, _SECRETS) and dumped == str(value):
        raise UnwritableError(
            tr(
                "a secret hides its value, and a prompt has to show it; use the plain "
                "type, or leave the field out with Field(exclude=True)"
            )
        )
    if isinstance(value, RootModel):
        return _settled(value.root, dumped)
    if isinstance(dumped, dict):
        if isinstance(value, Mapping) and len(value) == len(dumped):
            pairs = zip(value.values(), dumped.items(), strict=True)
            return {name: _settled(inner, item) for inner, (name, item) in pairs}
        return {name: _settled(getattr(value, name, None), v) for name, v in dumped.items()}
    if isinstance(dumped, list) and isinstance(value, _LISTS) and len(value) == len(dumped):
        items = [_settled(*pair) for pair in zip(value, dumped, strict=True)]
        return in_order(items) if isinstance(value, set | frozenset) else items
    return dumped


def _located(value: BaseModel, error: ValueError) -> UnwritableError:
    """The error with the field that it is about."""
    for name in type(value).model_fields:
        try:
            dumped = value.model_dump(mode="json", by_alias=False, include={name})
            _settled(getattr(value, name, None), dumped.get(name))
        except ValueError as found:
            return UnwritableError(_said(found), name, getattr(value, name, None))
    return UnwritableError(_said(error))


def _said(error: ValueError) -> str:
    if "utf-8" in str(error):
        return tr("bytes that are not UTF-8, which no prompt can show; decode them, or use base64")
    return str(error).removeprefix("Error serializing to JSON: ")


def written(value: Any, config: Mapping[str, Any] | None = None) -> Any:
    """A value with the names and in the form that its type reads.

    Serializers, computed fields and what is excluded do not count: a type reads none of them.
    Raises `ValueError` for what JSON cannot hold. `config` is that of the model around the value.
    """
    if type(value) in _SIMPLE or value is None:
        return value
    value = unwrapped(value)
    if isinstance(value, _SECRETS):
        return written(value.get_secret_value(), config)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return value.__int__() if isinstance(value, int) else value.__float__()
    if isinstance(value, RootModel):
        return written(value.root, value.model_config)
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(type(value)):
        return dict(_read_fields(value))
    if isinstance(value, Mapping):
        # A key is a text, as pydantic's JSON mode writes it.
        keys = [str(*to_jsonable_python({key: None})) for key in value]
        return {k: written(v, config) for k, v in zip(keys, value.values(), strict=True)}
    if isinstance(value, _LISTS):
        items = [written(item, config) for item in value]
        return in_order(items) if isinstance(value, set | frozenset) else items
    config = config or {}
    return to_jsonable_python(
        value,
        bytes_mode=config.get("val_json_bytes", "utf8"),
        timedelta_mode=config.get("ser_json_timedelta", "iso8601"),
    )


def unwrapped(value: Any) -> Any:
    """The value of an Enum's member, and Python's number for one of numpy's."""
    while isinstance(value, Enum):
        value = value.value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def in_order(items: Iterable[Any]) -> list[Any]:
    """Return the items of a set in an order that is the same in every process.

    Numbers come first, by value; everything else follows by its text.
    """

    def rank(item: Any) -> tuple[int, float, str]:
        if isinstance(item, int | float) and not isinstance(item, bool):
            return 0, item, ""
        return 1, 0, json.dumps(item, sort_keys=True, ensure_ascii=False, default=repr)

    return sorted(items, key=rank)


def _read_fields(value: Any) -> Iterator[tuple[str, Any]]:
    kind: Any = type(value)
    config = getattr(kind, "model_config", None)
    for name, key in _read_names(kind):
        if not hasattr(value, name):
            continue
        try:
            item = written(getattr(value, name), config)
        except ValueError:
            if not isinstance(value, BaseModel):
                raise
            # Only its own serializer knows how to write it.
            item = value.model_dump(mode="json", include={name}, by_alias=False)[name]
        yield key, item
    for key, item in (getattr(value, "__pydantic_extra__", None) or {}).items():
        yield key, written(item)


@lru_cache(maxsize=1024)
def _read_names(kind: Any) -> tuple[tuple[str, str], ...]:
    """The fields of a model or a dataclass, with the names by which they are read."""
    infos: Mapping[str, FieldInfo] = getattr(kind, "__pydantic_fields__", {})
    names = infos or [field.name for field in dataclasses.fields(kind)]
    return tuple((name, read_name(name, infos.get(name))) for name in names)


def read_name(name: str, info: FieldInfo | None) -> str:
    """The name by which a type reads a field, as its JSON Schema says it."""
    keys = (path[0] for path in alias_paths(info) if len(path) == 1)
    return next((key for key in keys if isinstance(key, str)), name)


def alias_paths(info: FieldInfo | None) -> list[list[str | int]]:
    """Return the paths of a field's validation aliases; empty without an alias."""
    alias = info.validation_alias if info is not None else None
    if isinstance(alias, str):
        return [[alias]]
    if isinstance(alias, AliasPath):
        return [alias.convert_to_aliases()]
    return alias.convert_to_aliases() if isinstance(alias, AliasChoices) else []


def is_finite(plain: Any) -> bool:
    if isinstance(plain, float):
        return math.isfinite(plain)
    items = plain.values() if isinstance(plain, Mapping) else plain
    return not isinstance(items, Iterable) or isinstance(items, str) or all(map(is_finite, items))


def literal(form: Any) -> str:
    return repr(form) if isinstance(form, float) else json.dumps(form, ensure_ascii=False)


def value_key(form: Any) -> str:
    """Return a text that equal JSON values share: 1 and 1.0 are equal, 1 and true are not.

    Texts are equal that differ in their normal form alone.
    """
    return json.dumps(_whole(form), sort_keys=True)


def _whole(form: Any) -> Any:
    if isinstance(form, str):
        return composed(form)
    if isinstance(form, float) and form.is_integer():
        return int(form)
    if isinstance(form, Mapping):
        return {key: _whole(item) for key, item in form.items()}
    return [_whole(item) for item in form] if isinstance(form, list | tuple) else form


def confuses_booleans(one: Any, other: Any) -> bool:
    """Return whether one value has a Boolean where the other has an equal number."""
    if isinstance(one, bool) != isinstance(other, bool):
        return isinstance(one, int | float) and isinstance(other, int | float)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return any(confuses_booleans(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return any(map(confuses_booleans, one, other))
    return False
