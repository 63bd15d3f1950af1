"""Reading of examples from rows: of data files, of data frames, and of any records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, get_origin

from pydantic import BaseModel

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.delimited import column_hint
from promptkit.tasks.examples import RESERVED, Example, Place
from promptkit.tasks.label_sets import items_of
from promptkit.tasks.label_texts import label_texts
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.tables import DataFile, is_csv, is_parquet
from promptkit.tasks.translated_columns import TranslatedColumns
from promptkit.tasks.validation import ExampleParser
from promptkit.text import did_you_mean
from promptkit.translation import tr

Columns = Mapping[str, str | Sequence[str]]
"""The columns of input fields, `output` and `id`, where a column has another name; options may have
a column each."""


def read_examples(
    file: DataFile,
    parser: ExampleParser,
    columns: Columns | None = None,
    *,
    labelled: bool = False,
    codes: Mapping[str, str] | None = None,
    translated: Mapping[str, Sequence[str]] | None = None,
) -> tuple[list[Example[Any, Any]], list[int]]:
    """Return the examples of a data file, and the lines on which they begin.

    Rows that do not fit are added to the parser's problems, which name columns as the file does.

    Args:
        file: The file.
        parser: The parser of its rows.
        columns: The columns of the parts of an example whose names differ from them.
        labelled: Whether the file has to have the column of outputs.
        codes: Labels by the codes that stand for them in the file.
        translated: The fields that every row has in other languages, in columns such as `name_hi`.

    Raises:
        DataError: The file cannot be read as a whole.
        TaskError: An input field is called `id` or `output`.
    """
    textual = is_csv(file.path)
    how = textual, is_parquet(file.path), translated
    reader = RowReader(parser, columns or {}, codes or {}, *how)
    required = [*reader.required, *([reader.output_column] if labelled else ())]
    examples, lines = [], []
    before = len(parser.problems)
    for line, row in file.rows(parser.problems, required):
        place = (str(file), line)
        known = dict(reader.known(row))
        if not textual and (missing := [column for column in required if column not in known]):
            parser.problems += misnamed(missing, required, row, place)
            continue
        example = reader.example(known, place=place)
        if example is not None:
            examples.append(example)
            lines.append(line)
    parser.problems[before:] = map(reader.as_named, parser.problems[before:])
    if not examples and len(parser.problems) == before:
        parser.problems.append(Problem(tr("the file has a header but no rows"), str(file)))
    return examples, lines


def record_examples(
    rows: Iterable[Any],
    parser: ExampleParser,
    columns: Columns | None = None,
    *,
    codes: Mapping[str, str] | None = None,
    name: str = "rows[{}]",
) -> list[Example[Any, Any]]:
    """Return the examples of records, such as those of a data frame.

    Args:
        rows: The records; a value of None is one that is not there.
        parser: The parser of the records.
        columns: The columns of the parts of an example whose names differ from them.
        codes: Labels by the codes that stand for them.
        name: The name of a row in messages, `{}` being its number from 0.

    Raises:
        DataError: Records do not fit; `problems` lists all of them, by their numbers.
        TaskError: `columns` names no part of an example.
    """
    reader = RowReader(parser, columns or {}, codes or {}, sparse=True)
    named = [reader.output_column] if "output" in (columns or {}) else []
    required = [*reader.required, *named]
    examples = []
    before = len(parser.problems)
    for number, row in enumerate(rows):
        place = name.format(number)
        if not isinstance(row, Mapping):
            reason = tr(
                "not a record; a row is a mapping, this is a {name}", name=type(row).__name__
            )
            parser.problems.append(Problem(reason, example=place, value=row))
            continue
        known = reader.known({str(key): _listed(value) for key, value in row.items()})
        if missing := [c for c in required if c not in (row if c in named else known)]:
            problems = misnamed(missing, required, row, (place, None))
            parser.problems += [replace(p, file=None, example=place) for p in problems]
            continue
        example = reader.example(known, name=place)
        if example is not None:
            examples.append(example)
    parser.problems[before:] = map(reader.as_named, parser.problems[before:])
    if parser.problems[before:]:
        raise DataError(parser.problems[before:])
    return examples


class RowReader:
    """Makes examples of flat rows, whose columns are the fields of the input and the output."""

    def __init__(
        self,
        parser: ExampleParser,
        columns: Columns,
        codes: Mapping[str, str],
        textual: bool = False,
        sparse: bool = False,
        translated: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Make a reader.

        Args:
            parser: The parser of the examples.
            columns: The columns of fields, `output` and `id`.
            codes: Labels by their codes.
            textual: Whether all values are texts, as in CSV.
            sparse: Whether rows have every column, with None for what is not there.
            translated: The fields that every row has in other languages.
        """
        reserved = set(RESERVED) & set(parser.input_type.model_fields)
        if reserved:
            raise TaskError(
                tr("input field {reserved!r}: this name is reserved", reserved=min(reserved))
            )
        self._parser, self._codes, self._textual, self._sparse = parser, codes, textual, sparse
        self._listed = {name: one for name, one in columns.items() if not isinstance(one, str)}
        self._columns = {
            name: column
            for name, column in columns.items()
            if isinstance(column, str) and name != column
        }
        for name in columns:
            if name not in (*parser.keys, *RESERVED):
                raise TaskError(tr("columns: {reason}", reason=unknown_part(name, parser.keys)))
        self.output_column = self._columns.get("output", "output")
        self.required = [
            column
            for key in parser.required
            for column in self._listed.get(key, [self._columns.get(key, key)])
        ]
        self._translated: TranslatedColumns | None = None
        if translated:
            self._translated = TranslatedColumns(translated, parser.keys, self._columns)
            self.required += self._translated.required if textual else []
        nullable = self._nullable.keys()
        self._kept = {self._columns.get(key, key) for key in nullable}
        self._kept.update(*self._listed.values())
        if parser.output.allows_null:
            self._kept.add(self.output_column)

    def known(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row without the values that are not there."""
        if not self._sparse:
            return row
        return {k: value for k, value in row.items() if value is not None or k in self._kept}

    def example(
        self, row: Mapping[str, Any], *, place: Place | None = None, name: str | None = None
    ) -> Example[Any, Any] | None:
        """Return the example of a row, or None after adding the reasons to the problems."""
        problems = [*self._translated.problems(row)] if self._translated else []
        if self._listed:
            row = dict(row)
            problems += self._join(row)
        if problems:
            file, line = place or (None, None)
            self._parser.problems += [
                replace(one, file=file, line=line, example=name) for one in problems
            ]
            return None
        parts = self._split(self._renamed(row) if self._columns else row)
        return self._parser.parse(parts, place=place, example=name)

    def _join(self, row: dict[str, Any]) -> Iterator[Problem]:
        """Put the options of a row into one list; only the last ones may be empty."""
        for field, columns in self._listed.items():
            cells = [row.pop(column, None) for column in columns]
            filled = [cell not in (None, "") for cell in cells]
            row[field] = cells[: sum(filled)]
            if not all(filled[: sum(filled)]):
                reason = tr(
                    "empty, and a later option is not, so that letters and indices are unclear"
                )
                yield Problem(reason, field=columns[filled.index(False)])

    def as_named(self, problem: Problem) -> Problem:
        """Return a problem with the name of the field as a column."""
        field, dot, rest = (problem.field or "").partition(".")
        problem = replace(problem, reason=problem.reason + self._advice(problem))
        if self._textual and field in self._structured and "JSON" not in problem.reason:
            reason = tr(
                '{reason}; in CSV it is written as JSON, such as ["a", "b"]', reason=problem.reason
            )
            problem = replace(problem, reason=reason)
        return (
            replace(problem, field=self._columns[field] + dot + rest)
            if (field in self._columns)
            else problem
        )

    def _advice(self, problem: Problem) -> str:
        """Return what to write instead of values that spreadsheets and data sets often hold."""
        reason, value = problem.reason, str(problem.value)
        if any(tr(said) in reason for said in _NOT_NUMBERS):
            return tr("; write it with a decimal point, as 1234.5") if "," in value else ""
        if any(tr(said) in reason for said in _NOT_BOOLEANS):
            return tr("; write true or false")
        is_output = problem.field == "output" and self._parser.output.values
        if is_output and value.isdigit() and not self._codes:
            return tr("; where numbers stand for labels, say which in `labels`")
        return ""

    def _renamed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row under the names of its parts; a column that shares one of these is left out."""
        taken = {*self._columns, *self._columns.values()}
        rest = {name: value for name, value in row.items() if name not in taken}
        own = {name: row[column] for name, column in self._columns.items() if column in row}
        return own | rest

    def _split(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of an example."""
        keys = self._parser.keys
        given = {key: row[key] for key in keys if key in row}
        if self._textual:
            nullable = self._nullable
            given |= {k: None for k, text in nullable.items() if row.get(k) == "" and not text}
            for key in (self._structured & given.keys()) - self._listed.keys():
                given[key] = _from_json(given[key])
        parts = {
            **({"output": self._output(row["output"])} if "output" in row else {}),
            "id": row.get("id"),
            "input": given,
            "metadata": {k: v for k, v in row.items() if k not in keys and k not in RESERVED},
        }
        if self._translated is None:
            return parts
        others = {k: v for k, v in parts["metadata"].items() if k not in self._translated.columns}
        return {**parts, "metadata": others, "translations": self._translated.of(row, self._cell)}

    def _cell(self, key: str, value: Any) -> Any:
        """Return a field's value out of a cell: in CSV, lists and records are JSON."""
        return _from_json(value) if self._textual and key in self._structured else value

    def _output(self, value: Any) -> Any:
        """Return the output that a cell or a code stands for.

        An empty cell of CSV is no output unless the output is text.
        """
        output = self._parser.output
        if self._codes and output.items is not None:
            with suppress(ValueError):  # the parser says what is wrong
                return [*map(self._decoded, items_of(value))] if value not in (None, "") else None
        if self._codes:
            value = self._decoded(value)
        if not self._textual or not isinstance(value, str):
            return value
        if value == "" and (not output.is_text or self._parser.options is not None):
            return None
        try:
            return output.parse(value)
        except ValueError:
            return value  # the parser says what is wrong

    def _decoded(self, value: Any) -> Any:
        """Return the label that a code stands for; other values are unchanged."""
        return next((self._codes[t] for t in label_texts(value) if t in self._codes), value)

    @cached_property
    def _nullable(self) -> Mapping[str, bool]:
        """The keys of inputs that may be None, and whether an empty text is a value of theirs."""
        found = {}
        for key, name in self._parser.keys.items():
            info = self._parser.input_type.model_fields[name]
            annotation = info.annotation
            if info.metadata:
                annotation = Annotated[(annotation, *info.metadata)]  # type: ignore[assignment]
            field = OutputType(annotation)
            if field.allows_null:
                found[key] = field.allows("")
        return found

    @cached_property
    def _structured(self) -> set[str]:
        """The keys of inputs that are lists or records, which CSV holds as JSON."""
        fields = self._parser.input_type.model_fields
        return {key for key, name in self._parser.keys.items() if _is_list(fields[name].annotation)}


_NOT_NUMBERS = (
    "Input should be a valid number",
    "Input should be a valid number, unable to parse string as a number",
    "Input should be a valid integer",
    "Input should be a valid integer, unable to parse string as an integer",
    "Input should be a valid integer, got a number with a fractional part",
)
_NOT_BOOLEANS = (
    "Input should be a valid boolean",
    "Input should be a valid boolean, unable to interpret input",
)
"""What pydantic says of values that spreadsheets and data sets write otherwise."""


def _is_list(annotation: Any) -> bool:
    """Return whether a type is one of lists or records."""
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, list | tuple | set | dict | BaseModel)


def _from_json(cell: Any) -> Any:
    try:
        return json.loads(cell)
    except (TypeError, ValueError, RecursionError):
        return cell


def _listed(value: Any) -> Any:
    """Return an array of numpy as a list."""
    return value.tolist() if getattr(value, "ndim", 0) and hasattr(value, "tolist") else value


def unknown_part(name: str, fields: Iterable[str]) -> str:
    """Return a message on a name that is no part of an example."""
    known = [*fields, *RESERVED]
    hint = did_you_mean(name, known) or tr("choose one of: {known}", known=", ".join(known))
    return tr("unknown field {name!r}; {hint}", name=name, hint=hint)


def misnamed(
    missing: Sequence[str],
    required: Sequence[str],
    row: Mapping[str, Any],
    place: tuple[str, int | None],
) -> Iterator[Problem]:
    """Columns that a row lacks or has no value in, or holds under other names."""
    id, others = row.get("id"), [name for name in row if name not in required]
    for column in missing:
        hint = column_hint(column, others, [*row])
        if not did_you_mean(column, others):
            hint += tr("; name the one that holds it in `columns`")
        reason = tr("missing value") if column in row else tr("missing{hint}", hint=hint)
        yield Problem(reason, *place, None if id is None else str(id), column)
