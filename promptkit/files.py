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
from typing import Any, Literal

from promptkit import saving
from promptkit.delimited import column_hint
from promptkit.errors import DataError, Problem, TaskError
from promptkit.examples import RESERVED, Example, ExampleSet, Place, content_id, text_key
from promptkit.outputs import OutputType
from promptkit.paths import is_inside
from promptkit.rows import is_csv, read_rows, write_rows
from promptkit.task import Task
from promptkit.taskfile import (
    input_spec,
    input_type,
    output_spec,
    output_type,
    read_task_file,
    verbalizers,
)
from promptkit.validation import ExampleParser, check_sets

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
        _drop_repeats(examples, places, notify or (lambda message: None))
    if parser.problems:
        between = check_sets(examples["demos"], examples["tests"], places)
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
        context={"places": places},
    )


def save_task(
    task: Task[Any, Any], folder: str | Path, format: Literal["csv", "jsonl"] = "jsonl"
) -> None:
    """Writes a task so that `load_task` gives an equal one, its own templates included.

    Raises `TaskError` for what the format cannot hold: a nested input in `task.toml`, or in CSV
    metadata that is not text.
    """
    folder = Path(folder)
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
    if task.near_duplicates != "exclude":
        spec["near_duplicates"] = task.near_duplicates
    if task.verbalizers:
        words = {verbalizer.name: verbalizer.words for verbalizer in task.verbalizers}
        spec["output"]["verbalizers"] = words
    folder.mkdir(parents=True, exist_ok=True)
    if "schema" in spec["output"]:
        schema = json.dumps(task.output_type.schema, ensure_ascii=False, indent=2)
        saving.write(folder / schema_file, schema + "\n")
    for part, name in parts.items():
        write_examples(folder / name, getattr(task, part), task.output_type)
    if task.folder is not None and task.folder.resolve() != folder.resolve():
        own = task.folder / "templates"
        if own.is_dir():
            shutil.copytree(own, folder / "templates", dirs_exist_ok=True)
    import tomli_w

    saving.write(folder / "task.toml", tomli_w.dumps(spec))


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
    required = [named.get(name, name) for name, f in fields.items() if f.is_required()]
    if labelled:
        required.append(output_column)
    examples, places = [], []
    before = len(parser.problems)
    for line, row in read_rows(path, parser.problems, required):
        place = (str(path), line)
        if not textual and (missing := [column for column in required if column not in row]):
            parser.problems += _misnamed(missing, required, row, place)
            continue
        value = _split_row(_renamed(row, named) if named else row, parser, output_column)
        if textual and isinstance(value["output"], str):
            value["output"] = _from_cell(value["output"], parser)
        example = parser.parse(value, place=place)
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
        gold = example.output
        if gold is not None:
            gold = output.text(gold) if textual else output.plain(gold)
        row = {"id": example.id, **example.input.model_dump(mode="json"), "output": gold}
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
    notify: Callable[[str], None],
) -> None:
    """Keeps the first of equal rows, and takes tests out of the pool.

    Different rows with one id are kept, under ids made from their inputs.
    """
    asked = {text_key(example.input) for example in examples["tests"]}
    as_text = OutputType(Any).text
    for part, known in (("tests", set[Any]()), ("demos", set[Any]())):
        kept = []
        for index, example in enumerate(examples[part]):
            key = (text_key(example.input), as_text(example.output))
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
