"""Loading of tasks and example sets from files.

A folder holds data only, and no code in it is run. All rows that do not fit are reported at once,
each with its file and line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.delimited import column_hint
from promptkit.files.paths import is_inside
from promptkit.tasks.examples import RESERVED, Example, Place, content_id, text_key
from promptkit.tasks.file_types import input_type, output_type
from promptkit.tasks.measures import Scoring
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.row_checks import PARTS, Part, PlacedExample, RowProblem, check_rows
from promptkit.tasks.tables import DataFile, is_csv, is_parquet, read_data_file
from promptkit.tasks.task import ROWS_CHECKED, Task
from promptkit.tasks.task_file import TaskFile, read_task_file
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.verbalizers import Verbalizer, own


def load_task(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> Task[Any, Any]:
    """Load the task of a folder.

    Args:
        folder: The folder, or its `task.toml`.
        notify: A function that is called with notes: the rows that `repeats = "drop"` left out,
            and data files outside the folder.

    Returns:
        The task, with the types that `task.toml` describes.

    Raises:
        TaskError: The folder or its `task.toml` is invalid.
        DataError: Rows do not fit; `problems` lists all of them.

    Example:
        >>> load_task("examples/fruit").labels[:2]
        ('drupe', 'pome')
    """
    source = read_folder(folder, notify=notify)
    problems = [found.as_problem(source.spec.output.column) for found in source.row_problems]
    if source.problems or problems:
        raise DataError([*source.problems, *problems])
    return source.task()


@dataclass(frozen=True)
class TaskFolder:
    """A task folder as it was read, with the rows that fit the task's types."""

    path: Path
    """The `task.toml`."""
    spec: TaskFile
    parser: ExampleParser
    verbalizers: Sequence[Verbalizer]
    scoring: Scoring
    rows: Mapping[Part, Sequence[PlacedExample]]

    @property
    def problems(self) -> Sequence[Problem]:
        """Rows and files that do not fit the types."""
        return self.parser.problems

    @cached_property
    def row_problems(self) -> tuple[RowProblem, ...]:
        """Problems between rows."""
        return tuple(check_rows(self.rows["demos"], self.rows["tests"], self.parser.output))

    def task(self, *, empty: bool = False) -> Task[Any, Any]:
        """Return the task, whose rows are known to fit; `empty` leaves them out."""
        task_type = Task[self.parser.input_type, self.parser.output.annotation]  # type: ignore[name-defined]
        return task_type.model_validate(
            {
                "name": self.spec.name,
                "instruction": self.spec.instruction,
                "template": self.spec.template,
                "verbalizers": self.verbalizers,
                "near_duplicates": self.spec.near_duplicates,
                "scoring": self.scoring,
                "folder": self.path.parent,
                **{
                    part: self.parser.set_of(() if empty else [row.example for row in rows])
                    for part, rows in self.rows.items()
                },
            },
            context=ROWS_CHECKED,
        )


