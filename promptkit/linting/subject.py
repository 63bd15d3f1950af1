"""Subjects of linting: a task with the places of its rows, and rows that do not fit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from promptkit.errors import Problem
from promptkit.files.json_values import plain
from promptkit.tasks.asked_language import task_in
from promptkit.tasks.examples import Example
from promptkit.tasks.languages import example_in
from promptkit.tasks.loading import TaskFolder, read_folder
from promptkit.tasks.row_checks import (
    PARTS,
    Part,
    PlacedExample,
    RowProblem,
    check_rows,
    placed,
)
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.source import Where

_LOOKED_AT = 500  # rows, for two that differ


def at(row: PlacedExample, text: str | None = None) -> Where:
    """Return the place of a row's line, or of a text in it."""
    if row.file is None or row.line is None:
        return Where(str(row))
    return Where(str(row.file), row.line, row.file.column(row.line, text) if text else 1)


@dataclass(frozen=True)
class Subject:
    """A task to be checked."""

    task: Task[Any, Any]
    """Without examples where rows do not fit it."""
    rows: Mapping[Part, Sequence[PlacedExample]]
    folder: TaskFolder | None = None
    _texts: dict[int, list[tuple[str, str]]] = field(default_factory=dict, repr=False)

    @property
    def task_file(self) -> str | None:
        """The path of `task.toml`, for the task of a folder."""
        return None if self.folder is None else str(self.folder.path)

    @property
    def problems(self) -> Sequence[Problem]:
        """Rows that do not fit the types."""
        return () if self.folder is None else self.folder.problems

    @property
    def row_problems(self) -> Iterable[RowProblem]:
        """Problems between rows."""
        if self.folder is not None:
            return self.folder.row_problems
        tags = () if self.task.asked_in else self.task.language_tags
        return check_rows(self.rows["demos"], self.rows["tests"], self.task.output_type, tags)

    @cached_property
    def all_rows(self) -> Sequence[PlacedExample]:
        """The rows of all parts."""
        return [row for part in PARTS for row in self.rows[part]]

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """Other columns as rows have them, for an example that is made up."""
        first = (row.example.metadata for part in ("tests", "demos") for row in self.rows[part][:1])
        return {key: value for metadata in first for key, value in metadata.items()}

    def is_made_up(self, value: BaseModel) -> bool:
        """Return whether an input is in none of the rows examined."""
        return all(row.example.input is not value for row in self.all_rows[:_LOOKED_AT])

    def texts(self, row: PlacedExample) -> list[tuple[str, str]]:
        """The texts of a row's input, each with its field."""
        known = self._texts.get(id(row.example))
        if known is None:
            known = self._texts[id(row.example)] = list(_texts("", plain(row.example.input)))
        return known

    def label(self, row: PlacedExample) -> str | None:
        """The output as a prompt writes it."""
        example = row.example
        return self.task.output_type.text(example.output) if example.labelled else None

    def labels(self, row: PlacedExample) -> Sequence[str]:
        """The labels of a row: one, or several where outputs are lists of them."""
        output, example = self.task.output_type, row.example
        if not example.labelled:
            return ()
        if output.items is None:
            return (output.text(example.output),)
        return [output.items.text(label) for label in example.output or ()]

    def same_output(self, one: PlacedExample, other: PlacedExample) -> bool:
        """Return whether two rows have the same output."""
        return self.task.output_type.same(one.example.output, other.example.output)

    def wordings(self) -> Iterator[tuple[Verbalizer | None, Where]]:
        """The labels as they are (None), then the verbalizers of the task.

        Of a task in another language, its words for the labels.
        """
        words, asked = self.task.words, self.task.asked_in
        if words is not None and asked is not None:
            yield words, self.at_key(f"languages.{asked.labels}")
            return
        if self.task.labels:
            yield None, self.at_key("labels")
        for verbalizer in self.task.verbalizers:
            yield verbalizer, self.at_key(f"output.verbalizers.{verbalizer.name}")

    @cached_property
    def _lines(self) -> Sequence[str]:
        """The lines of `task.toml`; none for a task of no folder."""
        if self.task_file is None:
            return ()
        return Path(self.task_file).read_text(encoding="utf-8-sig").split("\n")

    def at_key(self, key: str) -> Where:
        """Return the place of a key of `task.toml`, or of a section."""
        if self.task_file is None:
            return Where()
        said = re.compile(rf"\s*(?:{re.escape(key)}\s*=|\[{re.escape(key)}\])")
        found = next((i for i, line in enumerate(self._lines, 1) if said.match(line)), 1)
        return Where(self.task_file, found, 1)


def read_subject(
    task: Task[Any, Any] | str | Path, notify: Callable[[str], None] | None = None
) -> Subject:
    """Return a task, or the one in a folder, for checking.

    Raises `TaskError` for a folder that holds no task.
    """
    if isinstance(task, Task):
        tests = () if task.folds else task.tests
        return Subject(
            task, {"demos": placed("demos", task.demos), "tests": placed("tests", tests)}
        )
    folder = read_folder(task, notify=notify)
    is_broken = bool(folder.problems or folder.row_problems)
    return Subject(folder.task(empty=is_broken), folder.rows, folder)


def in_each_language(subject: Subject) -> list[Subject]:
    """Return a subject, and the same in the other languages of its task."""
    tags = () if subject.task.asked_in else subject.task.language_tags
    found = [subject]
    for tag in tags[1:]:
        rows = {
            part: [row._replace(example=example_in(row.example, tag, tags)) for row in rows]
            for part, rows in subject.rows.items()
        }
        found.append(Subject(task_in(subject.task, tag), rows, subject.folder))
    return found


def inputs(subject: Subject) -> list[BaseModel]:
    """Up to two inputs to render, which differ in every field; made up where no rows do."""
    found = [row.example.input for row in subject.all_rows[:_LOOKED_AT]]
    made = [made_up(subject.task.types()[0], number) for number in range(2)]
    found += [value for value in made if value is not None and _is_plain(value)]
    options = subject.task.options
    if options is not None and found:  # so that an answer to one input is one to the other
        same = {options: getattr(found[0], options)}
        found = [value.model_copy(update=same) for value in found]
    others = (value for value in found[1:] if _apart(found[0], value, options))
    return [*found[:1], *islice(others, 1)]


def _is_plain(value: BaseModel) -> bool:
    """Return whether a made-up value can be written, which a user's serializer may refuse."""
    try:
        plain(value)
    except Exception:
        return False
    return True


def _apart(one: BaseModel, other: BaseModel, options: str | None) -> bool:
    """Return whether inputs differ in every field but their options."""
    mine, theirs = plain(one), plain(other)
    return all(mine[name] != theirs.get(name) for name in mine if name != options)


def demonstrations(subject: Subject, value: BaseModel) -> list[Example[Any, Any]]:
    """Up to two demonstrations of an input, with outputs that differ and metadata as in the rows.

    The outputs are real, or made up where the rows have none.
    """
    output = subject.task.output_type
    rows = subject.all_rows[:_LOOKED_AT] if subject.task.options is None else ()
    found = [row.example.output for row in rows if row.example.labelled]
    found += output.values.values()
    found += getattr(value, subject.task.options or "", ())
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
