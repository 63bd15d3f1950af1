"""Tasks and example sets as files: `task.toml`, CSV and JSON Lines, in and out.

A folder holds data only; no code in it is run. Every row that does not fit is reported with its
file and line, all of them at once.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from promptkit.errors import DataError, MissingExtraError, Problem, TaskError, shorten
from promptkit.examples import (
    RESERVED,
    Example,
    ExampleParser,
    ExampleSet,
    Place,
    Task,
    check_sets,
    text_key,
)
from promptkit.outputs import OutputType

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TypeName = Literal["str", "int", "float", "bool"]
Scalar = str | int | float
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}

Row = tuple[int, dict[str, Any]]
"""The line on which a row begins, and its columns."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class OutputSection(_Section):
    """`[output]`: exactly one of `labels`, `type` and `schema`."""

    labels: list[str] | None = None
    type: TypeName | None = None
    schema_file: str | None = Field(default=None, alias="schema")
    column: str = "output"
    """The column that holds the output, where it is not called `output`."""


class FilesSection(_Section):
    """`[files]`, relative to the task's folder."""

    demos: str | None = None
    tests: str | None = None
    repeats: Literal["error", "drop"] = "error"
    """What to do with a row that stands twice, and with a demonstration that is also a test."""


class TaskFile(_Section):
    """What `task.toml` says."""

    name: str
    instruction: str = ""
    template: str = "colon.j2"
    input: dict[str, TypeName | list[Scalar]]
    output: OutputSection
    files: FilesSection = FilesSection()


