"""Fields of outputs that are records, and their judgement one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptkit.errors import TaskError
from promptkit.files.json_values import value_key
from promptkit.prompts.answer_format import followed
from promptkit.tasks.output_type import OutputType
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class OutputField:
    """A field of an output."""

    name: str
    """Its name, as answers write it."""
    default: Any = None
    """Its value in an answer that leaves it out."""
    is_list: bool = False
    values: tuple[Any, ...] = ()
    """All values that it can have, as JSON has them; empty where they are not a closed set."""


def output_fields(output: OutputType) -> tuple[OutputField, ...]:
    """Return the fields of an output type, by its JSON Schema; none for what is no record."""
    try:
        schema = None if output.labels or output.is_text else output.written_schema
    except TaskError:
        return ()
    record = followed(schema, schema)
    properties = record.get("properties")
    if not isinstance(properties, Mapping):
        return ()
    return tuple(
        OutputField(
            name,
            part.get("default") if isinstance(part, Mapping) else None,
            _is_list(followed(part, schema), schema),
            _closed(part, schema),
        )
        for name, part in properties.items()
    )


def right_fields(
    fields: Sequence[OutputField], said: Any, gold: Any, within: Mapping[str, float]
) -> dict[str, bool]:
    """Return which fields of an answer are right.

    Args:
        fields: The fields.
        said: The answer, as JSON has it; None where there is none.
        gold: The gold output, as JSON has it.
        within: For fields that are numbers: the distance up to which one is right, by name.
    """
    return {
        one.name: isinstance(said, Mapping)
        and _same(value_of(said, one), value_of(gold, one), within.get(one.name, 0.0))
        for one in fields
    }


def set_f1(said: Any, gold: Any) -> float:
    """Return the F1 of the items of a list against those of the gold list, as sets.

    Args:
        said: The list; anything else counts as an empty one.
        gold: The gold list, likewise.

    Example:
        >>> set_f1(["a", "b"], ["b", "a", "c"])
        0.8
    """
    ours, theirs = (
        {value_key(item) for item in items} if isinstance(items, list | tuple) else set()
        for items in (said, gold)
    )
    if not ours and not theirs:
        return 1.0
    return 2 * len(ours & theirs) / (len(ours) + len(theirs))


def field_measures(
    fields: Sequence[OutputField], right: Mapping[str, bool], said: Any, gold: Any
) -> dict[str, float]:
    """Return the measures of a record: `field.NAME`, `f1.NAME` of lists, and `fields_micro`.

    Args:
        fields: The fields.
        right: Which of them are right.
        said: The answer, as JSON has it; None where there is none.
        gold: The gold output, as JSON has it.
    """
    measures = {f"field.{name}": float(is_right) for name, is_right in right.items()}
    for one in fields:
        if one.is_list:
            is_record = isinstance(said, Mapping)
            f1 = set_f1(value_of(said, one), value_of(gold, one)) if is_record else 0.0
            measures[f"f1.{one.name}"] = f1
    if len(right) > 1:
        measures["fields_micro"] = sum(right.values()) / len(right)
    return measures


def check_names(key: str, names: Collection[str], fields: Sequence[OutputField]) -> None:
    """Raise `TaskError` where names are not those of fields."""
    known = [one.name for one in fields]
    for name in names:
        if name not in known:
            listed = (
                tr("choose from: {known}", known=", ".join(known))
                if known
                else tr("the output has no fields")
            )
            raise TaskError(
                tr("{key}: unknown field {name!r}; {listed}", key=key, name=name, listed=listed)
            )


def value_of(record: Any, one: OutputField) -> Any:
    """Return the value of a field in a record; its default where the record leaves it out."""
    return record.get(one.name, one.default) if isinstance(record, Mapping) else None


def _same(said: Any, gold: Any, within: float) -> bool:
    if within and _is_number(said) and _is_number(gold):
        return bool(abs(said - gold) <= within)
    return value_key(said) == value_key(gold)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _closed(part: Any, root: Any) -> tuple[Any, ...]:
    """Return all values that a schema allows; none where they are not a closed set."""
    schema = followed(part, root)
    if "enum" in schema:
        return tuple(schema["enum"])
    if "const" in schema:
        return (schema["const"],)
    if schema.get("type") == "boolean":
        return (True, False)
    if schema.get("type") == "null":
        return (None,)
    options = [_closed(option, root) for option in schema.get("anyOf", ())]
    values = {value_key(value): value for option in options for value in option}
    return tuple(values.values()) if all(options) and len(values) > 1 else ()


def _is_list(schema: Mapping[str, Any], root: Any) -> bool:
    """Return whether a schema allows lists, perhaps beside null."""
    options = [followed(part, root) for part in schema.get("anyOf", ())]
    return any(part.get("type") == "array" for part in (schema, *options))
