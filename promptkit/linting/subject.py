"""What is checked: a task with the places of its rows, and rows that do not fit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel

from promptkit.errors import DataError, Problem
from promptkit.files.json_values import plain
from promptkit.tasks.examples import Example, Place
from promptkit.tasks.loading import load_task, read_examples
from promptkit.tasks.task import Task
from promptkit.tasks.task_file import input_type, output_type, read_task_file
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.source import Where

Part = Literal["demos", "tests"]
PARTS: tuple[Part, ...] = get_args(Part)
_LOOKED_AT = 500  # rows, for two that differ


class Row(NamedTuple):
    """An example, and where it stands."""

    part: Part
    number: int
    """Its place in the part, counted from 0."""
    example: Example[Any, Any]
    place: Place | None

    def at(self, text: str | None = None) -> Where:
        """The row's line; with a text that stands in it, its column."""
        if self.place is None:
            return Where(f"{self.part}[{self.number}]")
        return Where(*self.place, _column(*self.place, text) if text else 1)

    def __str__(self) -> str:
        return f"{self.place[0]}:{self.place[1]}" if self.place else f"{self.part}[{self.number}]"


@dataclass(frozen=True)
class Subject:
    """A task to be checked."""

    task: Task[Any, Any]
    """Without examples where rows do not fit it."""
    rows: Mapping[Part, Sequence[Row]]
    problems: Sequence[Problem] = ()
    """Rows that do not fit the types."""
    task_file: str | None = None
    _texts: dict[int, list[tuple[str, str]]] = field(default_factory=dict, repr=False)

    @cached_property
    def all_rows(self) -> Sequence[Row]:
        return [row for part in PARTS for row in self.rows[part]]

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """Other columns as rows have them, for an example that is made up."""
        first = (row.example.metadata for part in ("tests", "demos") for row in self.rows[part][:1])
        return {key: value for metadata in first for key, value in metadata.items()}

    def is_made_up(self, value: BaseModel) -> bool:
        """Whether an input stands in no row that is looked at."""
        return all(row.example.input is not value for row in self.all_rows[:_LOOKED_AT])

    def texts(self, row: Row) -> list[tuple[str, str]]:
        """The texts of a row's input, each with its field."""
        known = self._texts.get(id(row.example))
        if known is None:
            known = self._texts[id(row.example)] = list(_texts("", plain(row.example.input)))
        return known

    def label(self, row: Row) -> str | None:
        """The output as a prompt writes it."""
        example = row.example
        return self.task.output_type.text(example.output) if example.labelled else None

    def same_output(self, one: Row, other: Row) -> bool:
        """Whether two rows have the same output."""
        return self.task.output_type.same(one.example.output, other.example.output)

    def wordings(self) -> Iterator[tuple[Verbalizer | None, Where]]:
        """The labels as they are (None), then the verbalizers of the task."""
        if self.task.labels:
            yield None, self.at_key("labels")
        for verbalizer in self.task.verbalizers:
            yield verbalizer, self.at_key(f"output.verbalizers.{verbalizer.name}")

    def at_key(self, key: str) -> Where:
        """Where `task.toml` says something, or a section of it begins."""
        if self.task_file is None:
            return Where()
        lines = Path(self.task_file).read_text(encoding="utf-8-sig").split("\n")
        said = re.compile(rf"\s*(?:{re.escape(key)}\s*=|\[{re.escape(key)}\])")
        found = next((i for i, line in enumerate(lines, 1) if said.match(line)), 1)
        return Where(self.task_file, found, 1)


