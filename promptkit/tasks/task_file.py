"""`task.toml`: what it may say, and the input and output types that it names."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from promptkit.errors import TaskError
from promptkit.files.paths import MOST_TEXT, read_bytes
from promptkit.tasks.answer_texts import Language
from promptkit.tasks.audit_settings import AuditSection
from promptkit.tasks.examples import RESERVED
from promptkit.tasks.files_section import FilesSection
from promptkit.tasks.input_section import (
    FieldSection,
    Kind,
    OptionsSection,
    Scalar,
    Section,
    TypeName,
    columns_of,
    kind_of,
)
from promptkit.tasks.languages import TAG
from promptkit.tasks.measures import Match
from promptkit.tasks.reading import unknown_part
from promptkit.tasks.tables import not_utf8
from promptkit.tasks.task_card import TaskCard
from promptkit.tasks.task_file_errors import reasons
from promptkit.translation import tr

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*"""
_LONG_KEY = re.compile(rf"(?<![\w.-])(?:{_PART}\.[ \t]*){{100}}")
"""The beginning of a dotted key that takes the parser the square of its parts."""

ItemType = TypeName | Literal["list[str]", "list[int]", "list[float]"]


class OutputFieldSection(Section):
    """A field of an output: `{ type = "float", within = 0.01 }`."""

    type: ItemType | list[Scalar]
    """str, int, float, bool, a list of values, or list[str], list[int] or list[float]."""
    many: bool = False
    """For a list of values: the field is a list of some of them."""
    optional: bool = False
    """Allow null, for a field that an input may not tell."""
    within: float | None = Field(default=None, ge=0)
    """For numbers: the distance from the gold number up to which the field is right."""


def _one_kind(schema: dict[str, Any]) -> None:
    kinds = ("labels", "scale", "type", "schema", "fields", "options")
    schema["anyOf"] = [{"required": [name]} for name in kinds]
    schema["dependencies"] = {"many": ["labels"]}
    apart = {
        "labels": ("scale", "type", "schema", "options"),
        "scale": ("type", "schema", "fields", "options"),
        "options": ("type", "schema", "fields"),
    }
    schema["not"] = {
        "anyOf": [{"required": [name, other]} for name in apart for other in apart[name]]
    }


class OutputSection(Section):
    """`[output]`: one of `labels`, `scale`, `options`, `type`, `schema` and `fields`.

    `type = "str"` may have a `schema` too.
    """

    model_config = ConfigDict(json_schema_extra=_one_kind)

    labels: list[StrictStr | StrictInt] | dict[str, StrictStr] | None = None
    """The labels that the model scores; where rows have codes for them, a label for each code:
    `{ 0 = "negative", 1 = "positive" }`."""
    many: bool = False
    """For labels: an output is a list of them, each scored; thresholds chosen on the pool decide
    which are given. In CSV they have `;` between them, or are a JSON list; `none` is no label."""
    options: str | None = None
    """The input field of the type options: the output is one of its row's own, which the model
    scores. Rows give its text, its letter (A for the first) or its index, counted from 0."""
    scale: list[StrictInt | StrictFloat] | None = None
    """Numbers in ascending order that the model scores as labels: `[1, 2, 3, 4, 5]`. Beside the
    most probable one, the probability-weighted mean and the median are measured."""
    type: TypeName | None = None
    """The type of a generated answer; for bool, the labels true and false are scored."""
    min: StrictInt | StrictFloat | None = None
    """For int and float: the smallest number that an output may be."""
    max: StrictInt | StrictFloat | None = None
    """For int and float: the largest number that an output may be."""
    schema_file: str | None = Field(default=None, alias="schema")
    """The file of a JSON Schema that generated answers fit, relative to the task's folder.

    Answers are JSON, or with `type = "str"` texts as they stand."""
    fields: dict[str, ItemType | list[Scalar] | OutputFieldSection] | None = None
    """The fields of a record, and their types: str, int, float, bool, a list of values, list[str],
    list[int] or list[float]. Answers are JSON objects."""
    counted: list[str] = Field(default=[])
    """For records: the fields that have to be right; without it the whole record."""
    tolerances: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    """For records: the distance up to which a field that is a number is right, by name."""
    column: str = "output"
    """The column that holds the output."""
    within: float | None = Field(default=None, ge=0)
    """For numbers: the distance from the gold number up to which an answer is near enough."""
    match: Match = "exact"
    """For texts: the comparison that makes an answer right. `normalised` leaves out case,
    punctuation and articles; `contains` looks for the gold answer's words in the answer; `regex`
    compares what `pattern` captures; `number` compares the last number, up to `within`."""
    pattern: str | None = None
    """For `regex`: a regular expression with one group, around the answer: `answer is (.*)`."""
    several: bool = False
    """For texts: the column may hold a list (in CSV, as JSON) of answers that are all right. Shots
    show the first."""
    language: Language = "en"
    """The language of texts, for articles and numbers."""
    rationale: str = "rationale"
    """The column that holds the rationales of demonstrations, which {{ rationale }} prints."""
    verbalizers: dict[str, dict[str, StrictStr]] = Field(default={})
    """Other words for the labels: in [output.verbalizers.NAME] a word for every label."""

    @property
    def tolerances_of_fields(self) -> dict[str, float]:
        """The tolerance of each field that has one."""
        inline = {
            name: one.within
            for name, one in (self.fields or {}).items()
            if isinstance(one, OutputFieldSection) and one.within is not None
        }
        return inline | self.tolerances

    @property
    def codes(self) -> dict[str, str]:
        """Labels by their codes."""
        return self.labels if isinstance(self.labels, dict) else {}


