"""Formats of generated answers: JSON Schemas that a model can follow to the end of its answer.

A schema describes valid answers. A model that writes under it must also come to an end, and meet
checks of pydantic beyond the schema, so the schema is narrowed a little (`narrowed`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from promptkit.prompts import number_patterns
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """Format that a generated answer must have."""

    kind: Literal["json", "text"]
    """"json" for an answer that is a JSON value, "text" for plain text."""
    schema: str
    """JSON Schema of the value, or of the text as one string, written as JSON."""

    @classmethod
    def of(cls, kind: Literal["json", "text"], schema: Any) -> AnswerFormat:
        """Return a format from a schema; answers have their properties in the schema's order."""
        return cls(kind, json.dumps(schema, ensure_ascii=False))


_DIGITS = r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,21})?"
FLOAT = {
    "type": "string",
    "pattern": f"^-?{_DIGITS}(?:[eE](?:[+]?[0-9]{{1,2}}|-[0-9]{{1,3}}))?$",
}
"""A finite number as text, in at most as many digits as one can hold."""

_BOUNDS = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")

_MOST = 10**18
"""The largest whole number, so that a model cannot go on with digits for ever."""

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_SECONDS = r"[0-9]{1,2}(?:\.[0-9]{1,6})?S"
_MINUTES = f"[0-9]{{1,2}}M(?:{_SECONDS})?"
_CLOCK = f"T(?:[0-9]{{1,2}}H(?:{_MINUTES}|{_SECONDS})?|{_MINUTES}|{_SECONDS})"
_DAYS = "(?:[0-9]{1,4}Y(?:[0-9]{1,8}D)?|[0-9]{1,8}D)"
_HEX = "[0-9a-f]"
_NAME = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"

_FORMATS = {
    "date": _DATE,
    "time": f"{_TIME}{_ZONE}?",
    "date-time": f"{_DATE}T{_TIME}{_ZONE}?",
    "date-time-naive": f"{_DATE}T{_TIME}",
    "date-time-aware": f"{_DATE}T{_TIME}{_ZONE}",
    "duration": f"-?P(?:{_DAYS}(?:{_CLOCK})?|{_CLOCK})",
    "email": rf"[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*@(?:{_NAME}\.)+[A-Za-z]{{2,12}}",
    "hostname": rf"{_NAME}(?:\.{_NAME})*",
    "uri": "[A-Za-z][A-Za-z0-9+.-]*:[!-~]+",
    "uuid": f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}",
    **{
        f"uuid{version}": (
            f"{_HEX}{{8}}-{_HEX}{{4}}-{version}{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}"
        )
        for version in range(1, 9)
    },
}
"""Formats as pydantic writes and reads them; the calendar's rules are part of a date's.

Those of the grammar library accept more than pydantic reads: 29 February of every year, leap
seconds, durations and fractions of any length.
"""

_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_LISTED = ("prefixItems", "anyOf", "oneOf", "allOf")
_SINGLE = ("items", "additionalItems", "additionalProperties")
_REMARKS = ("title", "description", "default", "examples", "deprecated")
_OF_OBJECTS = {"properties", "required", "additionalProperties", "patternProperties"}


