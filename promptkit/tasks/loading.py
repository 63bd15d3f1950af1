"""Tasks and example sets in and out of files.

A folder holds data only; no code in it is run. Every row that does not fit is reported with its
file and line, all of them at once.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from promptkit.errors import DataError, Problem, TaskError, shorten
from promptkit.files import saving
from promptkit.files.delimited import column_hint
from promptkit.files.json_values import plain, written
from promptkit.files.paths import is_inside
from promptkit.tasks.examples import RESERVED, Example, ExampleSet, Place, content_id, text_key
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.tables import is_csv, read_rows, write_rows
from promptkit.tasks.task import Task
from promptkit.tasks.task_file import (
    TaskFile,
    input_spec,
    input_type,
    output_spec,
    output_type,
    read_task_file,
    schema_type,
    verbalizers,
)
from promptkit.tasks.validation import ExampleParser, check_sets

__all__ = ["load_task", "read_examples", "read_rows", "save_task", "write_examples"]


def load_task(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> Task[Any, Any]:
    """The task in a folder, or in a `task.toml`.

    `notify` is told what `repeats = "drop"` left out, and which data stands in another folder.
    Raises `TaskError` for the folder and `task.toml`, and `DataError` with every row that does not
    fit.
    """
    path = Path(folder)
    path = path / "task.toml" if path.name != "task.toml" else path
    spec = read_task_file(path)
    input, output = input_type(spec, path), output_type(spec, path)
    words = verbalizers(spec, OutputType(output), path)
    parser = ExampleParser(input, output, [])
    examples: dict[str, list[Example[Any, Any]]] = {"demos": [], "tests": []}
    places: dict[str, list[Place]] = {"demos": [], "tests": []}
    for part, name in (("demos", spec.files.demos), ("tests", spec.files.tests)):
        if name is not None:
            if notify is not None and not is_inside(path.parent / name, path.parent):
                notify(f"{path} reads data outside its folder: {name}")
            examples[part], places[part] = read_examples(
                path.parent / name,
                parser,
                spec.output.column,
                labelled=True,
                columns=spec.columns,
            )
    if spec.files.repeats == "drop":
        _drop_repeats(examples, places, parser.output, notify or (lambda message: None))
    if parser.problems:
        sets = examples["demos"], examples["tests"]
        between = check_sets(*sets, places, parser.output, spec.output.column)
        raise DataError([*parser.problems, *between])
    return Task[input, output].model_validate(  # type: ignore[valid-type]
        {
            "name": spec.name,
            "instruction": spec.instruction,
            "template": spec.template,
            "verbalizers": words,
            "near_duplicates": spec.near_duplicates,
            "folder": path.parent,
            **{part: parser.set_of(found) for part, found in examples.items()},
        },
        context={"places": places, "column": spec.output.column},
    )


def save_task(
    task: Task[Any, Any], folder: str | Path, format: Literal["csv", "jsonl"] = "jsonl"
) -> None:
    """Writes a task so that `load_task` gives an equal one, its own templates included.

    Raises `TaskError` for what a folder cannot hold: a nested input, a set, an input that its type
    serialises in its own way, or in CSV metadata that is not text.
    """
    folder = Path(folder)
    if Path(task.template).is_absolute():
        raise TaskError(
            f"template {task.template!r}: a task folder holds its own templates; put the file into "
            "a folder templates/ and name it without its path"
        )
    schema_file = "answer.schema.json"
    parts = {part: f"{part}.{format}" for part in ("demos", "tests") if len(getattr(task, part))}
    spec: dict[str, Any] = {
        "name": task.name,
        "instruction": task.instruction,
        "template": task.template,
        "input": input_spec(task.types()[0]),
        "output": output_spec(task.output_type, schema_file),
        "files": parts,
    }
    schema = task.output_type.written_schema if "schema" in spec["output"] else None
    _check_kept(task, spec, schema)
    if task.near_duplicates != "exclude":
        spec["near_duplicates"] = task.near_duplicates
    if task.verbalizers:
        words = {verbalizer.name: verbalizer.words for verbalizer in task.verbalizers}
        spec["output"]["verbalizers"] = words
    folder.mkdir(parents=True, exist_ok=True)
    if schema is not None:
        text = json.dumps(schema, ensure_ascii=False, indent=2)
        saving.write(folder / schema_file, text + "\n")
    for part, name in parts.items():
        write_examples(folder / name, getattr(task, part), task.output_type)
    if task.folder is not None and task.folder.resolve() != folder.resolve():
        own = task.folder / "templates"
        if own.is_dir():
            shutil.copytree(own, folder / "templates", ignore=_outside, dirs_exist_ok=True)
    import tomli_w

    saving.write(folder / "task.toml", tomli_w.dumps(spec))


def _outside(folder: str, names: list[str]) -> list[str]:
    """Return the names of links that lead out of a folder."""
    return [name for name in names if not is_inside(Path(folder) / name, Path(folder))]


def _check_kept(task: Task[Any, Any], spec: dict[str, Any], schema: Any) -> None:
    """Whether the types that a folder can name make the same of every example.

    Raises `TaskError`.
    """
    known, path = TaskFile.model_validate(spec), Path("task.toml")
    kind = known.output.type or "json"
    output = output_type(known, path) if schema is None else schema_type(schema, kind)
    parser = ExampleParser(input_type(known, path), output, [])
    if parser.output.format != task.output_type.format:
        raise TaskError(
            f"the output type {shorten(task.output_type.annotation, 100)} is asked in a way that "
            "its JSON Schema does not say; keep the task in Python and name it "
            "package.module:attribute"
        )
    for example in (*task.demos, *task.tests):
        found = parser.parse(_values(example, task.output_type), example=example.id)
        if found is None:
            raise TaskError(f"a folder cannot hold this task: {parser.problems[0]}")
        mine, theirs = plain(example.input), plain(found.input)
        odd = [name for name in {**mine, **theirs} if mine.get(name, ...) != theirs.get(name, ...)]
        if odd:
            raise TaskError(
                f"example {example.id!r}: input field {odd[0]!r} is computed, left out or written "
                "in its own way by its type, which a folder cannot hold; keep the task in Python "
                "and name it package.module:attribute"
            )


def _values(example: Example[Any, Any], output: OutputType) -> dict[str, Any]:
    """An example as data: the values of its input's fields, its output, and the rest."""
    fields = {name: getattr(example.input, name) for name in type(example.input).model_fields}
    values = {
        "id": example.id,
        "input": {name: written(value) for name, value in fields.items()},
        "metadata": example.metadata,
    }
    return {**values, "output": output.plain(example.output)} if example.labelled else values