Tag = Annotated[str, Field(pattern=f"^{TAG}$")]
"""A language tag of BCP 47."""


class LanguageSection(Section):
    """`[languages.TAG]`: the task's texts in another language."""

    instruction: str = ""
    """The instruction."""
    labels: dict[str, StrictStr] = Field(default={})
    """A word for every label."""
    fields: dict[str, str] = Field(default={})
    """Names of input fields, and of `output`, as templates print them."""
    same: list[str] = Field(default=[])
    """Fields of text that need no translation, such as an address."""


class TaskFile(Section):
    """The content of `task.toml`."""

    name: str
    """The name of the task in reports."""
    instruction: str = ""
    """The text that a template prints as {{ task.instruction }}."""
    template: str = "colon.j2"
    """The default template: a name in templates/ or of a built-in template, or a path in the task's
    folder."""
    input: dict[str, Annotated[Kind, Field(union_mode="left_to_right")]]
    """The fields of an input and their types: str, int, float, bool, a list of one of these such as
    list[str], options (a list of texts of which the output is one), or a list of allowed values;
    with the name of their column where it is another. A table of fields, [input.author], is a
    record; [[input.turns]] is a list of records."""
    output: OutputSection
    near_duplicates: Literal["exclude", "allow"] = "exclude"
    """The treatment of demonstrations that are near-duplicates of a query: excluded from its
    shots, or allowed."""
    files: FilesSection = FilesSection()
    card: TaskCard = TaskCard()
    """What only people know of the task: its data's sources and licences, its use and limits."""
    audit: AuditSection = AuditSection()
    """The slots of an audit, with the terms that are put into them."""
    language: Tag | None = None
    """The language of the instruction, the labels and the rows as they stand: hi, pt-BR."""
    languages: dict[Tag, LanguageSection] = Field(default={})
    """The task in other languages; rows have their texts in columns such as name_hi."""

    @property
    def translated(self) -> dict[str, list[str]]:
        """The fields of text that rows have in each other language."""
        texts = [name for name, kind in self.kinds.items() if kind in ("str", "list[str]")]
        return {
            tag: [name for name in texts if name not in section.same]
            for tag, section in self.languages.items()
            if tag != self.language
        }

    @property
    def kinds(self) -> dict[str, Any]:
        """The type of each field; a record is a mapping of types."""
        return {name: kind_of(field) for name, field in self.input.items()}

    @property
    def columns(self) -> dict[str, str | list[str]]:
        """The column of each field, of the output and of the id; options may have several."""
        own = {name: columns_of(name, field) for name, field in self.input.items()}
        return {**own, "output": self.output_column, "id": "id", **self.files.columns}

    @property
    def output_column(self) -> str:
        """The column of the output."""
        return self.files.columns.get("output", self.output.column)