def load_task(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> Task[Any, Any]:
    """The task in a folder, or in a `task.toml`.

    `notify` is told what `repeats = "drop"` left out. Raises `TaskError` for the folder and
    `task.toml`, and `DataError` with every row that does not fit.
    """
    path = Path(folder)
    path = path / "task.toml" if path.name != "task.toml" else path
    spec = _read_toml(path)
    input_type = _input_type(spec, path)
    output_type = _output_type(spec.output, path)
    parser = ExampleParser(input_type, output_type, [])
    examples: dict[str, list[Example[Any, Any]]] = {"demos": [], "tests": []}
    places: dict[str, list[Place]] = {"demos": [], "tests": []}
    for part, name in (("demos", spec.files.demos), ("tests", spec.files.tests)):
        if name is not None:
            source = path.parent / name
            read = read_examples(source, parser, spec.output.column)
            examples[part], places[part] = read
    if spec.files.repeats == "drop":
        _drop_repeats(examples, places, notify or (lambda message: None))
    if parser.problems:
        between = check_sets(examples["demos"], examples["tests"], places)
        raise DataError([*parser.problems, *between])
    task_type = Task[input_type, output_type]  # type: ignore[valid-type]
    return task_type.model_validate(
        {
            "name": spec.name,
            "instruction": spec.instruction,
            "template": spec.template,
            "folder": path.parent,
            **{part: parser.set_of(found) for part, found in examples.items()},
        },
        context={"places": places},
    )


def save_task(
    task: Task[Any, Any], folder: str | Path, format: Literal["csv", "jsonl"] = "jsonl"
) -> None:
    """Writes a task so that `load_task` gives an equal one.

    Raises `TaskError` for what the format cannot hold: a nested input in `task.toml`, or in CSV
    metadata that is not text.
    """
    folder = Path(folder)
    input_type, annotation = task.types()
    output = OutputType(annotation)
    spec: dict[str, Any] = {
        "name": task.name,
        "instruction": task.instruction,
        "template": task.template,
        "input": {name: _field_spec(name, f.annotation) for name, f in _fields(input_type)},
        "output": _output_spec(output),
        "files": {"demos": f"demos.{format}", "tests": f"tests.{format}"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    if "schema" in spec["output"]:
        schema = json.dumps(output.schema, ensure_ascii=False, indent=2)
        (folder / spec["output"]["schema"]).write_text(schema + "\n", encoding="utf-8")
    for part, examples in (("demos", task.demos), ("tests", task.tests)):
        write_examples(folder / f"{part}.{format}", examples, output)
    import tomli_w

    (folder / "task.toml").write_bytes(tomli_w.dumps(spec).encode())


def read_examples(
    path: Path, parser: ExampleParser, output_column: str = "output"
) -> tuple[list[Example[Any, Any]], list[Place]]:
    """The examples of a CSV or JSON Lines file, and where they stand.

    Rows that do not fit are added to the parser's problems. Raises `DataError` for a file that
    cannot be read as a whole.
    """
    reserved = set(RESERVED) & set(parser.input_type.model_fields)
    if reserved:
        raise TaskError(f"input field {min(reserved)!r}: this name is kept for the row's own")
    textual = path.suffix.lower() == ".csv"
    examples, places = [], []
    before = len(parser.problems)
    for line, row in read_rows(path, parser.problems, (*parser.input_type.model_fields,)):
        value = _split_row(row, parser, output_column)
        place = (str(path), line)
        if textual and isinstance(value.get("output"), str):
            value["output"] = _from_cell(value["output"], parser, place)
        example = parser.parse(value, place=place)
        if example is not None:
            examples.append(example)
            places.append(place)
    if not examples and len(parser.problems) == before:
        parser.problems.append(Problem("the file has a header but no rows", str(path)))
    return examples, places


def read_rows(path: Path, problems: list[Problem], required: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a CSV or JSON Lines file with their lines; ragged ones go to `problems`."""
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TaskError(f"{path}: a data file ends in .csv or .jsonl")
    yield from reader(path, _read_text(path), problems, required)


def write_examples(path: Path, examples: ExampleSet[Any, Any], output: OutputType) -> None:
    """Writes examples as CSV or JSON Lines, by the file's suffix, without loss."""
    rows = [
        {
            "id": example.id,
            **example.input.model_dump(mode="json"),
            "output": None if example.output is None else output.plain(example.output),
            **example.metadata,
        }
        for example in examples
    ]
    if path.suffix == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        path.write_text("".join(lines), encoding="utf-8", newline="")
        return
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["id", "output"]
    for row, example in zip(rows, examples, strict=True):
        row["output"] = output.text(example.output)
        for column in columns:
            if column in example.metadata and not isinstance(example.metadata[column], str):
                raise TaskError(
                    f"example {example.id!r}, metadata {column!r}: CSV holds text only, this is "
                    f"{shorten(example.metadata[column])}; write JSON Lines"
                )
            if row.get(column) is None:
                raise TaskError(
                    f"example {example.id!r} has no {column!r}: CSV cannot leave a value out; "
                    "write JSON Lines"
                )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# --- rows ---------------------------------------------------------------------------------------


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    for mark, name in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if raw.startswith(mark):
            raise DataError([_encoding_problem(path, raw, 0, f"this is {name}")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The offset counts from behind a byte-order mark.
        start = error.start + len(raw) - len(error.object)
        reason = f"byte {raw[start]:#04x} is not UTF-8"
        raise DataError([_encoding_problem(path, raw, start, reason)]) from None
    if not text.strip():
        raise DataError([Problem("the file is empty", str(path))])
    return text


def _encoding_problem(path: Path, raw: bytes, offset: int, reason: str) -> Problem:
    line = raw.count(b"\n", 0, offset) + 1
    column = offset - raw.rfind(b"\n", 0, offset)
    return Problem(f"column {column}: {reason}; save the file as UTF-8", str(path), line)


def _csv_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[Row]:
    with _long_csv_fields():
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                here, line = line, reader.line_num + 1
                if header is None:
                    header = cells
                    _check_header(path, header, required)
                elif not cells:  # a blank line
                    continue
                elif len(cells) != len(header):
                    reason = f"{len(cells)} fields, but the header names {len(header)}"
                    problems.append(Problem(reason, str(path), here, value=",".join(cells)))
                else:
                    yield here, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            problems.append(Problem(f"not CSV: {error}", str(path), line))


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    problems = []
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.append(Problem("the header names this column twice", str(path), 1, field=name))
    for name in required:
        if name not in header:
            others = [column for column in header if column not in required]
            close = difflib.get_close_matches(name, others, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(header)}"
            problems.append(Problem(f"there is no such column{hint}", str(path), 1, field=name))
    if problems:
        raise DataError(problems)


@contextmanager
def _long_csv_fields() -> Iterator[None]:
    """The csv module refuses fields over 128 KiB; a document is longer."""
    before = csv.field_size_limit(sys.maxsize if sys.platform != "win32" else 2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _jsonl_rows(
    path: Path, text: str, problems: list[Problem], required: Sequence[str]
) -> Iterator[Row]:
    # Not splitlines(): JSON text may hold U+2028 and others as they are.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))  # without "line 1", which is not the file's
            problems.append(Problem(f"not JSON: {reason}", str(path), line, value=content))
            continue
        if not isinstance(row, dict):
            reason = 'not an object; a row reads {"field": value, …}'
            problems.append(Problem(reason, str(path), line, value=row))
            continue
        yield line, row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return row


def _split_row(row: dict[str, Any], parser: ExampleParser, output_column: str) -> dict[str, Any]:
    fields = parser.input_type.model_fields
    return {
        "id": row.get("id"),
        "input": {name: row[name] for name in fields if name in row},
        "output": row.get(output_column),
        "metadata": {
            name: value
            for name, value in row.items()
            if name not in fields and name not in ("id", output_column)
        },
    }


def _from_cell(cell: str, parser: ExampleParser, place: Place) -> Any:
    """The output that a CSV cell writes; an empty cell is no output unless the output is text."""
    if cell == "" and parser.output.annotation is not str:
        return None
    try:
        return parser.output.parse(cell)
    except ValueError:
        return cell  # the parser says what is wrong


def _drop_repeats(
    examples: dict[str, list[Example[Any, Any]]],
    places: dict[str, list[Place]],
    notify: Callable[[str], None],
) -> None:
    """Keeps the first of equal rows, and takes tests out of the pool."""
    asked = {text_key(example.input) for example in examples["tests"]}
    for part, known in (("tests", set[Any]()), ("demos", set[Any]())):
        kept = []
        for index, example in enumerate(examples[part]):
            key = (text_key(example.input), OutputType(Any).text(example.output))
            if key in known or (part == "demos" and key[0] in asked):
                continue
            known.add(key)
            kept.append(index)
        dropped = len(examples[part]) - len(kept)
        if dropped:
            notify(f"{part}: {dropped} rows left out (they stand twice, or among the tests)")
        examples[part] = [examples[part][index] for index in kept]
        places[part] = [places[part][index] for index in kept]


# --- task.toml ----------------------------------------------------------------------------------


def _read_toml(path: Path) -> TaskFile:
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        hint = "" if path.parent.is_dir() else " (there is no such folder)"
        raise TaskError(f"{path}: not found{hint}; `promptkit new DIR` makes a task") from None
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: offset {error.start} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path}: not TOML: {error}") from None
    try:
        spec = TaskFile.model_validate(data)
    except ValidationError as error:
        raise TaskError("\n  ".join([f"{path}:", *_toml_reasons(error)])) from None
    chosen = [spec.output.labels, spec.output.type, spec.output.schema_file]
    if sum(choice is not None for choice in chosen) != 1:
        raise TaskError(f"{path}: [output] has exactly one of labels, type and schema")
    return spec


def _toml_reasons(error: ValidationError) -> Iterator[str]:
    seen = set()
    for item in error.errors(include_url=False):
        keys = [str(k) for k in item["loc"] if not (isinstance(k, str) and "[" in k)]
        section, name = ".".join(keys[:-1]), keys[-1]
        if item["type"] == "extra_forbidden":
            sections: dict[str, type[_Section]] = {"output": OutputSection, "files": FilesSection}
            model = sections.get(section, TaskFile)
            known = [field.alias or key for key, field in model.model_fields.items()]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(known)}"
            reason = f"there is no such key; {hint}"
        elif item["type"] == "missing":
            reason = "missing"
        elif keys[0] == "input":
            keys = keys[:2]
            reason = (
                f"a type is str, int, float, bool or a list of allowed values, "
                f"not {shorten(item['input'])}"
            )
        else:
            reason = f"{item['msg']}, not {shorten(item['input'])}"
        where = ".".join(keys)
        if where not in seen:
            seen.add(where)
            yield f"{where}: {reason}"


def _input_type(spec: TaskFile, path: Path) -> type[BaseModel]:
    if not spec.input:
        raise TaskError(f"{path}: [input] names no field")
    fields: dict[str, Any] = {}
    for name, kind in spec.input.items():
        if not name.isidentifier() or name.startswith("_") or name in RESERVED:
            raise TaskError(
                f"{path}: input.{name}: a field's name is letters, digits and underscores, "
                "does not begin with one, and is not 'id' or 'output'"
            )
        fields[name] = (_field_type(kind), ...)
    return create_model("Input", __config__=ConfigDict(frozen=True, allow_inf_nan=False), **fields)


def _field_type(kind: str | list[Scalar]) -> Any:
    if isinstance(kind, str):
        return _TYPES[kind]
    by_text = {str(value): value for value in kind}
    return Annotated[Literal[tuple(kind)], BeforeValidator(lambda value: by_text.get(value, value))]


def _output_type(section: OutputSection, path: Path) -> Any:
    if section.labels is not None:
        if not section.labels:
            raise TaskError(f"{path}: output.labels is empty")
        twice = {label for label in section.labels if section.labels.count(label) > 1}
        if twice:
            raise TaskError(f"{path}: output.labels: {min(twice)!r} stands twice")
        return Literal[tuple(section.labels)]
    if section.type is not None:
        return _TYPES[section.type]
    return _schema_type(path.parent / (section.schema_file or ""))


def _schema_type(path: Path) -> Any:
    """Any JSON value that the schema in a file allows."""
    try:
        import jsonschema
    except ImportError:
        raise MissingExtraError("an output with a JSON Schema", "schema") from None
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        validator_type = jsonschema.validators.validator_for(schema)
        validator_type.check_schema(schema)
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    except (ValueError, jsonschema.SchemaError) as error:
        raise TaskError(f"{path}: not a JSON Schema: {str(error).splitlines()[0]}") from None
    validator = validator_type(schema)

    def check(value: Any) -> Any:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is not None:
            raise ValueError(f"{error.json_path}: {error.message}")
        return value

    from pydantic import WithJsonSchema

    return Annotated[Any, BeforeValidator(check), WithJsonSchema(schema)]


def _fields(input_type: type[BaseModel]) -> list[tuple[str, Any]]:
    return list(input_type.model_fields.items())


def _field_spec(name: str, annotation: Any) -> Any:
    for key, kind in _TYPES.items():
        if annotation is kind:
            return key
    values = list(OutputType(annotation).values.values())
    if values and all(isinstance(value, str | int | float) for value in values):
        return values
    raise TaskError(
        f"input field {name!r}: task.toml knows str, int, float, bool and lists of values, "
        f"not {annotation!r}; keep the task in Python and name it package.module:attribute"
    )


def _output_spec(output: OutputType) -> dict[str, Any]:
    if output.annotation in _TYPES.values():
        return {"type": next(k for k, kind in _TYPES.items() if kind is output.annotation)}
    if output.labels:
        return {"labels": list(output.labels)}
    return {"schema": "answer.schema.json"}