def read_examples(
    path: Path,
    parser: ExampleParser,
    output_column: str = "output",
    *,
    labelled: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Example[Any, Any]], list[Place]]:
    """The examples of a CSV, JSON Lines or Parquet file, and where they stand.

    `columns` are those of the fields, where they are called otherwise. Rows that do not fit are
    added to the parser's problems, which name columns as the file does. Raises `DataError` for a
    file that cannot be read as a whole; where it is to be `labelled`, also for one without outputs.
    """
    fields = parser.input_type.model_fields
    reserved = set(RESERVED) & set(fields)
    if reserved:
        raise TaskError(f"input field {min(reserved)!r}: this name is kept for the row's own")
    textual = is_csv(path)
    named = {name: column for name, column in (columns or {}).items() if name != column}
    required = [named.get(key, key) for key in parser.required]
    nullable = _nullable(parser)
    kept = {*nullable, output_column} if parser.output.allows_null else nullable.keys()
    if labelled:
        required.append(output_column)
    examples, places = [], []
    before = len(parser.problems)
    for line, row in read_rows(path, parser.problems, required):
        place = (str(path), line)
        if path.suffix.lower() == ".parquet":  # whose rows have every column
            row = {key: cell for key, cell in row.items() if cell is not None or key in kept}
        if not textual and (missing := [column for column in required if column not in row]):
            parser.problems += _misnamed(missing, required, row, place)
            continue
        row = _renamed(row, named) if named else row
        if textual:
            row |= {k: None for k, text in nullable.items() if row.get(k) == "" and not text}
        value = _split_row(row, parser, output_column)
        if textual and isinstance(value.get("output"), str):
            value["output"] = _from_cell(value["output"], parser)
        example = parser.parse(value, place=place, column=output_column)
        if example is not None:
            examples.append(example)
            places.append(place)
    parser.problems[before:] = [
        replace(problem, field=named.get(problem.field or "", problem.field))
        for problem in parser.problems[before:]
    ]
    if not examples and len(parser.problems) == before:
        parser.problems.append(Problem("the file has a header but no rows", str(path)))
    return examples, places