def json_schema() -> str:
    """The JSON Schema of `task.toml`, for editors."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",  # what editors of TOML know
        **TaskFile.model_json_schema(),
        "title": "A promptkit task",
    }
    text = json.dumps(schema, ensure_ascii=False, indent=2)
    return text.replace("$defs", "definitions") + "\n"


def read_task_file(path: Path) -> TaskFile:
    """Return the content of a `task.toml`. Raises `TaskError`."""
    try:
        raw = read_bytes(path, MOST_TEXT)
        text = raw.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise ValueError(tr("a key of more than 100 parts"))
        data = tomllib.loads(text)
    except FileNotFoundError:
        hint = "" if path.parent.is_dir() else tr(" (the folder does not exist)")
        raise TaskError(
            tr("{path}: not found{hint}; `promptkit new DIR` makes a task", path=path, hint=hint)
        ) from None
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line, reason = not_utf8(raw, error)
        raise TaskError(f"{path}:{line}: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise TaskError(tr("{path}: not TOML: {error}", path=path, error=error)) from None
    except (RecursionError, ValueError) as error:
        raise TaskError(
            tr(
                "{path}: it nests too deeply, or holds a number that is too long: {error}",
                path=path,
                error=error,
            )
        ) from None
    try:
        spec = TaskFile.model_validate(data)
    except ValidationError as error:
        raise TaskError("\n  ".join([f"{path}:", *reasons(error, _known())])) from None
    section = spec.output
    others = [section.labels, section.scale, section.options, section.fields]
    chosen = [*others, section.type, section.schema_file]
    is_text = section.type == "str" and not any(other is not None for other in others)
    if not is_text and sum(choice is not None for choice in chosen) != 1:
        raise TaskError(
            tr(
                "{path}: [output] has exactly one of labels, scale, type, schema, fields "
                'and options, or schema with type = "str" for a text',
                path=path,
            )
        )
    if section.many and section.labels is None:
        raise TaskError(
            tr(
                "{path}: output.many: it goes with labels, of which an output has several",
                path=path,
            )
        )
    _check_columns(spec, path)
    _check_files(spec.files, path)
    _check_options(spec, path)
    return spec


def _check_files(files: FilesSection, path: Path) -> None:
    """Raise `TaskError` for keys of `[files]` that exclude each other."""
    given = files.model_fields_set
    if files.data is None:
        if lone := sorted(given & {"split", "folds", "seed"}):
            raise TaskError(
                tr(
                    "{path}: files.{lone}: this splits the file of files.data; name it",
                    path=path,
                    lone=lone[0],
                )
            )
    elif twice := sorted(given & {"demos", "tests"}):
        raise TaskError(
            tr(
                "{path}: files.{twice}: files.data holds all rows; keep one of them",
                path=path,
                twice=twice[0],
            )
        )
    elif {"split", "folds"} <= given:
        raise TaskError(
            tr("{path}: files.folds: the rows are split already; keep split or folds", path=path)
        )


def _check_options(spec: TaskFile, path: Path) -> None:
    """Raise `TaskError` where a field of options is not the one that the output is chosen from."""
    fields, named = [name for name, kind in spec.kinds.items() if kind == "options"], spec.output
    if named.options is not None and named.options not in fields:
        raise TaskError(
            tr(
                "{path}: output.options: {options!r} is no input field of the type "
                'options; write {options} = "options" in [input]',
                path=path,
                options=named.options,
            )
        )
    others = [name for name in fields if name != named.options]
    if others:
        reason = (
            tr("the options of {options!r} are", options=named.options)
            if named.options
            else tr("its options are not")
        )
        raise TaskError(
            tr(
                "{path}: input.{others}: {reason} what the output is chosen from; write "
                'options = "{others}" in [output]',
                path=path,
                others=others[0],
                reason=reason,
            )
        )


def _check_columns(spec: TaskFile, path: Path) -> None:
    """Raise `TaskError` for columns of no field, or said twice."""
    tables = FieldSection | OptionsSection
    named = [name for name, field in spec.input.items() if isinstance(field, tables)]
    if spec.output.column != "output":
        named.append("output")
    for name in spec.files.columns:
        if name not in (*spec.input, *RESERVED):
            raise TaskError(
                tr(
                    "{path}: files.columns: {reason}",
                    path=path,
                    reason=unknown_part(name, spec.input),
                )
            )
        if name in named:
            raise TaskError(
                tr(
                    "{path}: files.columns.{name}: its column is named twice; keep one",
                    path=path,
                    name=name,
                )
            )


def _known() -> dict[str, list[str]]:
    """Return the keys of the sections."""
    sections: dict[str, type[BaseModel]] = {
        "": TaskFile,
        "output": OutputSection,
        "files": FilesSection,
        "languages": LanguageSection,
        "card": TaskCard,
        "audit": AuditSection,
    }
    return {
        name: [field.alias or key for key, field in model.model_fields.items()]
        for name, model in sections.items()
    }
