"""The JSON Schema of a pydantic type's values as they are written in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from promptkit.files.json_values import written

_HOST = "(?:[a-z0-9]+(?:-[a-z0-9]+)*\\.)*[a-z][a-z0-9]*"  # no address


class WrittenSchema(GenerateJsonSchema):
    """The JSON Schema of values as they are written, with what pydantic checks but does not say."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        # A saved schema has to say what an answer that leaves a field out stands for.
        if "default_factory" in schema and not schema.get("default_factory_takes_data"):
            return schema["default_factory"]()  # type: ignore[call-arg]
        return super().get_default_value(schema)

    def encode_default(self, dft: Any) -> Any:
        return written(dft)

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
                written["patternProperties"] = {"^(?:0|-?[1-9][0-9]{0,17})$": values}
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
    """Return a set's schema, which allows repeated items: they are merged."""
    return {key: value for key, value in schema.items() if key != "uniqueItems"}