def write_examples(path: Path, examples: ExampleSet[Any, Any], output: OutputType) -> None:
    """Writes examples as CSV or JSON Lines, by the file's suffix, without loss."""
    textual = is_csv(path)
    rows = []
    for example in examples:
        values = _values(example, output)
        gold = values.get("output")
        if textual and example.labelled:
            gold = output.text(example.output)
        row = {"id": example.id, **values["input"]}
        if example.labelled or textual:
            row["output"] = gold
        for column, value in example.metadata.items():
            if column in row:
                raise TaskError(
                    f"example {example.id!r}: the metadata {column!r} has the name of a column "
                    "that every row has; rename it"
                )
            if textual and not isinstance(value, str | None):
                raise TaskError(
                    f"example {example.id!r}, metadata {column!r}: CSV holds text only, this is "
                    f"{value!r}; write JSON Lines"
                )
            row[column] = value
        rows.append(row)
    write_rows(path, rows)


def _renamed(row: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The row under the names of its fields; a column that shares one with a field is left out."""
    taken = {*columns, *columns.values()}
    rest = {name: value for name, value in row.items() if name not in taken}
    return {name: row[column] for name, column in columns.items() if column in row} | rest


def _misnamed(
    missing: Sequence[str], required: Sequence[str], row: Mapping[str, Any], place: Place
) -> Iterator[Problem]:
    """Columns that a row of JSON Lines or Parquet lacks, or holds under other names."""
    id = row.get("id")
    for column in missing:
        reason = f"missing{column_hint(column, [c for c in row if c not in required], [*row])}"
        yield Problem(reason, *place, None if id is None else str(id), column)


def _split_row(row: dict[str, Any], parser: ExampleParser, output_column: str) -> dict[str, Any]:
    given = {"output": row[output_column]} if output_column in row else {}
    return given | {
        "id": row.get("id"),
        "input": {key: row[key] for key in parser.keys if key in row},
        "metadata": {
            name: value
            for name, value in row.items()
            if name not in parser.keys and name not in ("id", output_column)
        },
    }


def _nullable(parser: ExampleParser) -> Mapping[str, bool]:
    """The keys of inputs that may be None, and whether an empty text is a value of theirs too."""
    found = {}
    for key, name in parser.keys.items():
        info = parser.input_type.model_fields[name]
        annotation = info.annotation
        if info.metadata:
            annotation = Annotated[(annotation, *info.metadata)]  # type: ignore[assignment]
        field = OutputType(annotation)
        if field.allows_null:
            found[key] = field.allows("")
    return found


def _from_cell(cell: str, parser: ExampleParser) -> Any:
    """The output that a CSV cell writes; an empty cell is no output unless the output is text."""
    if cell == "" and not parser.output.is_text:
        return None
    try:
        return parser.output.parse(cell)
    except ValueError:
        return cell  # the parser says what is wrong


def _drop_repeats(
    examples: dict[str, list[Example[Any, Any]]],
    places: dict[str, list[Place]],
    output: OutputType,
    notify: Callable[[str], None],
) -> None:
    """Keeps the first of equal rows, and takes tests out of the pool.

    Different rows with one id are kept, under ids made from their inputs.
    """
    asked = {text_key(example.input) for example in examples["tests"]}
    for part, known in (("tests", set[Any]()), ("demos", set[Any]())):
        kept = []
        for index, example in enumerate(examples[part]):
            gold = output.key(example.output) if example.labelled else None
            key = (text_key(example.input), gold)
            if key in known or (part == "demos" and key[0] in asked):
                continue
            known.add(key)
            kept.append(index)
        dropped = len(examples[part]) - len(kept)
        if dropped:
            notify(f"{part}: {dropped} rows left out (they stand twice, or among the tests)")
        places[part] = [places[part][index] for index in kept]
        examples[part] = _told_apart(part, [examples[part][index] for index in kept], notify)


def _told_apart(
    part: str, examples: list[Example[Any, Any]], notify: Callable[[str], None]
) -> list[Example[Any, Any]]:
    """The examples; those that share an id with another get one of their own."""
    times = Counter(example.id for example in examples)
    shared = [example.id for example in examples if times[example.id] > 1]
    if not shared:
        return examples
    notify(
        f"{part}: {len(shared)} rows share their id with another, such as {shared[0]!r}; their ids "
        "are made from their inputs"
    )
    return [
        example.model_copy(update={"id": content_id(example.input)})
        if times[example.id] > 1
        else example
        for example in examples
    ]
