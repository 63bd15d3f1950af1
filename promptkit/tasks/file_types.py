"""The input and output types that `task.toml` names, and the sections that name types."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, create_model

from promptkit.errors import MissingExtraError, TaskError, shorten
from promptkit.files.json_values import unwrapped, written
from promptkit.files.paths import MOST_TEXT, is_inside, read_bytes
from promptkit.prompts.answer_format import unfollowed
from promptkit.tasks.examples import RESERVED
from promptkit.tasks.file_numbers import bounded_type, bounds_of, is_scale, scale_type
from promptkit.tasks.generic_models import Recipe, Typed
from promptkit.tasks.input_section import FIELD_TYPES, TYPES
from promptkit.tasks.label_sets import ManyLabels
from promptkit.tasks.label_texts import label_texts, written_otherwise
from promptkit.tasks.options import Options, is_mark
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.task_file import OutputFieldSection, OutputSection, TaskFile
from promptkit.translation import tr


def input_type(spec: TaskFile, path: Path) -> type[BaseModel]:
    """The type that `[input]` describes. Raises `TaskError`."""
    if not spec.input:
        raise TaskError(tr("{path}: [input] names no field", path=path))
    for name, kind in spec.kinds.items():
        if not name.isidentifier() or name.startswith("_") or name in RESERVED:
            raise TaskError(
                tr(
                    "{path}: input.{name}: a field's name is letters, digits and underscores, "
                    "does not begin with one, and is not 'id' or 'output'; for a column of "
                    'this name write FIELD = {{ type = "str", column = {column} }}',
                    path=path,
                    name=name,
                    column=json.dumps(name, ensure_ascii=False),
                )
            )
        if name.startswith("model_") and hasattr(BaseModel, name):
            raise TaskError(
                tr(
                    "{path}: input.{name}: pydantic keeps this name; choose another",
                    path=path,
                    name=name,
                )
            )
        _check_kind(kind, f"{path}: input.{name}")
    return _input_model(json.dumps(spec.kinds))


def _check_kind(kind: Any, where: str) -> None:
    """Raise `TaskError` for a type without values, or a record whose fields have no names."""
    if not kind:
        is_record = isinstance(kind, dict)
        what = tr("record has no field") if is_record else tr("list of allowed values is empty")
        raise TaskError(tr("{where}: the {what}", where=where, what=what))
    if isinstance(kind, list) and isinstance(kind[0], dict):
        _check_kind(kind[0], where)
    for name, inner in kind.items() if isinstance(kind, dict) else ():
        if not name.isidentifier() or name.startswith("_") or hasattr(BaseModel, name):
            raise TaskError(
                tr(
                    "{where}.{name}: a field's name is letters, digits and underscores, does "
                    "not begin with one, and is none that pydantic keeps; choose another",
                    where=where,
                    name=name,
                )
            )
        _check_kind(inner, f"{where}.{name}")


class _Input(Typed):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, protected_namespaces=())


@lru_cache(maxsize=256)
def _input_model(fields: str) -> type[BaseModel]:
    """Return the type of fields given as JSON; equal fields have one type."""
    types: dict[str, Any] = {
        name: (_field_type(kind), ...) for name, kind in json.loads(fields).items()
    }
    with warnings.catch_warnings():
        # `json` or `copy` shadows a deprecated method of pydantic's, which nothing here calls.
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
        made = create_model("Input", __base__=_Input, **types)
    made.recipe = Recipe(_input_model, (fields,))
    return made


def _field_type(kind: Any) -> Any:
    """Return the type of a field, given as task.toml writes it."""
    if kind == "options":
        return Annotated[list[str], Options()]
    if isinstance(kind, str):
        return FIELD_TYPES[kind]
    if isinstance(kind, dict):
        return _input_model(json.dumps(kind))
    if isinstance(kind[0], dict):
        return list[_field_type(kind[0])]  # type: ignore[misc]
    return Annotated[Literal[tuple(kind)], BeforeValidator(_FromText(tuple(kind)))]


@dataclass(frozen=True)
class _FromText:
    """Takes the text of a value, or its number, for the value, as files of data frames have it."""

    values: tuple[str | int | float, ...]

    def __call__(self, value: Any) -> Any:
        if value in self.values:
            return value
        texts = {str(known): known for known in reversed(self.values)}
        known = next((text for text in label_texts(value) if text in texts), None)
        if known is None and isinstance(value, str):
            known = written_otherwise(value, texts)
        return value if known is None else texts[known]


def output_type(spec: TaskFile, path: Path) -> Any:
    """The type that `[output]` describes. Raises `TaskError`."""
    section = spec.output
    columns = dict(spec.columns)
    column = columns.pop("output")
    taken = [
        one for named in columns.values() for one in ([named] if isinstance(named, str) else named)
    ]
    if column in taken:
        raise TaskError(
            tr(
                "{path}: output.column: {column!r} is not the output's own column",
                path=path,
                column=column,
            )
        )
    if len(set(taken)) < len(taken):
        column = max(taken, key=taken.count)
        reason = tr("is the row's own") if column == columns["id"] else tr("belongs to two fields")
        raise TaskError(
            tr(
                "{path}: input: the column {column!r} {reason}",
                path=path,
                column=column,
                reason=reason,
            )
        )
    if section.min is not None or section.max is not None:
        return bounded_type(section, path)
    if section.scale is not None:
        return scale_type(section.scale, path)
    if section.labels is not None:
        return _label_type(section, path)
    if section.fields is not None:
        return schema_type(_record_schema(section.fields, path))
    if section.schema_file is None:
        return TYPES[section.type or "str"]
    schema = path.parent / section.schema_file
    if not is_inside(schema, path.parent):
        raise TaskError(
            tr(
                "{path}: output.schema: {schema_file!r} leads out of the task's folder; "
                "copy the file there",
                path=path,
                schema_file=section.schema_file,
            )
        )
    return schema_type(_read_schema(schema), section.type or "json")


def _label_type(section: OutputSection, path: Path) -> Any:
    """Return the closed set of the labels. Raises `TaskError`."""
    if not section.labels:
        raise TaskError(tr("{path}: output.labels is empty", path=path))
    known = [*(section.codes.values() or section.labels)]
    twice = {label for label in known if known.count(label) > 1}
    if twice:
        raise TaskError(
            tr("{path}: output.labels: {twice!r} is repeated", path=path, twice=min(twice, key=str))
        )
    annotation: Any = Literal[tuple(known)]
    if section.many:
        annotation = Annotated[list[annotation], ManyLabels()]
    try:
        output = OutputType(annotation)
        _ = output.items or output.labels
    except TaskError as error:
        raise TaskError(tr("{path}: output.labels: {error}", path=path, error=error)) from None
    return annotation


def _record_schema(fields: Mapping[str, Any], path: Path) -> Any:
    """Return the JSON Schema of a record with these fields. Raises `TaskError`."""
    try:
        import_module("jsonschema")
    except ImportError:
        raise MissingExtraError(tr("an output with fields"), "schema") from None
    if not fields:
        raise TaskError(tr("{path}: [output.fields] names no field", path=path))
    return {
        "type": "object",
        "properties": {
            name: _field_schema(f"{path}: output.fields.{name}", one)
            for name, one in fields.items()
        },
        "required": [*fields],
        "additionalProperties": False,
    }


def _field_schema(place: str, field: Any) -> dict[str, Any]:
    section = field if isinstance(field, OutputFieldSection) else OutputFieldSection(type=field)
    names = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    if isinstance(section.type, list):
        if not section.type:
            raise TaskError(tr("{place}: the list of allowed values is empty", place=place))
        schema: dict[str, Any] = {"enum": section.type}
        if section.many:
            schema = {"type": "array", "items": schema}
    elif section.many:
        raise TaskError(
            tr('{place}: many goes with a list of values; write type = "list[str]"', place=place)
        )
    elif section.type.startswith("list["):
        schema = {"type": "array", "items": {"type": names[section.type[5:-1]]}}
    else:
        schema = {"type": names[section.type]}
    return {"anyOf": [schema, {"type": "null"}]} if section.optional else schema


def _read_schema(path: Path) -> Any:
    """The JSON Schema in a file. Raises `TaskError`."""
    try:
        import jsonschema
    except ImportError:
        raise MissingExtraError(tr("an output with a JSON Schema"), "schema") from None
    try:
        schema = json.loads(read_bytes(path, MOST_TEXT).decode("utf-8-sig"))
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    except (ValueError, jsonschema.SchemaError) as error:
        raise TaskError(
            tr(
                "{path}: not a JSON Schema: {error}",
                path=path,
                error=str(error).splitlines()[0],
            )
        ) from None
    except RecursionError:
        raise TaskError(tr("{path}: the JSON Schema is nested too deeply", path=path)) from None
    if reason := unfollowed(schema):
        raise TaskError(f"{path}: {reason}")
    return schema


def schema_type(schema: Any, kind: str = "json") -> Any:
    """Any JSON value that a schema allows; with the kind `str`, any text that it allows."""
    fits = BeforeValidator(_Fits(json.dumps(schema, ensure_ascii=False)))
    return Annotated[str if kind == "str" else Any, fits, WithJsonSchema(schema)]


@dataclass(frozen=True)
class _Fits:
    """Checks a value against a JSON Schema, given as JSON."""

    schema: str

    def __call__(self, value: Any) -> Any:
        from jsonschema.exceptions import best_match

        try:
            error = best_match(_validator(self.schema).iter_errors(value))
        except RecursionError:
            raise ValueError(tr("it nests too deeply, or its JSON Schema without end")) from None
        if error is not None:
            raise ValueError(f"{error.json_path}: {error.message}")
        return value


@lru_cache(maxsize=64)
def _validator(text: str) -> Any:
    from jsonschema.validators import validator_for

    schema = json.loads(text)
    return validator_for(schema)(schema)


def input_spec(input_type: type[BaseModel]) -> dict[str, Any]:
    """Return the `[input]` section of a type. Raises `TaskError` where none describes it."""
    return {
        name: "options" if any(map(is_mark, f.metadata)) else _field_spec(name, f.annotation)
        for name, f in input_type.model_fields.items()
    }


def _field_spec(name: str, annotation: Any) -> Any:
    for key, kind in FIELD_TYPES.items():
        if annotation == kind:
            return key
    record = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if isinstance(record, type) and issubclass(record, BaseModel):
        fields = {f"{name}.{k}": f.annotation for k, f in record.model_fields.items()}
        spec = {key.rpartition(".")[2]: _field_spec(key, kind) for key, kind in fields.items()}
        return spec if record is annotation else [spec]
    values = [unwrapped(value) for value in OutputType(annotation).values.values()]
    if values and all(type(value) in (str, int, float) for value in values):
        return values
    raise TaskError(
        tr(
            "input field {name!r}: task.toml knows str, int, float, bool, lists and "
            "records of these, and lists of values, not {annotation!r}; keep the task "
            "in Python and name it package.module:attribute",
            name=name,
            annotation=annotation,
        )
    )


def output_spec(output: OutputType, schema_file: str, options: str | None = None) -> dict[str, Any]:
    """Return the `[output]` section of a type; `schema_file` is for its JSON Schema.

    Raises `TaskError` for what it cannot say.
    """
    if options is not None:
        return {"options": options}
    for key, kind in TYPES.items():
        if output.annotation is kind or _is_named(output, kind):
            return {"type": key}
    if (bounds := bounds_of(output)) is not None:
        return bounds
    if output.items is not None:
        return {"labels": list(output.items.labels), "many": True}
    if output.labels:
        values = [written(value) for value in output.values.values()]
        if is_scale(values) and not all(type(value) is int for value in values):
            return {"scale": values}
        kept = all(type(value) in (str, int) for value in values)
        return {"labels": values if kept else list(output.labels)}
    reason = None
    if output.written_schema is None:
        reason = tr("has no JSON Schema")
    elif '"uniqueItems": true' in json.dumps(output.schema):
        reason = tr("has a set in it, and a folder knows lists only")
    if reason:
        raise TaskError(
            tr(
                "the output type {annotation} {reason}; keep the task in Python and name "
                "it package.module:attribute",
                annotation=shorten(output.annotation, 100),
                reason=reason,
            )
        )
    return {**({"type": "str"} if output.is_text else {}), "schema": schema_file}


def _is_named(output: OutputType, kind: type) -> bool:
    """Return whether a type equals a plain one but for annotations without effect."""
    plainly = OutputType(kind)
    same = not output.labels and output.written_schema == plainly.written_schema
    return same and output.format == plainly.format
