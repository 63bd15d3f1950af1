"""Rules of a JSON Schema in the language of llguidance.

The library compiles schemas itself, but gives no end to the digits of their floats, and leaves out
some numbers between two bounds. So values around floats have rules of their own, down to the
floats, which are regular expressions (`promptkit.prompts.number_patterns`). All else is left to the
library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptkit.models.runtime.searched_pattern import searched
from promptkit.prompts.answer_format import floats, followed, parts, unfollowed

_STYLE = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""White space as `json.dumps` writes it, or none: never so much that it has no end."""

_COMMA, _COLON = "/, ?/", "/: ?/"
_DEFINITIONS = ("$defs", "definitions")
_OBJECT = {"type", "properties", "required", "additionalProperties", *_DEFINITIONS}
_ARRAY = {"type", "items", "minItems", "maxItems", *_DEFINITIONS}
_UNION = {"anyOf", *_DEFINITIONS}
_REFERENCE = {"$ref", *_DEFINITIONS}
_STRING = {"type": "string"}


def rules(schema: Any) -> list[str]:
    """Return the rules of a JSON Schema, of which that of its values is named `value`."""
    if isinstance(schema, bool):
        schema = {} if schema else {"enum": []}
    made = _JsonRules(schema)
    if unfollowed(schema):  # the library's errors say why
        return [f"value: {made.by_library(schema)}"]
    made.add(schema, "value")
    return made.lines


class _JsonRules:
    """The rules of a schema and its parts."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.lines: list[str] = []
        self._schema = schema
        self._references: dict[str, str] = {}
        """Names of the rules of references, some of which lead back to themselves."""

    def add(self, part: Any, name: str) -> str:
        """Add the rule of a part of the schema, and return its name."""
        line = len(self.lines)
        self.lines.append("")
        self.lines[line] = f"{name}: {self._body(part)}"
        return name

    def _rule(self, part: Any) -> str:
        return self.add(part, f"value_{len(self.lines)}")

    def _body(self, part: Any) -> str:
        if not self._has_float(part):
            return self.by_library(part)
        if (text := floats(part)) is not None:
            return searched(text["pattern"])
        keys, kinds = part.keys(), part.get("type")
        if keys <= _REFERENCE:
            return self._reference(part["$ref"])
        if keys <= _UNION:
            return " | ".join(map(self._rule, part["anyOf"]))
        if isinstance(kinds, list) and not {"anyOf", "oneOf", "allOf", "enum", "const"} & keys:
            return " | ".join(self._rule({**part, "type": kind}) for kind in kinds)
        if kinds == "array" and keys <= _ARRAY and isinstance(part.get("items"), Mapping):
            return self._array(part)
        if kinds == "object" and keys <= _OBJECT:
            others = part.get("additionalProperties", True)
            if others is False and {*part.get("required", ())} <= part["properties"].keys():
                return self._record(part)
            if (
                isinstance(others, Mapping)
                and not part.get("properties")
                and "required" not in keys
            ):
                return self._mapping(others)
        return self.by_library(part)

    def by_library(self, part: Any) -> str:
        """Return the library's own rule of a part."""
        if isinstance(part, bool):
            part = {} if part else {"enum": []}
        known = {key: self._schema[key] for key in _DEFINITIONS if key in self._schema}
        return f"%json {json.dumps({**known, **part, 'x-guidance': _STYLE})}"

    def _reference(self, reference: str) -> str:
        if reference not in self._references:
            name = self._references[reference] = f"value_{len(self.lines)}"
            self.add(followed({"$ref": reference}, self._schema), name)
        return self._references[reference]

    def _array(self, part: Mapping[str, Any]) -> str:
        item, least, most = self._rule(part["items"]), part.get("minItems", 0), part.get("maxItems")
        if most == 0:
            return '"[" "]"'
        rest = f"({_COMMA} {item}){{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        return f'"[" ({item} {rest}){"" if least else "?"} "]"'

    def _record(self, part: Mapping[str, Any]) -> str:
        required = {*part.get("required", ())}
        items = [
            (f"{_literal(json.dumps(name, ensure_ascii=False))} {_COLON} {self._rule(value)}", name)
            for name, value in part["properties"].items()
        ]
        firsts = []
        for index, (item, name) in enumerate(items):
            firsts.append(" ".join([item, *_behind(items[index + 1 :], required)]))
            if name in required:
                break
        return f'"{{" ({" | ".join(firsts)}){"" if required else "?"} "}}"'

    def _mapping(self, values: Mapping[str, Any]) -> str:
        pair = f"{self._rule(_STRING)} {_COLON} {self._rule(values)}"
        return f'"{{" ({pair} ({_COMMA} {pair})*)? "}}"'

    def _has_float(self, part: Any, seen: frozenset[str] = frozenset()) -> bool:
        """Return whether a value of a part may contain a float."""
        if not isinstance(part, Mapping):
            return False
        reference = part.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            return self._has_float(followed(part, self._schema), seen | {reference})
        kinds = part.get("type")
        return "number" in (kinds if isinstance(kinds, list) else [kinds]) or any(
            self._has_float(inner, seen)
            for name, inner in parts(part)
            if not name.startswith(_DEFINITIONS)
        )


def _behind(items: Sequence[tuple[str, str]], required: set[str]) -> Iterator[str]:
    """Yield the properties that follow another one."""
    for item, name in items:
        yield f"({_COMMA} {item}){'' if name in required else '?'}"


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
