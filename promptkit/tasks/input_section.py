"""Types of the fields of an input, as `[input]` of `task.toml` names them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictFloat, StrictInt, StrictStr

TypeName = Literal["str", "int", "float", "bool"]
Scalar = StrictStr | StrictInt | StrictFloat
TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
FieldType = Literal[
    "str", "int", "float", "bool", "list[str]", "list[int]", "list[float]", "list[bool]"
]
FIELD_TYPES: dict[str, Any] = TYPES | {f"list[{name}]": list[kind] for name, kind in TYPES.items()}  # type: ignore[valid-type]


class Section(BaseModel):
    """A table of `task.toml`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )


class FieldSection(Section):
    """A field of an input whose column has another name: `{ type = "str", column = "Title" }`."""

    type: FieldType | Literal["options"] | list[Scalar]
    """str, int, float, bool, a list of one of these (list[str]), options, or a list of allowed
    values."""
    column: str
    """The column that holds the field, in any spelling."""


class OptionsSection(Section):
    """Options in a column each: `{ type = "options", columns = ["A", "B", "C", "D"] }`."""

    type: Literal["options"]
    """Options: the output is one of them."""
    columns: list[str] = Field(min_length=2)
    """The columns, in order; a row leaves the last ones empty where it has fewer options."""


class RecordSection(RootModel[dict[str, "FieldType | list[Scalar] | RecordSection | Records"]]):
    """A record as a field, `[input.author]`, with the types of its own fields."""


Records = Annotated[list[RecordSection], Field(min_length=1, max_length=1)]
"""A list of records as a field, `[[input.turns]]`: the types of one record's fields."""

Kind = (
    FieldType
    | Literal["options"]
    | list[Scalar]
    | FieldSection
    | OptionsSection
    | RecordSection
    | Records
)


def kind_of(field: Any) -> Any:
    """Return the type of a field as JSON has it."""
    if isinstance(field, FieldSection | OptionsSection):
        return field.type
    if isinstance(field, RecordSection):
        return {name: kind_of(inner) for name, inner in field.root.items()}
    return [*map(kind_of, field)] if isinstance(field, list) else field


def columns_of(name: str, field: Any) -> str | list[str]:
    """Return the column of a field, or those of its options."""
    if isinstance(field, OptionsSection):
        return field.columns
    return field.column if isinstance(field, FieldSection) else name