def parts(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the direct subschemas of a schema, each after its path."""
    if not isinstance(schema, Mapping):
        return
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            yield from ((f"{key}.{name}", part) for name, part in value.items())
        elif key in (*_LISTED, "items") and isinstance(value, list):
            yield from ((f"{key}[{index}]", part) for index, part in enumerate(value))
        elif key in _SINGLE:
            yield key, value


def as_ordered(value: Any, schema: Any, *, filled: bool = False) -> Any:
    """Return a value with the keys of its objects in the schema's order.

    Args:
        value: A JSON value.
        schema: The schema that the value fits.
        filled: Add the defaults of properties that the value leaves out.
    """

    def order(value: Any, part: Any) -> Any:
        if not isinstance(value, dict | list):
            return value
        part = followed(part, schema)
        for key in ("anyOf", "oneOf", "allOf"):
            for branch in (followed(one, schema) for one in part.get(key, ())):
                value = order(value, branch) if _may_be(value, branch) else value
        if isinstance(value, list):
            first = part.get("prefixItems", ())
            rest = [part.get("items")] * (len(value) - len(first))
            return [*map(order, value, (*first, *rest))]
        named = part.get("properties", {})
        if filled:
            given = {k: v for k, v in named.items() if isinstance(v, Mapping)}
            value = {**{k: v["default"] for k, v in given.items() if "default" in v}, **value}
        keys = [*(k for k in named if k in value), *(k for k in value if k not in named)]
        others = part.get("additionalProperties")
        return {key: order(value[key], named.get(key, others)) for key in keys}

    return order(value, schema)


def _may_be(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether an object has a schema's properties and constants; true for lists."""
    if isinstance(value, list):
        return True
    named = schema.get("properties", {})
    constants = {k: v["const"] for k, v in named.items() if isinstance(v, Mapping) and "const" in v}
    return set(schema.get("required", ())) <= value.keys() <= named.keys() and all(
        value.get(key, constant) == constant for key, constant in constants.items()
    )


_DATA = ("const", "enum", "default", "examples")


def unfollowed(schema: Any) -> str | None:
    """Return the reason why a reference cannot be followed; None where all of them can."""
    for reference in _references(schema, named=False):
        seen = set()
        while isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            found = _target(schema, reference)
            if found is None:
                return tr(
                    "the $ref {reference!r:.100} cannot be followed: it has to be a part of "
                    "this schema, such as '#/$defs/NAME'",
                    reference=reference,
                )
            reference = found[0].get("$ref") if isinstance(found[0], Mapping) else None
        if reference in seen:
            return tr("the $ref {reference!r:.100} leads back to itself", reference=reference)
    return None


def _references(schema: Any, *, named: bool) -> Iterator[Any]:
    """Yield all references; `named` is true below `properties`, where keys are names."""
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part, named=False)
    elif isinstance(schema, Mapping):
        for key, part in schema.items():
            if key == "$ref" and not named:
                yield part
            elif named or key not in _DATA:
                yield from _references(part, named=key in _NAMED and not named)


def followed(part: Any, schema: Any) -> Mapping[str, Any]:
    """Return a part of a schema behind its references; an empty one where they lead nowhere."""
    while isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
        part = (_target(schema, part["$ref"]) or ({},))[0]
    return part if isinstance(part, Mapping) else {}


def _target(schema: Any, reference: str) -> tuple[Any] | None:
    """Return the target of a reference, in a tuple; None where it is no part of the schema."""
    base, _, pointer = reference.partition("#")
    if base and base != schema.get("$id", "").partition("#")[0]:
        return None
    if pointer and not pointer.startswith("/"):
        anchored = (part for part in _all(schema) if isinstance(part, Mapping))
        found = next((part for part in anchored if part.get("$anchor") == pointer), None)
        return None if found is None else (found,)
    for step in unquote(pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, Mapping) and name in schema:
            schema = schema[name]
        elif isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        else:
            return None
    return (schema,)


def literals(schema: Any) -> Iterator[str]:
    """Yield the texts that an answer under a schema may have to contain, as JSON writes them."""
    if isinstance(schema, Mapping):
        named = [*schema.get("properties", ()), *schema.get("required", ())]
        constant = [schema["const"]] if "const" in schema else []
        for value in (*named, *constant, *schema.get("enum", ())):
            yield json.dumps(value, ensure_ascii=False)
        for _, part in parts(schema):
            yield from literals(part)