def read_subject(
    task: Task[Any, Any] | str | Path, notify: Callable[[str], None] | None = None
) -> Subject:
    """A task, or the folder of one. Raises `TaskError` for what is no task at all."""
    if isinstance(task, Task):
        found = {
            part: [Row(part, i, example, None) for i, example in enumerate(getattr(task, part))]
            for part in PARTS
        }
        return Subject(task, found)
    path = Path(task)
    path = path / "task.toml" if path.name != "task.toml" else path
    spec = read_task_file(path)
    parser = ExampleParser(input_type(spec, path), output_type(spec, path), [])
    rows: dict[Part, list[Row]] = {part: [] for part in PARTS}
    files: dict[Part, str | None] = {"demos": spec.files.demos, "tests": spec.files.tests}
    for part, name in files.items():
        if name is not None:
            try:
                examples, places = read_examples(
                    path.parent / name,
                    parser,
                    spec.output.column,
                    labelled=True,
                    columns=spec.columns,
                )
            except DataError as error:  # a file that cannot be read as a whole
                parser.problems += error.problems
                continue
            pairs = zip(examples, places, strict=True)
            rows[part] = [Row(part, i, *pair) for i, pair in enumerate(pairs)]
    try:
        loaded = load_task(path, notify=notify)
    except DataError:
        bare = Task[parser.input_type, parser.output.annotation]  # type: ignore[name-defined]
        task = bare(
            name=spec.name,
            instruction=spec.instruction,
            template=spec.template,
            verbalizers=spec.output.verbalizers,
            near_duplicates=spec.near_duplicates,
            folder=path.parent,
        )
        return Subject(task, rows, parser.problems, str(path))
    return Subject(loaded, _of_task(loaded, rows), (), str(path))


def _of_task(
    task: Task[Any, Any], rows: Mapping[Part, Sequence[Row]]
) -> Mapping[Part, Sequence[Row]]:
    """The task's own examples, some of which it may have left out, where the rows stand."""
    found = {}
    for part in PARTS:
        places = {row.example.id: row.place for row in reversed(rows[part])}
        examples = enumerate(getattr(task, part))
        found[part] = [Row(part, i, example, places[example.id]) for i, example in examples]
    return found


def inputs(subject: Subject) -> list[BaseModel]:
    """Up to two inputs to render, which differ in every field; made up where no rows do."""
    found = [row.example.input for row in subject.all_rows[:_LOOKED_AT]]
    made = [made_up(subject.task.types()[0], number) for number in range(2)]
    found += [value for value in made if value is not None and _is_plain(value)]
    others = (value for value in found[1:] if _apart(found[0], value))
    return [*found[:1], *islice(others, 1)]


def _is_plain(value: BaseModel) -> bool:
    """Whether a made-up value can be written, which a serializer of the user's may refuse."""
    try:
        plain(value)
    except Exception:
        return False
    return True


def _apart(one: BaseModel, other: BaseModel) -> bool:
    mine, theirs = plain(one), plain(other)
    return all(mine[name] != theirs.get(name) for name in mine)


def demonstrations(subject: Subject, value: BaseModel) -> list[Example[Any, Any]]:
    """Up to two demonstrations of an input, with outputs that differ and metadata as in the rows.

    The outputs are real, or made up where the rows have none.
    """
    output = subject.task.output_type
    rows = subject.all_rows[:_LOOKED_AT]
    found = [row.example.output for row in rows if row.example.labelled]
    found += output.values.values()
    made = (_value(output.annotation, "answer", number) for number in range(2))
    found += [value for value in made if value is not None]
    others = (value for value in found[1:] if value != found[0])
    return [
        Example.model_construct(input=value, output=answer, id="shot", metadata=subject.metadata)
        for answer in (*found[:1], *islice(others, 1))
    ]


def made_up(model: type[BaseModel], number: int) -> BaseModel | None:
    """An input of made-up values, unchecked; None for types that it cannot make up."""
    values = {}
    for name, info in model.model_fields.items():
        value = _value(info.annotation, name, number)
        if value is None:
            return None
        values[name] = value
    return model.model_construct(**values)


def _value(annotation: Any, name: str, number: int) -> Any:
    if annotation is str:
        return f"{name} {'one' if number == 0 else 'two'}"
    if annotation is bool:
        return number == 0
    if annotation in (int, float):
        return annotation(number + 7)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return made_up(annotation, number)
    return None


def _texts(field: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(f"{field}.{key}" if field else str(key), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(field, item)


def _column(file: str, line: int, text: str) -> int:
    """Where a text stands in a line of a data file; 1 where it is written in another way."""
    path = Path(file)
    if path.suffix.lower() == ".parquet":
        return 1
    lines = _lines(path, path.stat().st_mtime_ns)
    return lines[line - 1].find(text.split("\n")[0]) + 1 or 1 if line <= len(lines) else 1


@lru_cache(maxsize=4)
def _lines(path: Path, changed: int) -> list[str]:
    return path.read_text(encoding="utf-8-sig").split("\n")