def read_folder(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> TaskFolder:
    """Read the task in a folder, or in a `task.toml`; each data file is read once.

    Rows that do not fit are among the result's `problems`. Raises `TaskError` for the folder and
    `task.toml`.
    """
    path = Path(folder)
    path = path / "task.toml" if path.name != "task.toml" else path
    spec = read_task_file(path)
    parser = ExampleParser(input_type(spec, path), output_type(spec, path), [])
    words = own(spec.output.verbalizers, parser.output.labels, f"{path}: output.verbalizers")
    scoring = _scoring(spec, path, parser.output)
    rows: dict[Part, Sequence[PlacedExample]] = {}
    for part, name in zip(PARTS, (spec.files.demos, spec.files.tests), strict=True):
        rows[part] = ()
        if name is None:
            continue
        if notify is not None and not is_inside(path.parent / name, path.parent):
            notify(f"{path} reads data outside its folder: {name}")
        try:
            file = read_data_file(path.parent / name)
            found = read_examples(
                file, parser, spec.output.column, labelled=True, columns=spec.columns
            )
        except DataError as error:  # of the file as a whole
            parser.problems += error.problems
            continue
        pairs = enumerate(zip(*found, strict=True))
        rows[part] = [PlacedExample(part, i, example, file, line) for i, (example, line) in pairs]
    if spec.files.repeats == "drop":
        rows = _without_repeats(rows, parser.output, notify or (lambda message: None))
    return TaskFolder(path, spec, parser, words, scoring, rows)


def _scoring(spec: TaskFile, path: Path, output: OutputType) -> Scoring:
    """Return the scoring that `[output]` declares. Raises `TaskError`."""
    section = spec.output
    try:
        scoring = Scoring(section.within, section.match, section.pattern, section.language)
        scoring.check(output)
    except TaskError as error:
        raise TaskError(f"{path}: output.{error}") from None
    return scoring


def read_examples(
    file: DataFile,
    parser: ExampleParser,
    output_column: str = "output",
    *,
    labelled: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Example[Any, Any]], list[int]]:
    """Return the examples of a data file, and the lines on which they begin.

    Rows that do not fit are added to the parser's problems, which name columns as the file does.

    Args:
        file: The file.
        parser: The parser of its rows.
        output_column: The name of the column of outputs.
        labelled: Whether the file has to have that column.
        columns: The columns of fields whose names differ from them.

    Raises:
        DataError: The file cannot be read as a whole.
        TaskError: An input field is called `id` or `output`.
    """
    fields = parser.input_type.model_fields
    reserved = set(RESERVED) & set(fields)
    if reserved:
        raise TaskError(f"input field {min(reserved)!r}: this name is reserved")
    textual, parquet = is_csv(file.path), is_parquet(file.path)
    named = {name: column for name, column in (columns or {}).items() if name != column}
    required = [named.get(key, key) for key in parser.required]
    nullable = _nullable(parser)
    kept = {*nullable, output_column} if parser.output.allows_null else nullable.keys()
    if labelled:
        required.append(output_column)
    examples, lines = [], []
    before = len(parser.problems)
    for line, row in file.rows(parser.problems, required):
        place = (str(file), line)
        if parquet:  # whose rows have every column
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
            lines.append(line)
    parser.problems[before:] = [
        replace(problem, field=named.get(problem.field or "", problem.field))
        for problem in parser.problems[before:]
    ]
    if not examples and len(parser.problems) == before:
        parser.problems.append(Problem("the file has a header but no rows", str(file)))
    return examples, lines


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


def _without_repeats(
    rows: Mapping[Part, Sequence[PlacedExample]], output: OutputType, notify: Callable[[str], None]
) -> dict[Part, Sequence[PlacedExample]]:
    """Return the first of equal rows each, and demonstrations that are no tests."""
    asked = {text_key(row.example.input) for row in rows["tests"]}
    kept: dict[Part, Sequence[PlacedExample]] = {}
    for part in reversed(PARTS):
        known: dict[Any, PlacedExample] = {}
        for row in rows[part]:
            text = text_key(row.example.input)
            if part == "tests" or text not in asked:
                gold = output.key(row.example.output) if row.example.labelled else None
                known.setdefault((text, gold), row)
        dropped = len(rows[part]) - len(known)
        if dropped:
            notify(f"{part}: {dropped} rows left out (repeated, or also among the tests)")
        kept[part] = _with_own_ids(part, [*known.values()], notify)
    return kept


def _with_own_ids(
    part: Part, rows: list[PlacedExample], notify: Callable[[str], None]
) -> list[PlacedExample]:
    """Return the rows; those that share an id with another get one made from their input."""
    times = Counter(row.example.id for row in rows)
    shared = [row.example.id for row in rows if times[row.example.id] > 1]
    if not shared:
        return rows
    notify(
        f"{part}: {len(shared)} rows share their id with another, such as {shared[0]!r}; their ids "
        "are made from their inputs"
    )
    return [
        row._replace(example=row.example.model_copy(update={"id": content_id(row.example.input)}))
        if times[row.example.id] > 1
        else row
        for row in rows
    ]