def narrowed(schema: Any) -> Any:
    """Return a narrower schema for writing an answer: `schema` allows whatever it allows.

    Whole numbers are bounded. An object whose schema does not mention additional properties has
    none. Known formats become patterns; unknown ones are left to validation.
    """
    closed = not any(_joins(part) for part in _all(schema))

    def change(part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        part = {k: v for k, v in _changed(part, change).items() if k not in _REMARKS}
        _spell_format(part)
        _spell_names(part, schema)
        _bound_number(part)
        if closed and "properties" in part:
            required = part.get("required", ())
            if "patternProperties" not in part and set(required) <= set(part["properties"]):
                part.setdefault("additionalProperties", False)
        return part

    return change(schema)


def _changed(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a copy with each direct subschema changed."""
    copy = dict(schema)
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            copy[key] = {name: change(part) for name, part in value.items()}
        elif key in (*_LISTED, "items") and isinstance(value, list):
            copy[key] = [change(part) for part in value]
        elif key in _SINGLE:
            copy[key] = change(value)
    return copy


def _all(schema: Any) -> Iterator[Any]:
    yield schema
    for _, part in parts(schema):
        yield from _all(part)


def _joins(schema: Any) -> bool:
    """Return whether a value must fit several schemas at once, so that none may be closed."""
    if not isinstance(schema, Mapping):
        return False
    if "allOf" in schema or ("oneOf" in schema and "discriminator" not in schema):
        return True
    return bool({"anyOf", "oneOf", "$ref"} & schema.keys() and _OF_OBJECTS & schema.keys())


def _spell_format(schema: dict[str, Any]) -> None:
    name = schema.get("format")
    if not isinstance(name, str) or name in ("ipv4", "ipv6"):
        return  # the grammar library's own definition of these two fits
    del schema["format"]
    if name in _FORMATS:
        schema.setdefault("pattern", f"^(?:{_FORMATS[name]})$")


def _spell_names(part: dict[str, Any], schema: Any) -> None:
    """Replace `propertyNames` by the properties or patterns that it allows."""
    names = part.get("propertyNames")
    if not isinstance(names, Mapping) or {"properties", "patternProperties"} & part.keys():
        return
    if isinstance(names.get("$ref"), str):
        names = (_target(schema, names["$ref"]) or ({},))[0]
    values = part.get("additionalProperties", True)
    spelled = {k: v for k, v in names.items() if k not in (*_REMARKS, "type")}
    _spell_format(spelled)
    match spelled:
        case {"enum": [*known], **rest} if not rest and all(isinstance(n, str) for n in known):
            part["properties"] = dict.fromkeys(known, values)
        case {"const": str(name), **rest} if not rest:
            part["properties"] = {name: values}
        case {"pattern": str(pattern), **rest} if not rest:
            part["patternProperties"] = {pattern: values}
        case {} if not spelled:
            del part["propertyNames"]
            return
        case _:
            return
    del part["propertyNames"]
    part["additionalProperties"] = False


def _bound_number(schema: dict[str, Any]) -> None:
    named = schema.get("type")
    kinds = {named} if isinstance(named, str) else set(named or ())
    if {"const", "enum"} & schema.keys() or not kinds & {"integer", "number"}:
        return
    least, most = (_bound(schema, *names) for names in _BOUNDS)
    # Numbers without bounds may have an exponent, with which they stay as they are.
    if "number" in kinds and least is most is None:
        return
    if (least is None and (most is None or most > -_MOST)) or (least or 0) < -_MOST:
        schema["minimum"] = -_MOST
    if (most is None and (least is None or least < _MOST)) or (most or 0) > _MOST:
        schema["maximum"] = _MOST


def floats(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of the texts that a float is written as; None for one with more to it.

    A grammar of JSON bounds a number but not its digits, so that numbers between bounds are texts.
    """
    if schema == {"type": "number"}:
        return FLOAT
    known = {"type", *_REMARKS, *_BOUNDS[0], *_BOUNDS[1]}
    least, most = (_bound(schema, *names) for names in _BOUNDS)
    if schema.get("type") != "number" or schema.keys() - known or least is most is None:
        return None
    if any({*names} <= schema.keys() for names in _BOUNDS):
        return None
    above, below = (names[1] in schema for names in _BOUNDS)
    pattern = number_patterns.between(least, most, above=above, below=below)
    return None if pattern is None else {"type": "string", "pattern": pattern}


def _bound(schema: Mapping[str, Any], *keys: str) -> float | None:
    found = [schema[key] for key in keys if isinstance(schema.get(key), int | float)]
    return next((value for value in found if not isinstance(value, bool)), None)
